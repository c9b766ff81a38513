"""The suite: which runs make a profile, the profile, its neighbours, and its files."""

import math
import re
import subprocess

import keras
import numpy as np
import pytest
import subprocesses
from typer.testing import CliRunner

from not_so_clevr import benchmark, results
from not_so_clevr.benchmark import Recipe, protocol, tuning, with_recipes
from not_so_clevr.checks import UserError
from not_so_clevr.cli import app
from not_so_clevr.dataset.tasks import TASKS
from not_so_clevr.results import CAPABILITIES, Profile, nearest

report = pytest.importorskip("not_so_clevr.report")
from not_so_clevr.report import profile as files  # noqa: E402

METRICS = {
    "classification": ("accuracy", "distance"),
    "regression": ("within_half_pixel", "error"),
    "rendering": ("exact", "iou"),
}
TASK = {"task": "regression", "config": "quadrant_32"}
SETS = ["uniform_32", "quadrant_32", "border_32", "uniform_test80_32"]


def two_numbers(task):
    inputs = keras.Input(task.input_shape)
    return keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(inputs)))


def compiled(task):
    network = two_numbers(task)
    network.compile("adam", task.loss)
    return network


def result(task="regression", config="uniform_32", seed=0, test=1.0, **changes):
    right, far = METRICS[task]
    shares = {"train": 1.0, "test": test}
    metrics = {split: {right: share, far: 1 - share} for split, share in shares.items()}
    about = {
        "model": "net",
        "recipe": "rule",
        "search": {
            "config": "quadrant_upper_left_32",
            "points": 9,
            "perfect": 3,
            "seeds": 1,
            "seconds": 1.0,
        },
        "settings": {"steps": 1000, "batch_size": 16, "l2": 0.0, "model": {"width": 8}},
        "parameters": 906,
        "environment": {"device": "2 cores of A", "backend": "jax", "versions": {"keras": "3"}},
    }
    return results.Result(
        task=task,
        config=config,
        seed=seed,
        metrics=metrics,
        accuracy_metric=right,
        distance_metric=far,
        **about | changes,
    )


def of(model, shares, **changes):
    """The runs of a reference model on regression: a share for each data set."""
    return [
        result(config=config, test=share, model=model, **changes)
        for config, share in zip(SETS, shares, strict=False)
    ]


def test_a_capability_is_a_data_set_and_transfer_is_free():
    assert {name: (each.config, each.also) for name, each in CAPABILITIES.items()} == {
        "interpolation": ("uniform_32", ""),
        "recombination": ("quadrant_32", ""),
        "extrapolation": ("border_32", ""),
        "few examples": ("uniform_test80_32", ""),
        "transfer": ("uniform_32", "uniform"),
    }


def test_a_function_without_recipes_fits_the_tasks_that_it_builds():
    planned = protocol.plan(two_numbers)
    assert [(run.config.name, run.task.name) for run in planned.runs] == [
        (config, task) for config in SETS for task in ("regression", "localisation")
    ]
    assert planned.gaps.keys() == set(TASKS) - {"regression", "localisation"}
    assert "(2, 1024)" in planned.gaps["classification"]
    assert planned.seeds == 3
    (settings,) = {str(run.settings) for run in planned.runs}
    assert settings == str(dict(tuning.SETTINGS))
    assert planned.runs[0].recipe_name == "batch_size=16-schedule=cosine-steps=1000-warmup=0.05"
    assert planned.also["uniform_32"] == ["uniform"]
    assert sum(map(len, planned.also.values())) == 1


def test_a_model_with_recipes_fits_their_tasks():
    recipe = Recipe(learning_rate=0.1)
    mine = with_recipes(source="me", mine={"regression": recipe})(lambda task: two_numbers(task))
    planned = protocol.plan(mine, name="net", settings={"epochs": 2})
    assert {run.task.name for run in planned.runs} == {"regression"}
    assert {(run.recipe.learning_rate, run.recipe.epochs) for run in planned.runs} == {(0.1, 2)}
    assert planned.gaps["localisation"] == "net has no recipe for localisation."


def test_a_bundled_model_has_the_recipe_of_the_rule():
    planned = protocol.plan("coordconv")
    ruled = {run.task.name for run in planned.runs if run.recipe_name == "rule"}
    assert ruled == {task for name, task in planned.runs[0].model.searches if name == "rule"}
    assert planned.command == "not-so-clevr suite coordconv"


