"""What others published, the runs that show whether it holds, and the grids of the paper.

Numbers of the article and of Liu et al. 2018 (arXiv 1807.03247) are quoted as they stand there, and what they tell in words is
told in few; none was measured by us.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from not_so_clevr.results.experiment import PERFECT, Experiment

ARTICLE = "article"
PAPER = "Liu et al. 2018"

SOURCES = f"""{ARTICLE}: Ashwin D'Cruz 2019, https://www.cambridgespark.com/info/tutorial-coordconv. {PAPER}:
https://arxiv.org/abs/1807.03247. Numbers as quoted; none was measured by us."""

_SPLITS = ("uniform", "quadrant")
_ALL = (1.0, 1.0)  # A perfect number stands for itself alone, any other for itself, 5 points more or less.

_LEAPS = {
    "uniform": "its learning rate stays high, and it leaps: where it stands at the end is a matter of chance",
    "quadrant": "its learning rate stays high, and it leaps, now and then to nothing right",
}
_LAST = "row 4, where the background is highest, is learned last, and not with every seed"
_BLACK = {
    "uniform": "where every canvas is black, the layer after the softmax is dead",
    "quadrant": "with some seeds every canvas is black: slow, or leapt back, or dead in the layer after the softmax",
}
_PICTURES = "the article has pictures only, and no settings; these are those of classification"


def _article(task: str, config: str, model: str, recipe: str = "article", **told: Any) -> Experiment:
    return Experiment(task, config, model, recipe, source=ARTICLE, **told)


_COLLAPSE = _article(
    *("classification", "quadrant", "deconv"),
    epochs="200",
    train="100 %",
    test="0 %",
    metric="accuracy",
    expected=(0, 0.05),
    remark="deconvolution collapses on the held-out quadrant; train is not learned with every seed",
)
_SMALL_FILTERS = _article(
    *("rendering", "quadrant", "coordconv"),
    train="pictures only",
    test="imperfect, worse than on uniform",
    metric="iou",
    remark=f"filters of 2 x 2; {_BLACK['quadrant']}; {_PICTURES}",
)
_ARTICLE = (
    *(
        _article(
            *("classification", config, "coordconv"),
            epochs="100",
            train="100 %",
            test="100 %",
            metric="accuracy",
            expected=_ALL,
            remark=_LEAPS[config],
        )
        for config in _SPLITS
    ),
    _article(
        *("classification", "uniform", "deconv"),
        epochs="200",
        train="100 %",
        test="85.8 %",
        metric="accuracy",
        expected=(0.808, 0.908),
        remark="it leaps, too: most seeds come there after some epoch, and are not there at the end",
    ),
    _COLLAPSE,
    _article(
        *("regression", "uniform", "coordconv"),
        epochs="50",
        train="100 %",
        test="100 %",
        metric="coordinate_accuracy",
        expected=_ALL,
        remark=_LAST,
    ),
    _article(
        *("regression", "quadrant", "coordconv"),
        epochs="50",
        train="100 %",
        test="100 %",
        metric="coordinate_accuracy",
        expected=_ALL,
        remark=f"of train, {_LAST}",
    ),
    _article(
        *("regression", "uniform", "conv"),
        epochs="100",
        train="48.6 %",
        test="47.7 %",
        metric="coordinate_accuracy",
        expected=(0.427, 0.527),
        remark="network, scales and settings are theirs; it leaps to its end",
    ),
    _article(
        *("regression", "quadrant", "conv", "article_quadrant"),
        epochs="100",
        train="40.2 %",
        test="7.1 %",
        metric="coordinate_accuracy",
        expected=(0.021, 0.121),
        remark="train differs much from seed to seed",
    ),
    _article(
        *("rendering", "uniform", "coordconv"),
        train="pictures only",
        test="imperfect",
        metric="iou",
        remark=f"{_BLACK['uniform']}; {_PICTURES}",
    ),
    _SMALL_FILTERS,
    _article(
        *("rendering", "uniform", "deconv"),
        train="messy boundaries",
        test="messy boundaries",
        metric="iou",
        remark=f"no messy boundaries here: most canvases are exact; {_PICTURES}",
    ),
    _article(
        *("rendering", "quadrant", "deconv"),
        train="near perfect",
        test="in stark contrast to train",
        metric="iou",
        remark=_PICTURES,
    ),
)


