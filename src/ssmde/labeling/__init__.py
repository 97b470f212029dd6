"""Pseudo-depth for every frame of a data set, from networks of others, trained here, or files."""

from ssmde.labeling.scenes import LabelResult, label, write_corrected
from ssmde.labeling.sources import SOURCES, LabelRequest, Source, open_source

__all__ = [
    "SOURCES", "LabelRequest", "LabelResult", "Source", "label", "open_source", "write_corrected",
]  # fmt: skip