def test_a_given_recipe_is_used_where_it_exists():
    planned = protocol.plan("coordconv", recipes=["article"], settings={"epochs": 2})
    (recipe,) = {run.recipe_name for run in planned.runs}
    assert recipe == "article-epochs=2"
    assert planned.label == "coordconv-article-epochs=2"
    assert planned.command == "not-so-clevr suite coordconv --recipe article --set epochs=2"
    with pytest.raises(UserError, match="coordconv has no recipe 'artcle'"):
        protocol.plan("coordconv", recipes=["artcle"])


def test_the_recipe_in_a_file_is_for_its_task(tmp_path):
    runs = tuning.points("coordconv", task="regression")
    search = tuning.search(
        runs,
        1,
        {},
        [result(config=runs[0].config.name, model="coordconv", recipe=runs[0].recipe_name)],
        {},
    )
    path = search.write(tmp_path / "found.toml")
    file = str(path)
    assert benchmark.plan("coordconv", **TASK, recipe=path).file == file
    for wrong in (5, b"found.toml"):
        with pytest.raises(UserError, match="recipe=.* is neither a name nor a file"):
            benchmark.plan("coordconv", **TASK, recipe=wrong)
    for one in (path, file):
        with pytest.raises(
            UserError, match="recipes must be a list, got .*found.toml.*; put it into"
        ):
            protocol.plan("coordconv", recipes=one)
    with pytest.raises(UserError, match="recipes must be a list, got 3; put it into brackets."):
        protocol.plan("coordconv", recipes=3)
    with pytest.raises(UserError, match="quick must be True or False, got 'no'."):
        protocol.plan("coordconv", quick="no")
    assert protocol.plan("coordconv", recipes=[path]).runs[0].file == file
    planned = protocol.plan("coordconv", recipes=[file, "article"])
    names = {run.task.name: run.file or run.recipe_name for run in planned.runs}
    assert names["regression"] == file
    assert set(names.values()) == {file, "article"}


@pytest.mark.parametrize(
    ("task", "sentence"),
    [
        (
            "regresion",
            r"task='regresion' is unknown \(did you mean 'regression'\?\); expected one of",
        ),
        ("localisation", "^net is not a model for localisation; expected one of regression.$"),
    ],
)
def test_a_recipe_for_a_task_that_the_model_has_not_is_told(task, sentence, tmp_path):
    file = tmp_path / "net.toml"
    file.write_text(f'name = "rule"\nmodel = "net"\ntask = "{task}"\n[settings]\n')
    mine = with_recipes(source="me", mine={"regression": Recipe()})(lambda task: two_numbers(task))
    with pytest.raises(UserError, match=sentence):
        protocol.plan(mine, name="net", recipes=[file, "mine"])


def test_a_compiled_model_keeps_its_optimizer():
    planned = protocol.plan(compiled)
    (settings,) = {str(run.settings) for run in planned.runs}
    assert settings == str({"steps": 1000, "batch_size": 16})


def test_a_function_that_fits_nothing_is_told_why():
    with pytest.raises(
        UserError, match=r"fits no task of classification, .*; classification: .*KeyError"
    ):
        protocol.plan(lambda task: {}["x"], name="net")


def test_a_quick_suite_is_part_of_the_full_one():
    quick, full = protocol.plan(two_numbers, quick=True), protocol.plan(two_numbers)
    assert {run.config.name for run in quick.runs} == {"uniform_32", "quadrant_32"}
    assert quick.seeds == 1
    assert {run.id for run in quick.runs} <= {run.id for run in full.runs}
    assert quick.label.endswith("-quick")


@pytest.fixture
def small(monkeypatch):
    """The suite on small canvases."""
    small = {
        "interpolation": results.Capability("uniform_12_square3", ""),
        "recombination": results.Capability("quadrant_12_square3", ""),
        "transfer": results.Capability("uniform_12_square3", "", "uniform_14_square3"),
    }
    usual = dict(CAPABILITIES)
    CAPABILITIES.clear()
    CAPABILITIES.update(small)
    monkeypatch.setattr(protocol, "SEEDS", 2)
    yield
    CAPABILITIES.clear()
    CAPABILITIES.update(usual)


