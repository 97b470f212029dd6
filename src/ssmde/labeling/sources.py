"""Where labels come from: depth networks of others, networks trained here, files that exist.

A source takes frames, gives depth or disparity, and says what its labels are.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from PIL import Image

from ssmde.console import did_you_mean, first_line, import_extra
from ssmde.data.images import DEPTH_SUFFIXES, ImageError, read_image, read_map
from ssmde.data.pseudo_labels import Kind, LabelInfo
from ssmde.data.sequence import FrameSequence
from ssmde.former import FORMER_SOURCES
from ssmde.inference.input import resize_depth
from ssmde.inference.loading import find_weights, licence_of, load
from ssmde.inference.predict import network_mark
from ssmde.models.foreign import is_foreign
from ssmde.models.hub import HUB_PREFIX, from_hub
from ssmde.outputs import digest_of
from ssmde.weights import is_released

Pixels = list[UInt8[np.ndarray, "h w 3"]]
Maps = Sequence[Float32[np.ndarray, "_ _"]]

KNOWN_LICENCE = "apache-2.0"  # of the models of the hub that have a name of their own here
METRIC = ("zoedepth", "depth_pro", "glpn")  # kinds of network that give metres
LERES_PAGE = "https://github.com/aim-uofa/AdelaiDepth/tree/main/LeReS"
LERES_LICENCE = (
    "that of your checkpoint; the released LeReS weights: Adobe Research, non-commercial research "
    "only, see https://github.com/aim-uofa/AdelaiDepth"
)
OWN_LICENCE = "that of your own weights, trained with ssmde"
UNKNOWN_LICENCE = "unknown: ask where the files come from"
HUB_LICENCE = "that of its model card: see https://huggingface.co/{}"


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelRequest:
    """What the user says about a source; the options are those of `label`."""

    argument: str = ""  # what stands behind the colon of its name
    kind: Kind | None = None
    size: tuple[int, int] | None = None
    trust: bool = False
    device: torch.device
    scenes: tuple[str, ...] = ()  # names of the scenes to label


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One source, ready to label."""

    info: LabelInfo  # what its labels are
    label: Callable[[list[Any]], Maps]  # of what `read` returned for some frames of one scene
    # What is needed of one frame, by default its pixels; an `ImageError` says why not.
    read: Callable[[FrameSequence, int], Any] = lambda scene, index: read_image(scene.images[index])
    folder: Path | None = None  # it reads labels from, if it does


class Row(NamedTuple):
    """One row of `SOURCES`."""

    open: Callable[[LabelRequest], Source]
    argument: str = ""  # what stands behind a colon after the name; nothing does if empty
    takes: tuple[str, ...] = ("size",)  # options of kind, size and trust


def open_source(name: str, request: LabelRequest) -> Source:
    """The source of that name, a key of `SOURCES` with its argument behind a colon."""
    key, _, argument = name.partition(":")
    if gone := FORMER_SOURCES.get(key):
        raise ValueError(f"source '{key}' is no more: {gone}")
    forms = {k: f"{k}:{row.argument}" if row.argument else k for k, row in SOURCES.items()}
    if key not in SOURCES:
        meant = did_you_mean(key, SOURCES, shown=forms.values())
        raise ValueError(f"unknown source '{name}': {meant}")
    row = SOURCES[key]
    if bool(argument) != bool(row.argument):
        where = f"; its weights, and their licence, are at {LERES_PAGE}" if key == "leres" else ""
        raise ValueError(f"source '{key}' is written {forms[key]}, got '{name}'{where}")
    for option in ("kind", "size", "trust"):
        if getattr(request, option) not in (None, False) and option not in row.takes:
            takers = ", ".join(k for k, other in SOURCES.items() if option in other.takes)
            raise ValueError(f"source '{key}' takes no {option}; {takers} does")
    return row.open(replace(request, argument=argument))


