"""What others published, the runs that show whether it holds, and the grids of the paper.

Accuracies of the article and of Liu et al. 2018 (arXiv 1807.03247) are quoted as they stand there; none was measured by us.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping
from typing import Any

from not_so_clevr import naming

ARTICLE = "article"
PAPER = "Liu et al. 2018"

SOURCES = f"""{ARTICLE}: Ashwin D'Cruz 2019, https://www.cambridgespark.com/info/tutorial-coordconv. {PAPER}:
https://arxiv.org/abs/1807.03247. As quoted; none was measured by us."""

PERFECT = "perfect"  # The metric of whole runs: whether every example of a split is right


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A run for each seed, and what was published of it.

    Attributes:
        task: the name of the task.
        config: the name of the data set.
        model: the name of the model.
        recipe: the name of its recipe; "" for the default one.
        source: where it was published; "" if nothing was.
        epochs: of the published training, as text.
        train: what was published of train, as text.
        test: what was published of test, as text.
        metric: the metric that was published, or `PERFECT`; "" for the one that tells whether an example is right.
        expected: from where to where the mean of that metric over test reproduces what was published; None if what was
            published tells nothing of a single number, such as a picture, or the best of many runs.
        settings: of the recipe, to change.
        remark: how ours differs, or why it comes out otherwise.
    """

    task: str
    config: str
    model: str
    recipe: str = ""
    source: str = ""
    epochs: str = ""
    train: str = ""
    test: str = ""
    metric: str = ""
    expected: tuple[float, float] | None = None
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    remark: str = ""

    @property
    def label(self) -> str:
        return naming.label(self.model, naming.changed(self.recipe, self.settings))

    @property
    def id(self) -> str:
        """The id of its runs, without the seed."""
        return naming.run_id(self.task, self.config, self.label)


# A perfect number stands for itself alone, any other for itself, 5 points more or less.
_OURS = "their code pads and pools otherwise; this is the network of the paper"
_PICTURES = "the article has pictures only, and no settings; these are those of classification"
_LEAPS = "its learning rate stays high, and it leaps: where it stands at the end is a matter of chance"
_ARTICLE = (
    Experiment(
        *("classification", "uniform", "coordconv", "article", ARTICLE, "100", "100 %", "100 %", "accuracy", (1, 1)),
        remark=_LEAPS,
    ),
    Experiment(
        *("classification", "quadrant", "coordconv", "article", ARTICLE, "100", "100 %", "100 %", "accuracy", (1, 1)),
        remark=_LEAPS,
    ),
    Experiment("classification", "uniform", "deconv", "article", ARTICLE, "200", "100 %", "85.8 %", "accuracy", (0.808, 0.908)),
    Experiment("classification", "quadrant", "deconv", "article", ARTICLE, "200", "100 %", "0 %", "accuracy", (0, 0.05)),
    Experiment(
        *("regression", "uniform", "coordconv", "article", ARTICLE, "50", "100 %", "100 %", "coordinate_accuracy", (1, 1)),
        remark="row 4, where the background is highest, is learned last, and not with every seed",
    ),
    Experiment(
        "regression", "quadrant", "coordconv", "article", ARTICLE, "50", "100 %", "100 %", "coordinate_accuracy", (1, 1)
    ),
    Experiment(
        *("regression", "uniform", "conv", "article", ARTICLE, "100", "48.6 %", "47.7 %"),
        *("coordinate_accuracy", (0.427, 0.527)),
        remark=_OURS,
    ),
    Experiment(
        *("regression", "quadrant", "conv", "article_quadrant", ARTICLE, "100", "40.2 %", "7.1 %"),
        *("coordinate_accuracy", (0.021, 0.121)),
        remark=_OURS,
    ),
    Experiment(
        *("rendering", "uniform", "coordconv", "article", ARTICLE, "", "pictures only", "imperfect", "iou"),
        remark=_PICTURES,
    ),
    Experiment(
        *("rendering", "quadrant", "coordconv", "article", ARTICLE, "", "pictures only", "imperfect, the worst of all", "iou"),
        remark=_PICTURES,
    ),
    Experiment(
        *("rendering", "uniform", "deconv", "article", ARTICLE, "", "messy boundaries", "messy boundaries", "iou"),
        remark=_PICTURES,
    ),
    Experiment(
        *("rendering", "quadrant", "deconv", "article", ARTICLE, "", "near perfect", "in stark contrast to train", "iou"),
        remark=_PICTURES,
    ),
)

_SECONDS = "100 %, in 10 to 20 s on a GPU"
_HOUR = "86 % at most, after over an hour on a GPU"
_NEVER = "IoU about 0.8, after 90 min on a GPU; never 1"
# The paper tells its grids, and not which point it shows: these are points of the grids, chosen before any was run; of
# deconvolution, whose 1000 epochs are slow, the one of 3x3 filters that costs least. Of regression its abstract tells in words.
_COORDCONV = {"batch_size": 16, "l2": 0.0, "learning_rate": 0.005}
_TWO_STAGE = {"batch_size": 16, "l2": 0.0, "learning_rate": 0.001, "multiplier": 1, "size": 1}
_DECONVOLUTION = {"batch_size": 32, "l2": 0.0, "learning_rate": 0.005, "multiplier": 1, "size": 3}
# Their targets of regression, centre / 64, are on another scale than ours: our squared error is (2 * 64 / 63)^2 = 4.13 times as
# large, and so is our L2, which is 1e-5, 1e-4 and 5e-4 there.
_L2 = (4.13e-5, 4.13e-4, 2.06e-3)
_REGRESSION = {"l2": _L2[0], "learning_rate": 0.01}
_CONVOLUTION = {"l2": _L2[1], "learning_rate": 0.001}
_RIGHT = ("accuracy", (1, 1), _COORDCONV)
_DEAD = "the dead end of the maximum: with most seeds one coordinate or both are constant"
_PERFECT = ("within_half_pixel", (1, 1), _REGRESSION, _DEAD)
_CHEAPEST = "one of their 324 points, the cheapest with 3x3 filters"
_PAPER = (
    Experiment("classification", "uniform", "coordconv", "paper", PAPER, "50", "100 %", _SECONDS, *_RIGHT),
    Experiment("classification", "quadrant", "coordconv", "paper", PAPER, "50", "100 %", _SECONDS, *_RIGHT),
    Experiment(
        *("classification", "uniform", "deconv", "paper", PAPER, "1000", "", _HOUR),
        *("accuracy", None, _DECONVOLUTION, f"{_CHEAPEST}; of the best of them it tells nothing"),
    ),
    Experiment(
        *("classification", "quadrant", "deconv", "paper", PAPER, "1000", "", "about 0 %"),
        *("accuracy", (0, 0.05), _DECONVOLUTION, _CHEAPEST),
    ),
    Experiment("regression", "uniform", "coordconv", "paper", PAPER, "100", "", "perfect generalization", *_PERFECT),
    Experiment("regression", "quadrant", "coordconv", "paper", PAPER, "100", "", "perfect generalization", *_PERFECT),
    Experiment("regression", "uniform", "conv", "paper", PAPER, "100", settings=_CONVOLUTION),
    Experiment(
        *("regression", "quadrant", "conv", "paper_quadrant", PAPER, "100", "", "fails spectacularly"),
        *("within_half_pixel", (0, 0.5), _CONVOLUTION),
    ),
    Experiment(
        *("rendering", "uniform", "coordconv", "paper", PAPER, "50", "IoU 1", "IoU 1", "iou", (1, 1), _TWO_STAGE),
        "slow: its loss falls in steps, and still falls after 50 epochs",
    ),
    Experiment(
        *("rendering", "quadrant", "coordconv", "paper", PAPER, "50", "IoU 1", "IoU 1", "iou", (1, 1), _TWO_STAGE),
        "slow: its loss falls in steps, and after 50 epochs every canvas is black",
    ),
    Experiment(
        *("rendering", "uniform", "deconv", "paper", PAPER, "1000", "", _NEVER, "iou", (0.75, 0.85)),
        {**_DECONVOLUTION, "loss": "task"},
        "the paper does not say on which split",
    ),
)

_USER = "titu1994/keras-coordconv, issue 9"

# The article, in words, and a user of another implementation. What always answers (31.5, 31.5) is 21.2 pixels off in the mean
# over the test split of `uniform`; another constant is as far off, or farther.
_STUCK = ("regression", "uniform", "coordconv", "article", ARTICLE, "", "", "always (31.5, 31.5)", "error", (21, 24))
_TILED = ("tiled_conv", "", ARTICLE, "", "", "hardly learns")
_MEAN, _LOW_RATE, _TOO_LONG = {"pooling": "mean"}, {"learning_rate": 1e-4}, {"epochs": 200, "learning_rate": 0.01}
_FAILURES = (
    Experiment(*_STUCK, settings=_MEAN, remark="mean pooling instead of max pooling"),
    Experiment(*_STUCK, settings=_LOW_RATE, remark="a learning rate of 0.0001; after 50 epochs on its way from there"),
    Experiment(*_STUCK, settings=_TOO_LONG, remark="trained for too long: right at first, with a learning rate of 0.01"),
    Experiment("classification", "quadrant", *_TILED, "accuracy", (0, 0.05), remark="tiled, without coordinates"),
    Experiment("rendering", "quadrant", *_TILED, "exact", (0, 0.05), remark="tiled, without coordinates"),
    dataclasses.replace(_ARTICLE[3], remark="deconvolution collapses on the held-out quadrant"),
    dataclasses.replace(_ARTICLE[9], remark="filters of 2 x 2; the article has pictures only"),
    Experiment(
        *("classification", "quadrant", "coordconv", "", _USER, "", "", "about one try in three is perfect"),
        *(PERFECT, (0.1, 0.6), {"weight_decay": 0.0}),
        remark="without weight decay the first layer stays as random as it began",
    ),
)


def _grid(model: str, task: str, **axes: tuple[Any, ...]) -> tuple[Experiment, ...]:
    """Returns every combination of settings, on both splits."""
    recipes = {"uniform": "paper", "quadrant": "paper_quadrant" if model == "conv" else "paper"}
    return tuple(
        Experiment(task, config, model, recipe, PAPER, settings=dict(zip(axes, values, strict=True)))
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
PUBLISHED = tuple(tuple(getattr(each, column) for column in PUBLISHED_COLUMNS) for each in _ARTICLE + _PAPER if each.test)
