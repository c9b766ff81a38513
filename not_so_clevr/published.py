"""Results that others published, as they stand there. None was measured by us; accuracies are theirs."""

from __future__ import annotations

PUBLISHED_COLUMNS = ("source", "task", "model", "config", "epochs", "train", "test")

_ARTICLE = "article"
_PAPER = "Liu et al. 2018"

PUBLISHED = (
    (_ARTICLE, "classification", "coordconv", "uniform", "100", "100 %", "100 %"),
    (_ARTICLE, "classification", "coordconv", "quadrant", "100", "100 %", "100 %"),
    (_ARTICLE, "classification", "deconv", "uniform", "200", "100 %", "85.8 %"),
    (_ARTICLE, "classification", "deconv", "quadrant", "200", "100 %", "0 %"),
    (_ARTICLE, "regression", "coordconv", "uniform", "50", "100 %", "100 %"),
    (_ARTICLE, "regression", "coordconv", "quadrant", "50", "100 %", "100 %"),
    (_ARTICLE, "regression", "conv", "uniform", "100", "48.6 %", "47.7 %"),
    (_ARTICLE, "regression", "conv", "quadrant", "100", "40.2 %", "7.1 %"),
    (_ARTICLE, "rendering", "coordconv", "uniform", "", "pictures only", "imperfect"),
    (_ARTICLE, "rendering", "coordconv", "quadrant", "", "pictures only", "imperfect, the worst"),
    (_PAPER, "classification", "coordconv", "uniform", "50", "100 %", "100 %, in 10 to 20 s on a GPU"),
    (_PAPER, "classification", "coordconv", "quadrant", "50", "100 %", "100 %, in 10 to 20 s on a GPU"),
    (_PAPER, "classification", "deconv", "uniform", "1000", "100 %", "86 % at most, after over an hour on a GPU"),
    (_PAPER, "classification", "deconv", "quadrant", "1000", "100 %", "about 0 %"),
    (_PAPER, "rendering", "coordconv", "uniform", "50", "IOU 1", "IOU 1"),
    (_PAPER, "rendering", "coordconv", "quadrant", "50", "IOU 1", "IOU 1"),
    (_PAPER, "rendering", "deconv", "uniform", "1000", "", "IOU about 0.8, after 90 min on a GPU; never 1"),
)
