"""The report: one HTML page of runs, and its figures as files."""

from not_so_clevr.report.page import FORMATS, load, page, write, write_figures

__all__ = ["FORMATS", "load", "page", "write", "write_figures"]