def test_the_suite_is_interrupted_and_goes_on(small, tmp_path, monkeypatch):
    arguments = {"settings": {"steps": 4}, "data": "memory", "name": "net", "runs": tmp_path}
    done = []

    def fit(self, *arguments, fit=keras.Model.fit, **keywords):
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(self)
        return fit(self, *arguments, **keywords)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(keras.Model, "fit", fit)
        benchmark.suite(two_numbers, **arguments)
    first, _ = results.load([tmp_path])
    assert len(first) == 3

    profile = benchmark.suite(two_numbers, **arguments)
    assert profile.tasks == ["regression", "localisation"]
    assert len(profile.runs) == 2 * 2 * 2
    kept = {run.id: run.seconds for run in first}
    assert {run.id: run.seconds for run in profile.runs}.items() >= kept.items()
    assert profile.cells["regression", "interpolation"].seeds == 2
    assert profile.gap("regression", "transfer") == "does not fit"  # Its weights have a size.
    assert profile.gap("regression", "recombination") == ""


def test_a_suite_does_not_go_on_with_runs_of_another_network(small, tmp_path):
    def grown(task):
        inputs = keras.Input(task.input_shape)
        x = keras.layers.Dense(3)(keras.layers.Flatten()(inputs))
        return keras.Model(inputs, keras.layers.Dense(2)(x))

    arguments = {"settings": {"steps": 4}, "data": "memory", "name": "net", "runs": tmp_path}
    profile = benchmark.suite(two_numbers, quick=True, **arguments)
    with pytest.raises(
        UserError, match=r"seed0 has 290 parameters, and net has 443 now; replace or delete the run"
    ):
        benchmark.suite(grown, **arguments)
    assert len(results.load([tmp_path])[0]) == len(profile.runs)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"steps": -5}, "steps=-5 is out of range; expected an integer from 1"),
        ({"loss": "brightness"}, "loss=.brightness. is for rendering and painting"),
    ],
)
def test_a_wrong_setting_is_no_gap(small, settings, sentence):
    with pytest.raises(UserError, match=f"^{sentence}"):
        benchmark.suite(two_numbers, settings=settings, data="memory")


def test_a_bug_is_no_gap(small):
    def buggy(task):
        return kears.Input(task.input_shape)  # noqa: F821

    with pytest.raises(UserError, match="name 'kears' is not defined"):
        benchmark.suite(buggy, settings={"steps": 4}, data="memory")


def test_a_failed_run_counts_as_one_that_is_not_perfect():
    runs = [result(seed=seed) for seed in (0, 2)]
    failures = {"regression/uniform_32/net-rule/seed1": "It diverged."}
    profile = Profile("net", runs, failures=failures)
    assert profile.text("regression", "interpolation") == "100 %, 2 of 3 (1 failed)"
    assert "2 of 3 [9, 99], 1 failed" in files.table(profile)
    every = Profile("net", [result("rendering")], failures=failures)
    assert every.gap("regression", "interpolation") == "failed"
    assert every.gap("regression", "transfer") == "not run"


def test_a_profile_has_gaps_and_not_zeros():
    does_not_fit = result(seed=1, also={"uniform": "net does not fit: why."})
    runs = [*of("net", [1.0, 0.0]), does_not_fit, result("rendering", "border_32")]
    failures = {"regression/border_32/net-rule/seed0": "It diverged."}
    profile = Profile("net", runs, {"painting": "no"}, failures)
    assert profile.shares == {
        ("regression", "interpolation"): 1,
        ("regression", "recombination"): 0,
        ("rendering", "extrapolation"): 1,
    }
    assert profile.text("regression", "interpolation") == "100 %, 2 of 2"
    assert profile.text("regression", "recombination") == "0.0 %, 0 of 1"
    texts = [profile.text("regression", name) for name in list(CAPABILITIES)[2:]]
    assert texts == ["failed", "not run", "does not fit"]
    assert profile.text("painting", "transfer") == "does not fit"


