"""Every knob of a run, in one tree of frozen dataclasses.

The tree is plain data: it imports nothing from the package, holds no tensors and no class paths.
Presets are values of it (`presets.py`), the command line overrides it (`cli.py`), a checkpoint
carries it.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import yaml
from pydantic import TypeAdapter


class Section:
    """A part of the tree; a key it does not name is an error."""

    __slots__ = ()
    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}


def _refuse(fault: bool, message: str) -> None:
    if fault:
        raise ValueError(message)


@dataclass(frozen=True, kw_only=True, slots=True)
class DataConfig(Section):
    """Where the frames come from, how a snippet is cut and how it is varied."""

    root: Path = Path("data")
    """Folder of scene folders."""
    image_size: tuple[int, int] = (256, 320)
    """Training size (height, width), in pixels; multiples of 32."""
    frame_gaps: tuple[int, ...] = (1,)
    """Distance of the two sources from the target, in stored frames; with several, each snippet
    draws one."""
    scene_gaps: tuple[tuple[str, int], ...] = ()
    """Gaps of single scenes in place of `frame_gaps`, as pairs of scene and gap: recordings differ
    in frame rate and pace. A scene may come several times."""
    poses: Literal["none", "tracked", "file"] = "none"
    """Motion of the camera that comes with the frames: none, what `ssmde track` found in the video,
    or the poses.txt of the scenes, as a robot or a phone measures it."""
    least_baseline: float = 0.0
    """With poses: the camera moved at least so far from the target to either source. In the unit of
    the poses; that of tracked ones is the median depth of the scene."""
    flip: float = 0.5
    """Probability that a snippet is mirrored left to right."""
    zoom: float = 1.15
    """Largest zoom of the random zoom-and-crop; 1 turns it off."""
    colour_jitter: float = 0.5
    """Probability that the colours of a snippet are changed."""
    brightness: float = 0.2
    """Colours are multiplied by 1 - brightness to 1 + brightness."""
    contrast: float = 0.2
    """Colours move towards or away from mid-grey by this factor."""
    saturation: float = 0.2
    """Colours move towards or away from grey by this factor."""
    hue: float = 0.05
    """Largest turn of the colour circle, as a share of it."""
    workers: int = 2
    """Processes that read frames; 0 reads in the main process."""

    def __post_init__(self) -> None:
        """Refuse values that cannot make a snippet."""
        _refuse(
            any(side < 32 or side % 32 for side in self.image_size),
            f"data.image_size must be multiples of 32, got {self.image_size}",
        )
        _refuse(
            not self.frame_gaps or any(gap < 1 for gap in self.frame_gaps),
            f"data.frame_gaps must be whole numbers of at least 1, got {self.frame_gaps}",
        )
        _refuse(
            any(gap < 1 for _, gap in self.scene_gaps),
            f"data.scene_gaps must be whole numbers of at least 1, got {self.scene_gaps}",
        )
        _refuse(
            not self.least_baseline >= 0 or (self.least_baseline > 0 and self.poses == "none"),
            f"data.least_baseline must be at least 0, and needs data.poses tracked or file; got "
            f"{self.least_baseline} with data.poses {self.poses}",
        )
        _refuse(not 0 <= self.flip <= 1, f"data.flip is a probability, got {self.flip}")
        _refuse(
            not 0 <= self.colour_jitter <= 1,
            f"data.colour_jitter is a probability, got {self.colour_jitter}",
        )
        _refuse(self.zoom < 1, f"data.zoom must be at least 1, got {self.zoom}")
        _refuse(self.workers < 0, f"data.workers must be at least 0, got {self.workers}")
        for name in ("brightness", "contrast", "saturation"):
            value = getattr(self, name)
            _refuse(not 0 <= value < 1, f"data.{name} must be in [0, 1), got {value}")
        _refuse(not 0 <= self.hue <= 0.5, f"data.hue must be in [0, 0.5], got {self.hue}")


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig(Section):
    """The depth network and the pose network."""

    encoder: Literal["resnet18", "resnet34", "resnet50"] = "resnet18"
    """Encoder of the depth network."""
    pretrained: str = "none"
    """Encoder weights: `none`, `hub` (ImageNet, downloaded once), or a local file."""
    upsampling: Literal["nearest", "bilinear"] = "nearest"
    """How the decoder doubles its maps: monodepth2 nearest, SC-Depth bilinear."""
    depth_range: tuple[float, float] = (0.1, 100.0)
    """Smallest and largest depth the network can say, in scene units."""
    initial_depth: float = 1.0
    """Depth the untrained network says, in scene units. A near start gives translation a longer
    lever than rotation: at 0.2, where a sigmoid starts, five times."""
    pose_net: Literal["posecnn", "resnet18"] = "posecnn"
    """Light pose network (1.6 M parameters) or a ResNet-18 (13 M)."""
    pose_scale: float = 0.01
    """Factor on the six raw outputs of the pose network."""
    freeze_batch_norm: bool = False
    """Keep the statistics of batch normalisation as loaded; for very small batches."""

    def __post_init__(self) -> None:
        """Refuse a depth range that is no range."""
        near, far = self.depth_range
        _refuse(
            not 0 < near < far,
            f"model.depth_range must be 0 < near < far, got {self.depth_range}",
        )
        _refuse(
            not near < self.initial_depth < far,
            f"model.initial_depth must lie inside model.depth_range {self.depth_range}, got "
            f"{self.initial_depth}",
        )
        _refuse(self.pose_scale <= 0, f"model.pose_scale must be positive, got {self.pose_scale}")


@dataclass(frozen=True, kw_only=True, slots=True)
class LossConfig(Section):
    """Weights of the terms of the loss, and the switches of its masks; 0 leaves a term out."""

    photometric: float = 1.0
    """SSIM + L1 between the target and the rebuilt target, in [0, 1] per pixel."""
    geometry: float = 0.0
    """Depth inconsistency between two views, in [0, 1) per pixel."""
    pose: float = 1.0
    """Where poses come with the frames they are the motion, and the pose network learns to say them
    with this weight: mean absolute difference of rotation matrix and translation. The three fields
    below then have no effect."""
    rotation_first: float = 0.0
    """Share of the training, from its start, in which only the rotation is learnt, from blurred
    images and without depth. Hand-held video is mostly rotation, which translation must not
    explain."""
    upright_first: float = 0.0
    """Share of the training, after that, in which the whole motion is learnt before a fixed plane
    that is nearer below, and the depth network learns this plane: it decides which way is near."""
    normalise_depth: bool = False
    """Divide the depths of a snippet by one scale, that of its mean disparity, before they are
    compared: the loss then cannot push the depth to infinity to be rid of a wrong translation."""
    geometry_ramp: float = 0.0
    """Share of the training over which the geometry weight rises from 0; agreement before there is
    depth to agree on keeps the depth constant."""
    smoothness: float = 0.001
    """Edge-aware first-order smoothness of the mean-normalised disparity."""
    scales: tuple[int, ...] = (0,)
    """Decoder scales that carry the loss: 0, which is full size, and any of 1, 2, 3 (an eighth)."""
    ssim_share: float = 0.85
    """Share of SSIM in the photometric error; the rest is L1."""
    auto_mask: bool = True
    """Leave out pixels that an unmoved source explains better (Monodepth2)."""
    minimum_reprojection: bool = True
    """Per pixel, only the source that rebuilds it best counts; else the mean of all."""
    weight_mask: bool = False
    """Weigh the photometric error by 1 - depth inconsistency (SC-Depth)."""
    both_directions: bool = False
    """Also rebuild each source from the target, on the source's own grid (SC-Depth)."""

    def __post_init__(self) -> None:
        """Refuse negative weights and scales the decoder does not have."""
        for name in ("photometric", "geometry", "pose", "smoothness"):
            value = getattr(self, name)
            _refuse(not value >= 0, f"loss.{name} must be at least 0, got {value}")
        _refuse(
            0 not in self.scales or not set(self.scales) <= {0, 1, 2, 3},
            f"loss.scales must be 0 and any of 1, 2, 3, got {self.scales}",
        )
        for name in ("rotation_first", "upright_first", "geometry_ramp"):
            value = getattr(self, name)
            _refuse(
                not 0 <= value <= 1,
                f"loss.{name} is a share of the training, in [0, 1], got {value}",
            )
        _refuse(
            not 0 <= self.ssim_share <= 1,
            f"loss.ssim_share must be in [0, 1], got {self.ssim_share}",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig(Section):
    """The optimiser, the clock and the machine."""

    steps: int = 100_000
    """Optimiser steps."""
    batch_size: int = 4
    """Snippets a step, over all processes together."""
    learning_rate: float = 1e-4
    """Adam's step size."""
    pose_rate: float = 1.0
    """Factor on the learning rate for the pose network; depth can only be learnt from a motion
    that is right, so the motion may hurry ahead."""
    schedule: Literal["constant", "step", "cosine"] = "step"
    """Learning rate over the training: step divides it by 10 at three quarters."""
    warmup_steps: int = 0
    """Steps over which the learning rate rises from 0."""
    clip_gradient: float = 1.0
    """Largest norm of the gradient; 0 turns clipping off."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Arithmetic of the networks; losses and geometry stay in fp32."""
    seed: int = 0
    """Start of every random number of the run."""
    validate_every: int = 1000
    """Steps between two validations."""
    protocol: str = "generic"
    """Protocol of the validation: range and crop of the pixels that count."""
    validation_frames: int = 200
    """Largest number of frames a validation looks at, spread evenly."""
    checkpoint_every: int = 500
    """Steps between two checkpoints of the whole run."""
    keep_best: int = 3
    """Number of best weights to keep, by validation."""
    log_every: int = 50
    """Steps over which the logged losses are averaged."""
    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    """Kind of device."""
    devices: int = 1
    """Processes on this machine; each has a device of its own."""
    nodes: int = 1
    """Machines."""
    threads: int = 0
    """CPU threads of a process; 0 leaves torch's own choice."""

    def __post_init__(self) -> None:
        """Refuse counts that cannot be counted."""
        for name in ("steps", "batch_size", "validate_every", "checkpoint_every", "keep_best"):
            value = getattr(self, name)
            _refuse(value < 1, f"train.{name} must be at least 1, got {value}")
        for name in ("devices", "nodes", "validation_frames", "log_every"):
            value = getattr(self, name)
            _refuse(value < 1, f"train.{name} must be at least 1, got {value}")
        _refuse(self.pose_rate <= 0, f"train.pose_rate must be positive, got {self.pose_rate}")
        _refuse(
            self.learning_rate <= 0,
            f"train.learning_rate must be positive, got {self.learning_rate}",
        )
        _refuse(
            self.batch_size % (self.devices * self.nodes) != 0,
            f"train.batch_size {self.batch_size} must divide evenly over "
            f"{self.devices * self.nodes} processes",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Config(Section):
    """Everything that defines a training run."""

    name: str = "run"
    """Name of the preset the run started from; names its folder."""
    output: Path = Path("runs")
    """Folder that holds the folders of runs."""
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    train: TrainConfig = field(default_factory=TrainConfig)


def load_config(text: str) -> Config:
    """Read a run from YAML.

    Raises:
        pydantic.ValidationError: If a key is unknown or a value is wrong; every fault is listed
            with its full path, such as `data.image_size`.
    """
    return TypeAdapter(Config).validate_python(yaml.safe_load(text) or {})


def dump_config(config: Config) -> str:
    """Write a run as YAML that `load_config` reads back to an equal one."""
    return yaml.safe_dump(TypeAdapter(Config).dump_python(config, mode="json"), sort_keys=False)