def open_hub(request: LabelRequest, known: str = "") -> Source:
    """A model of the hub that gives affine disparity, or any of `AutoModelForDepthEstimation`."""
    name = known or request.argument
    if find_spec("transformers") and not Path(name).exists():
        import huggingface_hub  # slow, and most sources need no hub

        # Before the import, which takes longer than to find that there is no internet.
        _fetch(huggingface_hub.hf_hub_download, name, filename="config.json")
    transformers = import_extra("transformers", "this source of `ssmde label`", "ssmde[labels]")
    safe = {"trust_remote_code": False}  # weights are opened, code of strangers is not run
    processor = _fetch(transformers.AutoImageProcessor.from_pretrained, name, **safe)
    network = _fetch(transformers.AutoModelForDepthEstimation.from_pretrained, name, **safe)
    network = network.to(request.device).eval()
    wanted = "disparity" if known else request.kind
    kind, affine = _what_it_gives(name, network.config, wanted)
    options: dict[str, Any] = {}
    if request.size:
        options["size"] = {"height": request.size[0], "width": request.size[1]}

    @torch.inference_mode()
    def label(images: Pixels) -> Maps:
        pictures = [Image.fromarray(image) for image in images]
        inputs = processor(images=pictures, return_tensors="pt", **options).to(request.device)
        sizes = [image.shape[:2] for image in images]
        # By its place: it is source_sizes for ZoeDepth, which pads, and target_sizes for the rest.
        found = processor.post_process_depth_estimation(network(**inputs), sizes)
        maps = [one["predicted_depth"].float().cpu().numpy() for one in found]
        return [resize_depth(m, s) for m, s in zip(maps, sizes, strict=True)]

    info = LabelInfo(
        source=f"hf:{name}", version=getattr(network.config, "_commit_hash", None) or "",
        kind=kind, affine=affine, network_size=request.size,
        licence=KNOWN_LICENCE if known else HUB_LICENCE.format(name),
    )  # fmt: skip
    return Source(info=info, label=label)


def _what_it_gives(name: str, config: Any, given: Kind | None) -> tuple[Kind, bool]:
    """Kind, and whether scale and shift are unknown, as far as the configuration tells."""
    family = getattr(config, "model_type", "")
    metric = family in METRIC or getattr(config, "depth_estimation_type", "") == "metric"
    known: Kind | None = "depth" if metric else "disparity" if family == "depth_anything" else None
    if known is not None and given not in (None, known):
        raise ValueError(f"hf:{name} gives {known}, not {given}: leave --kind away")
    if (kind := known or given) is None:
        raise ValueError(
            f"hf:{name}: cannot tell whether this model gives depth or disparity; its model card "
            f"https://huggingface.co/{name} does: add --kind depth or --kind disparity"
        )
    return kind, not metric


def _fetch(load_from: Callable[..., Any], name: str, **options: Any) -> Any:
    """What a loader of the hub returns, or one clear line."""
    try:
        return from_hub(load_from, name, **options)
    except Exception as error:  # the errors of the HTTP client below change with its version
        raise ConnectionError(
            f"cannot open the model {name} of https://huggingface.co "
            f"({type(error).__name__}: {first_line(error)}). Is the name right, and the internet "
            "in reach? Without: download the model elsewhere and give its folder, --source "
            "hf:FOLDER; or take --source ssmde:small, leres:CHECKPOINT or folder:PATH"
        ) from error


def open_leres(request: LabelRequest) -> Source:
    """LeReS (Yin et al., CVPR 2021, https://arxiv.org/abs/2012.09365): depth, affine."""
    from ssmde.models.leres import INFERENCE_SIZE, load_leres

    checkpoint = Path(request.argument)
    network = load_leres(checkpoint).to(request.device).eval()
    size = request.size or INFERENCE_SIZE

    @torch.inference_mode()
    def label(images: Pixels) -> Maps:
        batch = torch.from_numpy(np.stack(images)).to(request.device).permute(0, 3, 1, 2)
        depth = network.predict_depth(batch.float() / 255, size=size)
        return list(depth[:, 0].float().cpu().numpy())

    info = LabelInfo(
        source="leres", version=_checksum(checkpoint), kind="depth", affine=True,
        licence=LERES_LICENCE, network_size=size,
    )  # fmt: skip
    return Source(info=info, label=label)