def test_the_nearest_is_so_over_the_cells_that_both_have():
    """Distances by hand: same is 0 off; near .3 and .4 in 4 cells, so .5 / 2; far 1 in 3 cells."""
    own = Profile("net", of("net", [1, 0.5, 0.0, 1.0]))
    reference = [
        *of("far", [0, 0.5, 0.0]),
        *of("near", [1, 0.2, 0.4, 1]),
        *of("same", [1, 0.5, 0.0, 1.0]),
        *of("net", [1, 0.5, 0.0, 1.0]),  # Itself
        *of("one", [1]),  # Too few cells
        *of("other", [1, 0.5, 0.0, 1.0], search=None),  # Not by the rule
    ]
    found = nearest(own, reference)
    assert [(each.label, each.shared) for each in found] == [
        ("same-rule", 4),
        ("near-rule", 4),
        ("far-rule", 3),
    ]
    assert [each.distance for each in found] == pytest.approx([0, 0.25, 1 / math.sqrt(3)])
    assert nearest(own, [], 3) == []


def test_the_table_for_a_paper_has_exact_intervals():
    """Clopper-Pearson, 2 of 3: 9.4 to 99.2 %, 3 of 3: 29.2 to 100 %."""
    runs = [
        *(result(seed=seed) for seed in range(3)),
        *(result(config="quadrant_32", seed=seed, test=[1, 1, 0.4][seed]) for seed in range(3)),
    ]
    text = files.table(Profile("net", runs, {"painting": "no"}))
    assert r"regression & 100\,\% & 80.0\,\% & \textit{not run}" in text
    assert "3 of 3 [29, 100]" in text
    assert "2 of 3 [9, 99]" in text
    (painting,) = [line for line in text.splitlines() if line.startswith("painting")]
    assert painting.count("does not fit") == 5
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert {line.count("&") for line in rows} == {5}


def braces(text):
    return re.sub(r"\\[{}]", "", text)


UNTRUSTED = "a_b%$#{}\\input{/etc/passwd}~^é"


def test_the_appendix_holds_untrusted_text_as_text():
    name = UNTRUSTED
    search = {"points": 9, "perfect": 3, "config": "quadrant_upper_left_32"}
    runs = [result(model=name, search=search), result(model=name, task="rendering")]
    near = nearest(Profile("net", runs), of("near_one", [1.0, 0.5]))
    command = "not-so-clevr suite a_b --set x=1"
    failures = {"detection/rows_32/net/seed0": "Its loss is 100 % NaN."}
    text = files.appendix(Profile(name, runs, failures=failures), near, command)
    assert r"\input{profile.tex}" in text
    assert re.search(r"Failed:} 1 run, .*rows.*seed0}. Its loss is 100 \\% NaN\.", text)
    assert "\\input{/etc" not in text.replace(r"\allowbreak{}", "")
    assert text.isascii()
    assert braces(text).count("{") == braces(text).count("}")
    assert r"the best of 9 points on quadrant\_upper\_left\_32." in text
    assert "steps=1000" in text
    assert "epochs" not in text
    counted = {"epochs": 60, "schedule": "step", "step_epochs": 40}
    (recipe,) = files._recipes([result(settings=counted, search=None)])
    assert recipe == ("rule (regression)", "epochs=60, schedule=step, step_epochs=40")
    decayed = {"epochs": 60, "schedule": "cosine", "weight_decay": 1.0}
    several = [
        result(settings=counted, search=None),
        result("rendering", settings=decayed, search=None),
    ]
    assert list(files._recipes(several)) == [
        ("all", "epochs=60"),
        ("rule (regression)", "schedule=step, step_epochs=40"),
        ("rule (rendering)", "schedule=cosine, weight_decay=1.0"),
    ]
    assert "906 (regression, rendering)" in text
    assert r"near\char95\relax{}one" in text
    assert "2 cores of A, jax" in text
    assert not re.search(r"<<|>>|<%|%>", text)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["my_models.build", UNTRUSTED])