def _paper(task: str, config: str, model: str, recipe: str = "paper", **told: Any) -> Experiment:
    return Experiment(task, config, model, recipe, source=PAPER, **told)


# The paper tells its grids, and not which point it shows: these are points of the grids, chosen before any was run; of
# deconvolution, whose 1000 epochs are slow, the one of 3x3 filters that costs least. Of regression its abstract tells in words.
_COORDCONV = {"batch_size": 16, "l2": 0.0, "learning_rate": 0.005}
_TWO_STAGE = {"batch_size": 16, "l2": 0.0, "learning_rate": 0.001, "multiplier": 1, "size": 1}
_NO_SOFTMAX = {**_TWO_STAGE, "softmax": False}
_DECONVOLUTION = {"batch_size": 32, "l2": 0.0, "learning_rate": 0.005, "multiplier": 1, "size": 3}
# Their targets of regression, centre / 64, are on another scale than ours: our squared error is (2 * 64 / 63)^2 = 4.13 times as
# large, and so is our L2, which is 1e-5, 1e-4 and 5e-4 there.
_L2 = (4.13e-5, 4.13e-4, 2.06e-3)
_REGRESSION = {"l2": _L2[0], "learning_rate": 0.01}
_CONVOLUTION = {"l2": _L2[1], "learning_rate": 0.001}

_SECONDS = "100 %, in 10 to 20 s on a GPU"
_CHEAPEST = "the cheapest with 3x3 filters"
_PLATEAU = (
    "a seed that is not right in time still stands on a plateau: it knows a line on which the pixel lies, and not where on it"
)
_DEAD = "the dead end of the maximum: with most seeds one coordinate or both are constant; their Adam has a beta_2 of 0.99"
_SLOW = {
    "uniform": "slow: its loss falls in steps, and with most seeds nearly every canvas is black after 50 epochs",
    "quadrant": "slow: its loss falls in steps, and after 50 epochs every canvas is black",
}
_SWITCH = "without the softmax between the stages: their code has a switch, and their commands do not tell how it stood"
_PAPER = (
    *(
        _paper(
            *("classification", config, "coordconv"),
            epochs="50",
            train="100 %",
            test=_SECONDS,
            metric="accuracy",
            expected=_ALL,
            settings=_COORDCONV,
            points=6,
            remark=_PLATEAU,
        )
        for config in _SPLITS
    ),
    _paper(
        *("classification", "uniform", "deconv"),
        epochs="1000",
        test="86 % at most, after over an hour on a GPU",
        metric="accuracy",
        settings=_DECONVOLUTION,
        points=324,
        remark=f"{_CHEAPEST}; of the best of them it tells nothing",
    ),
    _paper(
        *("classification", "quadrant", "deconv"),
        epochs="1000",
        test="about 0 %",
        metric="accuracy",
        expected=(0, 0.05),
        settings=_DECONVOLUTION,
        points=324,
        remark=_CHEAPEST,
    ),
    *(
        _paper(
            *("regression", config, "coordconv"),
            epochs="100",
            test="perfect generalization",
            metric="within_half_pixel",
            expected=_ALL,
            settings=_REGRESSION,
            remark=_DEAD,
        )
        for config in _SPLITS
    ),
    _paper("regression", "uniform", "conv", epochs="100", settings=_CONVOLUTION, points=9),
    _paper(
        *("regression", "quadrant", "conv", "paper_quadrant"),
        epochs="100",
        test="fails spectacularly",
        metric="within_half_pixel",
        expected=(0, 0.1),
        settings=_CONVOLUTION,
        points=9,
        remark="the words are the abstract's, of convolution and coordinates in general",
    ),
    *(
        _paper(
            *("rendering", config, "coordconv"),
            epochs="50",
            train="IoU 1",
            test="IoU 1",
            metric="iou",
            expected=_ALL,
            settings=settings,
            points=8,
            remark=remarks[config],
        )
        for settings, remarks in ((_TWO_STAGE, _SLOW), (_NO_SOFTMAX, dict.fromkeys(_SPLITS, _SWITCH)))
        for config in _SPLITS
    ),
    _paper(
        *("rendering", "uniform", "deconv"),
        epochs="1000",
        test="IoU about 0.8, after 90 min on a GPU; never 1",
        metric="iou",
        settings={**_DECONVOLUTION, "loss": "task"},
        points=648,
        remark=f"{_CHEAPEST}; of the best of them it tells nothing; on which split is not told",
    ),
)


