"""Weights as one file of another runtime: the graph, the formats, int8, and the check."""

from ssmde.exporting.parity import ExportReport, ParityError
from ssmde.exporting.to_file import export

__all__ = ["ExportReport", "ParityError", "export"]
