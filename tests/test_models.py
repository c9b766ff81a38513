"""Finding models by their name or path."""

import pytest

from not_so_clevr.baselines import coordconv
from not_so_clevr.benchmark import registry


@pytest.mark.parametrize("name", ["coordconv", "not_so_clevr.baselines.coordconv:build"])
def test_a_model_is_found_by_its_name_and_by_its_path(name):
    model = registry.find(name)
    assert (model.name, model.build, model.source, model.findable) == (
        name,
        coordconv.build,
        "Liu et al. 2018",
        True,
    )
    of_the_rule = ["rule"] if name == "coordconv" else []  # See test_searches.py
    assert list(model.recipes) == ["tuned", "article", "paper", *of_the_rule]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (
            "nope",
            "Unknown model 'nope'; expected one of broadcast_decoder, conv, coordconv, coordgate, deconv, difference, dsnt,",
        ),
        (
            "no_such_module:build",
            "Cannot import 'no_such_module': there is no module 'no_such_module', neither installed nor in /",
        ),
        (
            "my_models.py:build",
            "my_models.py is a file; expected a module: go to its folder, and give my_models:build.",
        ),
        (
            "./a/my_models:build",
            "./a/my_models is a file; expected a module: go to its folder, and give my_models:build.",
        ),
        (
            "C:\\a\\b.py:build",
            r"C:\\a\\b.py is a file; expected a module: go to its folder, and give b:build.",
        ),
        ("my models:build", "Unknown model 'my models:build'; expected one of broadcast_decoder, "),
        (None, "model=None is not a name; expected one of broadcast_decoder, "),
        (
            "test_models:nothing",
            "Module 'test_models' has no function 'nothing'; expected one that takes a task.",
        ),
        ("conv:build:more", "Unknown model 'conv:build:more'; expected one of broadcast_decoder, "),
        ("__main__:nothing", "Module '__main__' has no function 'nothing'"),
    ],
)
def test_what_is_no_model_is_told_in_one_sentence(name, sentence):
    with pytest.raises(ValueError, match=sentence):
        registry.find(name)
