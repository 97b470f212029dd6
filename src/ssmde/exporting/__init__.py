"""Weights as one file of another runtime: the graph, the formats, int8, and the check."""

from ssmde.exporting.to_file import ExportReport, ParityError, export

__all__ = ["ExportReport", "ParityError", "export"]
