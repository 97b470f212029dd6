"""Every knob of a run, in one tree of frozen dataclasses.

The tree is plain data: it imports nothing from the package, holds no tensors and no class paths.
Presets are values of it (`presets.py`), the command line overrides it (`cli.py`), a checkpoint
carries it.
"""

from ssmde.config.affine import AffineConfig
from ssmde.config.data import DataConfig
from ssmde.config.former import former_option
from ssmde.config.loss import LossConfig
from ssmde.config.model import ModelConfig
from ssmde.config.pseudo_depth import PseudoDepthConfig
from ssmde.config.reading import read_config
from ssmde.config.section import Section
from ssmde.config.student import FilterConfig, StudentConfig
from ssmde.config.train import TrainConfig
from ssmde.config.tree import Config, dump_config, load_config

__all__ = [
    "AffineConfig",
    "Config",
    "DataConfig",
    "FilterConfig",
    "LossConfig",
    "ModelConfig",
    "PseudoDepthConfig",
    "Section",
    "StudentConfig",
    "TrainConfig",
    "dump_config",
    "former_option",
    "load_config",
    "read_config",
]