def open_own(request: LabelRequest) -> Source:
    """Any weights that `ssmde predict` takes: depth up to one factor, without unknown shift."""
    name = request.argument
    predictor = load(name, resolution=request.size, device=request.device, trust=request.trust)
    unit = predictor.metres_per_unit or 1.0  # labels stay in scene units, those of tracked motion

    def label(images: Pixels) -> Maps:
        found = predictor.predict_many(images, batch_size=len(images))
        return [prediction.depth / unit for prediction in found]

    named = is_released(name) or name.startswith(HUB_PREFIX)
    foreign = not named and is_foreign(Path(name))
    place = (Path(name) if foreign else find_weights(name)).resolve()
    other = UNKNOWN_LICENCE if foreign else OWN_LICENCE
    if name.startswith(HUB_PREFIX):
        other = HUB_LICENCE.format(name.removeprefix(HUB_PREFIX))
    info = LabelInfo(
        # A path has the same name from whatever folder the command is run.
        source=f"ssmde:{name}" if named else f"ssmde:{place.parent.name}/{place.name}",
        version=_checksum(place) if place.suffix == ".safetensors" else network_mark(predictor),
        kind="depth", affine=False, network_size=predictor.image_size,
        licence=licence_of(predictor) or other,
    )  # fmt: skip
    return Source(info=info, label=label)


def _checksum(file: Path) -> str:
    """First digits of the SHA-256 of a file: which weights made a label."""
    return f"sha256:{digest_of(file)[:12]}"


def open_folder(request: LabelRequest) -> Source:
    """Files `PATH/SCENE/FRAME.png|npy|npz`, or `PATH/FRAME.*` for a single scene; 0 is no value."""
    home = Path(request.argument)
    if not home.is_dir():
        raise FileNotFoundError(f"{home}: no such folder of labels")
    if request.kind is None:
        raise ValueError("source 'folder' needs --kind depth or --kind disparity: what files hold")
    absent = [name for name in request.scenes if not (home / name).is_dir()]
    if absent and len(request.scenes) > 1:
        raise FileNotFoundError(
            f"{home / absent[0]}: no such folder; labels of several scenes lie in a folder for "
            "each, of the scene's name"
        )
    of_depth = request.kind == "depth"

    def read(scene: FrameSequence, index: int) -> Float32[np.ndarray, "h w"]:
        name = (home if absent else home / scene.name) / scene.images[index].stem
        files = [name.with_name(f"{name.name}{suffix}") for suffix in DEPTH_SUFFIXES]
        file = next((file for file in files if file.is_file()), None)
        if file is None:
            raise ImageError(f"{name}: no such label ({', '.join(DEPTH_SUFFIXES)})")
        values = read_map(file, 1, image_size=scene.image_size, full_is_none=of_depth)
        return np.where(values > 0, values, np.float32(np.nan))

    info = LabelInfo(  # a unit they may have is not known here
        source=f"folder:{request.argument}", kind=request.kind, affine=True, licence=UNKNOWN_LICENCE
    )
    return Source(info=info, label=list, read=read, folder=home)


SOURCES: dict[str, Row] = {
    "depth-anything-v2": Row(partial(open_hub, known="depth-anything/Depth-Anything-V2-Small-hf")),
    "midas": Row(partial(open_hub, known="Intel/dpt-hybrid-midas")),
    "leres": Row(open_leres, "CHECKPOINT"),
    "hf": Row(open_hub, "MODEL", ("kind", "size")),
    "ssmde": Row(open_own, "WEIGHTS", ("size", "trust")),
    "folder": Row(open_folder, "PATH", ("kind",)),
}
"""By the word that `--source` begins with."""
