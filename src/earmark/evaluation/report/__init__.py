"""The report: one self-contained page, drawn by hand, that opens offline."""

from earmark.evaluation.report.page import page, write_report

__all__ = ["page", "write_report"]
