"""The report: one HTML page of runs, its figures, the figure for a paper, a profile's files."""

from not_so_clevr.report.page import FORMATS, load, page, write, write_figures
from not_so_clevr.report.paper import errors_figure
from not_so_clevr.report.profile import check_profile_folder, radar, write_profile
from not_so_clevr.report.style import FORMATS as FIGURE_FORMATS
from not_so_clevr.report.style import write as write_figure

__all__ = [
    "FIGURE_FORMATS",
    "FORMATS",
    "check_profile_folder",
    "errors_figure",
    "load",
    "page",
    "radar",
    "write",
    "write_figure",
    "write_figures",
    "write_profile",
]