def _stuck(settings: Mapping[str, Any], remark: str) -> Experiment:
    """Returns a failure of which the article tells in words.

    What always answers (31.5, 31.5) is 21.2 pixels off in the mean over the test split of `uniform`; another constant is as far
    off, or farther.
    """
    return _article(
        *("regression", "uniform", "coordconv"),
        test="always (31.5, 31.5)",
        metric="error",
        expected=(21, 24),
        settings=settings,
        remark=remark,
    )


_FAILURES = (
    _stuck({"pooling": "mean"}, "mean pooling instead of max pooling"),
    _stuck(
        {"learning_rate": 1e-4},
        "a learning rate of 0.0001: near (31.5, 31.5) after epoch 10, and slowly on its way from there",
    ),
    _stuck(
        {"epochs": 200, "learning_rate": 0.01},
        "trained for too long: right at first, with a learning rate of 0.01; then one point, in the middle or near it",
    ),
    _article(
        *("classification", "quadrant", "tiled_conv", ""),
        test="hardly learns",
        metric="accuracy",
        expected=(0, 0.05),
        remark="tiled, without coordinates; the article does not tell the split",
    ),
    Experiment("rendering", "quadrant", "tiled_conv", metric="exact", remark="tiled, without coordinates; nobody tells of it"),
    _COLLAPSE,
    _SMALL_FILTERS,
    Experiment(
        *("classification", "quadrant", "coordconv"),
        source="titu1994/keras-coordconv, issue 9",
        test="about one try in three is perfect",
        metric=PERFECT,
        expected=(0.1, 0.6),
        settings={"weight_decay": 0.0},
        remark="without weight decay; on 32x32 the first layer was seen to stay nearly as random as it began",
    ),
)


def _grid(model: str, task: str, **axes: tuple[Any, ...]) -> tuple[Experiment, ...]:
    """Returns every combination of settings, on both splits."""
    recipes = {"uniform": "paper", "quadrant": "paper_quadrant" if model == "conv" else "paper"}
    return tuple(
        _paper(task, config, model, recipe, settings=dict(zip(axes, values, strict=True)))
        for config, recipe in recipes.items()
        for values in itertools.product(*axes.values())
    )


_DECONV: dict[str, tuple[Any, ...]] = {
    "learning_rate": (0.001, 0.002, 0.005, 0.01, 0.02, 0.05),
    "l2": (0.0, 0.001, 0.01),
    "size": (2, 3, 4),
    "multiplier": (1, 2, 3),
    "batch_size": (16, 32),
}

SUITES: Mapping[str, tuple[Experiment, ...]] = {
    "article": _ARTICLE,
    "paper": _PAPER,
    "failures": _FAILURES,
    "paper_deconv_classification": _grid("deconv", "classification", **_DECONV),
    "paper_deconv_rendering": _grid("deconv", "rendering", **_DECONV, loss=("task", "mean_squared_error")),
    "paper_coordconv_classification": _grid(
        "coordconv", "classification", learning_rate=(0.001, 0.005, 0.01), l2=(0.0, 0.001), batch_size=(16,)
    ),
    "paper_coordconv_rendering": _grid(
        "coordconv", "rendering", learning_rate=(0.001, 0.005), l2=(0.0, 0.001), multiplier=(1, 2), size=(1,), batch_size=(16,)
    ),
    "paper_conv_regression": _grid("conv", "regression", learning_rate=(0.0005, 0.001, 0.01), l2=_L2),
    "paper_coordconv_regression": _grid("coordconv", "regression", learning_rate=(0.01,), l2=_L2[:1]),
}

PUBLISHED_COLUMNS = ("source", "task", "model", "config", "epochs", "metric", "train", "test")
PUBLISHED = tuple(  # Two experiments may be about one row.
    dict.fromkeys(tuple(getattr(each, column) for column in PUBLISHED_COLUMNS) for each in _ARTICLE + _PAPER if each.test)
)
