"""Depth errors by a named protocol, beside those of what does not look at the image."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, UInt8
from scipy import ndimage

from ssmde.data.images import ImageError, read_image, resize_image
from ssmde.data.pseudo_labels import read_pseudo_depth
from ssmde.data.scene_folder import Split, read_scenes
from ssmde.data.sequence import FrameSequence, scaled_intrinsics
from ssmde.datasets import find_protocol
from ssmde.evaluation.frames import (
    DepthFunction,
    FrameFunction,
    Pixels,
    SceneFrame,
    evenly,
    frames_of,
    frames_with_truth,
    nearest,
)
from ssmde.evaluation.report import (
    RESULTS,
    WORST,
    Evaluation,
    FrameResult,
    check_room,
    write_result,
)
from ssmde.inference.input import resize_depth
from ssmde.inference.loading import load
from ssmde.inference.pictures import PanelRow
from ssmde.inference.predictor import Predictor
from ssmde.metrics import (
    Alignment,
    AlignmentName,
    MoverCounts,
    Protocol,
    TemporalErrors,
    Truth,
    boundary_errors,
    ground_depth,
    hole_counts,
    order_counts,
    seen_in_both,
    split_motion_mask,
    temporal_errors,
)

Maps = Mapping[str, Float[np.ndarray, "_ _"]]
BASELINE_FRAMES = 50  # training frames that make the mean depth map, spread evenly
MOVER_FRAMES = 200  # whose movers are judged, at most, spread evenly
WORST_HEIGHT = 180  # rows of each picture of a worst frame
NETWORK = "network"  # the method itself, beside the baselines


def evaluate(
    weights: str | Path | Predictor,
    data: str | Path | Sequence[FrameSequence],
    *,
    protocol: str | Protocol = "generic",
    align: AlignmentName | None = None,
    split: Split = "val",
    max_frames: int | None = None,
    out: str | Path | None = "evaluation",
    trust: bool = False,
) -> Evaluation:
    """Measure weights on frames with measured depth, beside two baselines.

    The result prints as a table; OUT gets metrics.json and pictures of the ten worst frames.

    Example:
      ssmde evaluate runs/photometric data --protocol bonn --align median

    Args:
        weights: Weights file, folder of a run, hf:OWNER/NAME, or a released name.
        data: Folder of scene folders, or one scene folder.
        protocol: Range and crop of the pixels that count: kitti, nyuv2, ddad, bonn, tum or generic.
        align: How the unknown scale of a prediction is found; by default that of the protocol.
        split: Part of DATA to measure.
        max_frames: Measure at most so many frames, evenly spread; by default all.
        out: Folder for the files.
        trust: Ask the Hugging Face hub for an encoder that old WEIGHTS only name; you trained them
            yourself.

    Raises:
        FileExistsError: If `out` holds files of others under the names of the results.
        FileNotFoundError: If weights or data do not exist.
        ValueError: If no frame can be measured, or a prediction is not finite.
    """
    check_room(out, RESULTS)
    predictor = weights if isinstance(weights, Predictor) else load(weights, trust=trust)
    remarks, training = list[str](), ()
    if isinstance(data, str | Path):
        sequences = read_scenes(Path(data), split)
        if split in ("val", "test") and frames_with_truth(sequences, 1):
            try:
                training = read_scenes(Path(data), "train")
            except (OSError, ValueError) as error:  # they are not what is measured
                remarks.append(f"training scenes cannot be read: {error}")
    else:
        sequences = data
    maps = {"constant": constant_depth()}
    mean_map = mean_depth_map(_read_truths(training), predictor.image_size)
    if mean_map is None:
        remarks.append("no baseline from a mean depth map: no training frame has truth")
    else:
        maps["mean_map"] = mean_map
    found = evaluate_frames(
        lambda _, pixels: predictor.network_depth(pixels), sequences, protocol, align,
        max_frames=max_frames, details=True, baselines=maps,
    )  # fmt: skip
    if not found.frames:
        remarks = ["no frame has measured depth: only movers are judged"]
    found = replace(found, weights=predictor.source, remarks=tuple(remarks))
    if out is None:
        return found
    write_result(found, Path(out))
    return replace(found, out=Path(out))


def evaluate_predictions(
    predict: DepthFunction,
    sequences: Sequence[FrameSequence],
    protocol: str | Protocol = "generic",
    align: AlignmentName | None = None,
    *,
    max_frames: int | None = None,
    details: bool = False,
) -> Evaluation:
    """Mean errors of any function from RGB bytes (h, w, 3) to depth, at any size; writes nothing.

    The rest is as for `evaluate_frames`.
    """
    return evaluate_frames(
        lambda _, pixels: predict(pixels), sequences, protocol, align,
        max_frames=max_frames, details=details,
    )  # fmt: skip


def evaluate_frames(
    answer: FrameFunction,
    sequences: Sequence[FrameSequence],
    protocol: str | Protocol = "generic",
    align: AlignmentName | None = None,
    *,
    max_frames: int | None = None,
    details: bool = False,
    baselines: Maps | None = None,
) -> Evaluation:
    """Mean errors of any method that may know which frame it is asked about, as from files.

    The prediction is resized to the truth, then measured by the procedure of
    `metrics/depth.py`. A frame whose files cannot be read is left out and named; a frame
    without a pixel that counts is left out and counted. A frame is asked about once, with
    `median-dataset` twice.

    Args:
        answer: Frame and RGB bytes (h, w, 3) to depth of the same view.
        sequences: Scenes, some frames with measured depth.
        protocol: Which pixels count, and the usual alignment.
        align: How predictions meet the truth, if not as the protocol says.
        max_frames: At most so many, spread evenly.
        details: Measure by distance, at edges, from frame to frame and what moves as well, and
            keep pictures of the worst frames. Then frames with motion masks are enough.
        baselines: Depth maps, of any size, measured as if they were predicted for every frame.

    Raises:
        ValueError: If no frame can be measured, or a prediction is not finite.
    """
    chosen = find_protocol(protocol) if isinstance(protocol, str) else protocol
    how, every, maps = align or chosen.align, frames_of(sequences), baselines or {}
    with_truth = set(evenly([frame for frame in every if frame.depth], max_frames))
    masked = [frame for frame in every if frame.motion_mask] if details else []
    masked = set(evenly(masked, min(MOVER_FRAMES, max_frames or MOVER_FRAMES)))
    asked = [(frame, frame in with_truth, frame in masked) for frame in every]
    meters = {name: _Meter(how) for name in (NETWORK, *maps)}
    if how == "median-dataset":  # one factor for all frames, of each method, in a first pass
        first = {name: _Meter("median") for name in meters}
        measured = [(frame, True, False) for frame, has_truth, _ in asked if has_truth]
        _measure(answer, measured, chosen, maps, first, details=False)
        for name, meter in first.items():
            scales = [frame.alignment.scale for frame in meter.frames]
            meters[name].align_by = Alignment(scale=float(np.median(scales)) if scales else 1.0)
    movers, broken = _measure(answer, asked, chosen, maps, meters, details=details)
    network, *others = (
        Evaluation(
            protocol=chosen, align=how, frames=tuple(meter.frames), n_skipped=meter.n_skipped,
            broken=broken, pictures=tuple(row for _, row in meter.worst),
        )
        for meter in meters.values()
    )  # fmt: skip
    if not network.frames and (with_truth or not masked):
        raise ValueError(_nothing_measured(sequences, network))
    beside = {name: other for name, other in zip(maps, others, strict=True) if other.frames}
    return replace(network, baselines=beside, movers=movers if masked else None)


@dataclass(frozen=True)
class _Measured:
    """A frame with its truth and its prediction, as the errors were measured."""

    result: FrameResult
    truth: Truth
    prediction: Float32[np.ndarray, "h w"]  # depth before the alignment

    def aligned(self, alignment: Alignment) -> Float32[np.ndarray, "h w"]:
        p, depth = self.truth.protocol, self.prediction * alignment.scale + alignment.shift
        return depth.clip(p.min_depth, p.max_depth)

    @cached_property
    def known(self) -> Float[np.ndarray, "h w"]:
        """The true depth of the pixels that count, 0 elsewhere."""
        return np.where(self.truth.counted, self.truth.depth, 0)

    @cached_property
    def still(self) -> Float[np.ndarray, "h w"]:
        """The same without what is not known to stand still, if anybody knows."""
        return self.known if self.truth.static is None else self.known * self.truth.static


def _flicker(before: _Measured, now: _Measured) -> TemporalErrors | None:
    """Disagreement with the frame before, about static points that the truth sees in both."""
    pair, shape = (before, now), now.truth.depth.shape
    scene, index = now.result.frame.scene, now.result.frame.index
    first, second = (m.result.alignment for m in pair)
    if before.result.frame.scene is not scene or before.result.frame.index != index - 1:
        return None
    if scene.poses is None or scene.intrinsics is None or before.truth.depth.shape != shape:
        return None
    if min(first.scale, second.scale) <= 0:
        return None
    # One alignment for both frames of a pair: one for each would undo the flicker between them.
    common = Alignment(
        scale=(first.scale * second.scale) ** 0.5, shift=(first.shift + second.shift) / 2
    )
    source, target = (m.aligned(common) for m in pair)
    poses = scene.poses[index - 1 : index + 1].astype(np.float64)
    if not all(np.isfinite(values).all() for values in (poses, source, target)):
        return None  # the errors look only at pixels that count
    T_src_tgt = np.linalg.inv(poses[0]) @ poses[1]
    # In pixels of the truth, which may have another size than the image.
    rows, columns = (new / old for new, old in zip(shape, scene.image_size, strict=True))
    K = scaled_intrinsics(scene.intrinsics, columns, rows)
    return temporal_errors(
        target, source, T_src_tgt, K,
        target_counts=seen_in_both(now.still, before.known, T_src_tgt, K),
        source_counts=seen_in_both(before.still, now.known, np.linalg.inv(T_src_tgt), K),
    )  # fmt: skip


class _Meter:
    """Adds up the errors of one method, frame by frame."""

    def __init__(self, align_by: AlignmentName | Alignment) -> None:
        self.align_by: AlignmentName | Alignment = align_by
        self.n_skipped, self.frames = 0, list[FrameResult]()
        self.worst = list[tuple[float, PanelRow]]()
        self.before: _Measured | None = None

    def add(
        self, frame: SceneFrame, truth: Truth, prediction: Float32[np.ndarray, "h w"],
        pixels: Pixels | None = None,
    ) -> None:  # fmt: skip
        """Measure a prediction, which has the size of the truth; with details if it has pixels."""
        found = truth.measure(prediction, self.align_by)
        if found.full is None or found.alignment is None:
            self.n_skipped += 1
            return
        result = FrameResult(
            frame=frame, errors=found.full, alignment=found.alignment, static=found.static,
            dynamic=found.dynamic,
        )  # fmt: skip
        if pixels is not None:
            now = _Measured(result, truth, prediction)
            aligned, error = now.aligned(found.alignment), found.full.abs_rel
            result = replace(
                result, bands=found.bands,
                boundary=boundary_errors(aligned, truth.depth, truth.counted),
                temporal=None if self.before is None else _flicker(self.before, now),
            )  # fmt: skip
            self.before = now
            if len(self.worst) < len(WORST) or error > self.worst[-1][0]:
                size = WORST_HEIGHT, max(1, round(pixels.shape[1] * WORST_HEIGHT / len(pixels)))
                row = PanelRow(
                    image=resize_image(pixels, size), depth=nearest(aligned, size),
                    truth=nearest(now.known, size),
                    title=f"{frame.name}  AbsRel {error:.3f}",
                )  # fmt: skip
                self.worst.append((error, row))
                self.worst.sort(key=lambda kept: -kept[0])
                del self.worst[len(WORST) :]
        self.frames.append(result)


def _measure(
    answer: FrameFunction,
    asked: Sequence[tuple[SceneFrame, bool, bool]],
    protocol: Protocol,
    maps: Maps,
    meters: Mapping[str, _Meter],
    *,
    details: bool,
) -> tuple[MoverCounts, tuple[str, ...]]:
    """Measure answers and maps by their meters; gives the holes, and what cannot be read.

    A frame is `asked` about with whether it has measured depth, and whether its movers are judged.
    """

    @lru_cache(1)
    def resized(size: tuple[int, int]) -> dict[str, Float32[np.ndarray, "_ _"]]:
        return {name: resize_depth(depth, size) for name, depth in maps.items()}

    movers, broken = MoverCounts(), list[str]()
    for frame, has_truth, is_judged in asked:
        if not has_truth and not is_judged:
            continue
        try:
            pixels = read_image(frame.image)
            depth, mask = frame.read_truth() if has_truth else (None, frame.read_mask())
        except ImageError as error:
            broken += [str(error)] if has_truth else []
            continue
        said = answer(frame, pixels)
        try:
            if is_judged and mask is not None:
                movers += mover_counts(frame, said, mask)
            if depth is not None:
                truth, size = Truth(depth, protocol, mask), depth.shape
                prediction = resize_depth(said, size)
                meters[NETWORK].add(frame, truth, prediction, pixels if details else None)
                for name, prediction in resized(size).items():
                    meters[name].add(frame, truth, prediction)
        except ValueError as error:
            raise ValueError(f"{frame.name}: {error}") from error
    return movers, tuple(broken)


def mover_counts(
    frame: SceneFrame, prediction: Float[np.ndarray, "h w"], mask: UInt8[np.ndarray, "_ _"]
) -> MoverCounts:
    """Holes and wrong orders of one frame, on the pixel grid of its predicted depth.

    Nothing where the prediction is not positive and finite, or the label cannot be read.
    """
    depth, scene = np.asarray(prediction, dtype=np.float32), frame.scene
    if not (np.isfinite(depth).all() and depth.min() > 0):
        return MoverCounts()
    static, movers = split_motion_mask(nearest(mask, depth.shape))
    found = hole_counts(depth, movers, ground_depth(depth, ~static), static=static)
    path = None if scene.pseudo_depth is None else scene.pseudo_depth[frame.index]
    if path is not None:
        try:
            label = nearest(read_pseudo_depth(path, image_size=scene.image_size), depth.shape)
        except ImageError:
            return MoverCounts()
        if scene.pseudo_depth_kind == "disparity":  # something that grows with depth
            label = np.where(label > 0, 1.01 * label.max() - label, 0)
        known = np.where(movers | static, label, 0)
        found += order_counts(depth, known, movers, np.random.default_rng(frame.index))
    return replace(found, n_images=int(found.regions > 0))


def constant_depth() -> Float[np.ndarray, "1 1"]:
    """Depth 1 everywhere, as a map of one pixel; the alignment gives it its scale."""
    return np.ones((1, 1), dtype=np.float32)


def _read_truths(training: Sequence[FrameSequence]) -> Iterator[Float[np.ndarray, "_ _"]]:
    """Depth of a few training frames; a mean over those that can be read is as good a baseline."""
    for frame in frames_with_truth(training, BASELINE_FRAMES):
        with suppress(ImageError):
            yield frame.read_depth()


def mean_depth_map(
    truths: Iterable[Float[np.ndarray, "_ _"]], size: tuple[int, int]
) -> Float[np.ndarray, "h w"] | None:
    """Mean of depth maps of any size, 0 or not finite: no value; None if there is no truth at all.

    Each map is read at the pixel nearest to the center of each cell, so that holes stay holes;
    places without truth in any map take the value of the nearest one.
    """
    total, count = np.zeros(size), np.zeros(size)
    for truth in truths:
        values = nearest(truth, size)
        valid = np.isfinite(values) & (values > 0)
        total += np.where(valid, values, 0)
        count += valid
    if not count.any():
        return None
    places: Any = ndimage.distance_transform_edt(
        count == 0, return_distances=False, return_indices=True
    )
    return (total / np.maximum(count, 1))[tuple(places)].astype(np.float32)


def _nothing_measured(sequences: Sequence[FrameSequence], found: Evaluation) -> str:
    """Why there is no result."""
    names = ", ".join(repr(sequence.name) for sequence in sequences[:5]) or "no scenes given"
    skipped, broken, protocol = found.n_skipped, found.broken, found.protocol
    if not skipped and not broken:
        return (
            f"no frame has measured depth ({names}): evaluation needs depth/ in a scene folder, or "
            "motion_mask/ to judge movers"
        )
    reasons = [f"{len(broken)} cannot be read, first {broken[0]}"] if broken else []
    if skipped:
        reasons.append(
            f"{skipped} have no depth between {protocol.min_depth:g} and {protocol.max_depth:g} m "
            f"inside the crop of protocol {protocol.name!r}"
        )
    return f"no frame can be measured ({names}): {'; '.join(reasons)}"
