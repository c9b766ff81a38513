"""The report: one HTML page of runs, its figures as files, and the figure for a paper."""

from not_so_clevr.report.page import FORMATS, load, page, write, write_figures
from not_so_clevr.report.paper import errors_figure
from not_so_clevr.report.style import FORMATS as FIGURE_FORMATS
from not_so_clevr.report.style import write as write_figure

__all__ = [
    "FIGURE_FORMATS",
    "FORMATS",
    "errors_figure",
    "load",
    "page",
    "write",
    "write_figure",
    "write_figures",
]