def test_the_appendix_is_one_page(tmp_path, name):
    runs = [
        result(task, config, seed, model=name, settings={"steps": 1000, "learning_rate": rate})
        for task, rate in zip(METRICS, (0.1, 0.2, 0.3), strict=True)
        for config in SETS
        for seed in range(3)
    ]
    failures = {f"detection/rows_32/{name}/seed0": f"The loss of {name} is NaN after epoch 3."}
    profile = Profile(name, runs, {"painting": f"{name} does not fit it"}, failures)
    near = nearest(profile, of("near_one", [1.0, 0.5, 1.0, 0.0]))
    command = f"not-so-clevr suite {name} --recipe runs/rule/regression/{name}.toml"
    report.write_profile(tmp_path, profile, near, command)

    pdflatex = subprocesses.debian("pdflatex", "texlive-latex-recommended")
    words = [pdflatex, "-interaction=nonstopmode", "-halt-on-error", "appendix.tex"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout
    assert "(1 page," in done.stdout
    assert "Overfull" not in done.stdout


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("a_b", r"a\_b"),
        ("50 %", r"50 \%"),
        ("\\x", r"\textbackslash{}x"),
        ("é", "[U+00E9]"),
        ("<a|b>", r"\textless{}a\textbar{}b\textgreater{}"),
    ],
)
def test_latex_is_escaped(text, latex):
    assert files.latex(text) == latex


def lines(axes, color):
    return [line for line in axes.lines if line.get_color() == color]


def test_a_radar_has_a_gap_where_there_is_no_capability():
    runs = [*of("net", [1.0, 0.5, 0.0]), result("rendering")]
    figure = report.radar(Profile("net", runs), nearest(Profile("net", runs), of("a", [1, 1, 1])))
    panels = {axes.get_title(): axes for axes in figure.axes}
    assert list(panels) == list(TASKS)

    points = lines(panels["regression"], files._OWN)[-1]
    np.testing.assert_allclose(points.get_ydata(), [100, 50, 0])
    np.testing.assert_allclose(points.get_xdata(), 2 * np.pi * np.arange(3) / 5)
    assert len(lines(panels["regression"], files._OWN)) == 2 + 1  # Between neighbours only
    dotted = lines(panels["regression"], files._GAP)
    assert len(dotted) == 2
    assert len(lines(panels["painting"], files._GAP)) == 5
    assert lines(panels["painting"], files._OWN)[-1].get_ydata().size == 0
    assert "not run" in " ".join(text.get_text() for text in panels["painting"].texts)


def test_the_files_of_a_profile_are_equal_for_equal_runs(tmp_path):
    profile = Profile("net", of("net", [1.0, 0.5, 0.0]))
    both = [
        report.write_profile(tmp_path / name, profile, [], "not-so-clevr suite net", "runs")
        for name in "ab"
    ]
    names = ["radar.png", "radar.pdf", "profile.tex", "appendix.tex", "report.html"]
    assert [file.name for file in both[0]] == names
    for one, other in zip(*both, strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_files_of_others_are_not_replaced(tmp_path):
    profile = Profile("a_net", of("a_net", [1.0, 0.5]))
    report.write_profile(tmp_path / "a", profile)
    report.write_profile(tmp_path / "a", profile)
    with pytest.raises(FileExistsError, match=r"radar\.png is not of a profile of net; move it"):
        report.write_profile(tmp_path / "a", Profile("net", of("net", [1.0, 0.5])))
    (tmp_path / "report.html").write_text("mine")
    with pytest.raises(FileExistsError, match=r"report\.html is not of a profile of a_net; move"):
        report.check_profile_folder(tmp_path, "a_net")
    assert (tmp_path / "report.html").read_text() == "mine"


def test_the_command_prints_the_profile_and_writes_its_files(small, tmp_path, monkeypatch):
    (tmp_path / "my_suite_net.py").write_text(
        "import keras\n"
        "def build(task):\n"
        "    inputs = keras.Input(task.input_shape)\n"
        "    x = keras.layers.Flatten()(inputs)\n"
        "    return keras.Model(inputs, keras.layers.Dense(2)(x))\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    words = ["suite", "my_suite_net:build", "--data", "memory", "--set", "steps=4"]
    outcome = CliRunner().invoke(app, words)
    assert outcome.exit_code == 0, outcome.output
    assert "8 runs: regression, localisation" in outcome.stdout
    assert "Not painting: my_suite_net:build" in outcome.stdout
    assert re.search(r"\| regression \| recombination \| .* %, \d of 2 \|", outcome.stdout)
    assert "| regression | transfer | does not fit |" in outcome.stdout
    folder = tmp_path / "runs" / "suite" / "my_suite_net.build-steps=4"
    assert {file.name for file in folder.iterdir()} == {
        *("radar.png", "radar.pdf", "profile.tex", "appendix.tex", "report.html")
    }
