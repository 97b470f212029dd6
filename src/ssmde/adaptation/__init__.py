"""A video in, a depth network that is right there out: `ssmde adapt`."""

from ssmde.adaptation.stages import Adapted, adapt

__all__ = ["Adapted", "adapt"]
