"""Depth errors by a named protocol, beside those of what does not look at the image."""

import os
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import numpy as np
from jaxtyping import Float, Float32, UInt8
from scipy import ndimage

from ssmde.data.images import ImageError, read_image
from ssmde.data.scene_folder import Split, read_scenes
from ssmde.data.sequence import FrameSequence
from ssmde.datasets import find_protocol
from ssmde.evaluation.details import MeasuredFrame, frame_details
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
from ssmde.evaluation.movers import MoverMeter, frames_with_movers
from ssmde.evaluation.report import (
    WORST_FRAMES,
    Evaluation,
    FrameResult,
    check_room,
    worst_row,
    write_result,
)
from ssmde.inference.input import resize_depth
from ssmde.inference.loading import load
from ssmde.inference.pictures import PanelRow
from ssmde.inference.predictor import Predictor
from ssmde.metrics import (
    Alignment,
    AlignmentName,
    Protocol,
    RegionSums,
    Truth,
    common_alignment,
    counted_pixels,
)
from ssmde.metrics import align as align_depth

Depths = dict[str, Float32[np.ndarray, "_ _"]]
"""Predictions of one frame, by the name of the method."""
BASELINE_FRAMES = 50  # training frames that make the mean depth map, spread evenly
_NETWORK = "network"  # the method itself, beside the baselines


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
        trust: You made WEIGHTS yourself: open them though they can run code (.pt2), or name an
            encoder for which the Hugging Face hub has to be asked.

    Raises:
        FileExistsError: If `out` holds files of others under the names of the results.
        FileNotFoundError: If weights or data do not exist.
        ValueError: If no frame can be measured, or a prediction is not finite.
    """
    if out is not None:
        check_room(Path(out))
    predictor = weights if isinstance(weights, Predictor) else load(weights, trust=trust)
    remarks, training = list[str](), ()
    if isinstance(data, str | Path):
        sequences = read_scenes(Path(data), split)
        if split in ("val", "test") and frames_with_truth(sequences, 1):
            training = _training_part(Path(data), remarks)
    else:
        sequences = data
    maps = {"constant": constant_depth()}
    mean_map = mean_truth(training, predictor.image_size)
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
    baselines: Mapping[str, Float[np.ndarray, "_ _"]] | None = None,
) -> Evaluation:
    """Mean errors of any method that may know which frame it is asked about, as from files.

    The prediction is resized to the truth, then measured by the procedure of
    `metrics/protocol.py`. A frame whose files cannot be read is left out and named; a frame
    without a pixel that counts is left out and counted. A frame is asked about once.

    Args:
        answer: Frame and RGB bytes (h, w, 3) to depth of the same view.
        sequences: Where the frames with truth come from.
        protocol: Range, crop and usual alignment, or the name of one of `PROTOCOLS`.
        align: Alignment, if not the protocol's own.
        max_frames: Measure at most so many frames, evenly spread.
        details: Measure by distance, at edges, from frame to frame and what moves as well, and
            keep pictures of the worst frames.
        baselines: Depth maps, of any size, that are measured as well as if they were predicted for
            every frame.

    Raises:
        ValueError: If no frame can be measured, or a prediction is not finite. With `details`
            frames that show movers are enough.
    """
    chosen = find_protocol(protocol) if isinstance(protocol, str) else protocol
    how, every = align or chosen.align, frames_of(sequences)
    with_truth = set(evenly([frame for frame in every if frame.depth], max_frames))
    with_movers = set(frames_with_movers(every, max_frames) if details else [])
    maps, movers, broken = baselines or {}, MoverMeter(), list[str]()

    @lru_cache(1)
    def resized(size: tuple[int, int]) -> dict[str, Float32[np.ndarray, "_ _"]]:
        return {name: resize_depth(depth, size) for name, depth in maps.items()}

    def of_size(said: Float[np.ndarray, "_ _"], size: tuple[int, int]) -> Depths:
        return {_NETWORK: resize_depth(said, size), **resized(size)}

    with TemporaryFile() as file:
        aligned_by: dict[str, AlignmentName | Alignment] = dict.fromkeys((_NETWORK, *maps), how)
        if how == "median-dataset":
            answer = _remembering(answer, file)
            frames = [frame for frame in every if frame in with_truth]
            aligned_by |= _common_alignments(answer, of_size, frames, chosen)
        meters = {n: _Meter(by, details and n == _NETWORK) for n, by in aligned_by.items()}
        asked = with_truth | with_movers
        for frame in (frame for frame in every if frame in asked):
            pixels, depth, mask = _read(frame, frame in with_truth, broken)
            if pixels is None or (depth is None and frame not in with_movers):
                continue
            said = answer(frame, pixels)
            with _naming(frame):
                truth = None if depth is None else Truth(depth, chosen, mask)
                if frame in with_movers:
                    movers.add(frame, said, mask)
                if truth is not None:
                    for name, prediction in of_size(said, truth.depth.shape).items():
                        meters[name].add(frame, pixels, truth, prediction)
    if not meters[_NETWORK].frames and (with_truth or not with_movers):
        skipped = meters[_NETWORK].sums.full.n_skipped
        raise ValueError(_nothing_measured(sequences, chosen, skipped, broken))
    results = {
        name: Evaluation(
            protocol=chosen, align=how, sums=meter.sums, frames=tuple(meter.frames),
            broken=tuple(broken), pictures=tuple(row for _, row in meter.worst),
        )
        for name, meter in meters.items()
        if meter.frames or name == _NETWORK
    }  # fmt: skip
    network = results.pop(_NETWORK)
    return replace(network, baselines=results, movers=movers.found if with_movers else None)


def _read(
    frame: SceneFrame, with_truth: bool, broken: list[str]
) -> tuple[Pixels | None, Float32[np.ndarray, "h w"] | None, UInt8[np.ndarray, "h w"] | None]:
    """Colors, depth and motion mask of a frame; None for what is not wanted or cannot be read."""
    pixels, truth = None, (None, None)
    try:
        pixels = read_image(frame.image)
        truth = frame.read_truth() if with_truth else truth
    except ImageError as error:
        broken += [str(error)] if with_truth else []
    return pixels, *truth


class _Meter:
    """Adds up the errors of one method, frame by frame."""

    def __init__(self, align_by: AlignmentName | Alignment, details: bool) -> None:
        self.align_by, self.details = align_by, details
        self.sums, self.frames = RegionSums(), list[FrameResult]()
        self.worst = list[tuple[float, PanelRow]]()
        self._before: MeasuredFrame | None = None

    def add(
        self, frame: SceneFrame, pixels: Pixels, truth: Truth, prediction: Float[np.ndarray, "h w"]
    ) -> None:
        """Measure a prediction, which has the size of the truth."""
        found = truth.measure(prediction, self.align_by)
        self.sums = self.sums.add(found.errors)
        if found.errors.full is None or found.alignment is None:
            return
        result = FrameResult(frame=frame, errors=found.errors.full, alignment=found.alignment)
        if self.details:
            now = MeasuredFrame(
                frame=frame, truth=truth, prediction=prediction, alignment=found.alignment
            )
            more = frame_details(now, self._before, found.bands)
            result, self._before = replace(result, details=more), now
            error = result.errors.abs_rel
            if len(self.worst) < WORST_FRAMES or error > self.worst[-1][0]:
                self.worst.append((error, worst_row(now, pixels, error)))
                self.worst.sort(key=lambda kept: -kept[0])
                del self.worst[WORST_FRAMES:]
        self.frames.append(result)


def _remembering(answer: FrameFunction, file: IO[bytes]) -> FrameFunction:
    """The same, asked once about a frame: what it said is kept in the file."""
    places = dict[SceneFrame, int]()

    def ask(frame: SceneFrame, pixels: Pixels) -> Float[np.ndarray, "k m"]:
        if frame in places:
            file.seek(places[frame])
            return np.load(file, allow_pickle=False)
        said = answer(frame, pixels)
        places[frame] = file.seek(0, os.SEEK_END)
        np.save(file, said, allow_pickle=False)
        return said

    return ask


def _common_alignments(
    answer: FrameFunction,
    of_size: Callable[[Float[np.ndarray, "_ _"], tuple[int, int]], Depths],
    frames: Sequence[SceneFrame],
    protocol: Protocol,
) -> dict[str, Alignment]:
    """One factor for all frames, of each method, in a pass of its own."""
    found = defaultdict[str, list[Alignment]](list)
    for frame in frames:
        with suppress(ImageError):  # the pass that measures names it
            pixels, truth = read_image(frame.image), frame.read_depth()
            counted = counted_pixels(truth, protocol)
            if not counted.any():
                continue
            for name, depth in of_size(answer(frame, pixels), truth.shape).items():
                with _naming(frame):
                    by = align_depth(depth[counted], truth[counted], "median")
                found[name].append(by)
    return {name: common_alignment(each) for name, each in found.items()}


@contextmanager
def _naming(frame: SceneFrame) -> Generator[None]:
    """Put the name of the frame before what is wrong with it."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{frame.name}: {error}") from error


def constant_depth() -> Float[np.ndarray, "1 1"]:
    """Depth 1 everywhere, as a map of one pixel; the alignment gives it its scale."""
    return np.ones((1, 1), dtype=np.float32)


def mean_truth(
    training: Sequence[FrameSequence], size: tuple[int, int]
) -> Float[np.ndarray, "h w"] | None:
    """Mean true depth at each place of the image, in metres, over at most 50 training frames.

    None if no frame has truth. See `mean_depth_map`.
    """

    def read() -> Iterator[Float[np.ndarray, "_ _"]]:
        for frame in frames_with_truth(training, BASELINE_FRAMES):
            with suppress(ImageError):  # a mean over the rest is as good a baseline
                yield frame.read_depth()

    return mean_depth_map(read(), size)


def mean_depth_map(
    truths: Iterable[Float[np.ndarray, "_ _"]], size: tuple[int, int]
) -> Float[np.ndarray, "h w"] | None:
    """Mean of depth maps of any size, 0 or not finite: no value; None if there is no truth at all.

    Each map is read at the pixel nearest to the center of each cell, so that holes stay holes;
    places without truth in any map take the mean of their neighbors, growing inwards.
    """
    total, count = np.zeros(size), np.zeros(size)
    for truth in truths:
        values = nearest(truth, size)
        valid = np.isfinite(values) & (values > 0)
        total += np.where(valid, values, 0)
        count += valid
    if not count.any():
        return None
    values, known, window = total / np.maximum(count, 1), count > 0, np.ones((3, 3))
    while not known.all():  # ring after ring
        around = ndimage.correlate(values, window, mode="constant")
        weight = ndimage.correlate(known.astype(np.float64), window, mode="constant")
        reached = ~known & (weight > 0)
        values[reached] = around[reached] / weight[reached]
        known |= reached
    return values.astype(np.float32)


def _training_part(root: Path, remarks: list[str]) -> Sequence[FrameSequence]:
    """The training scenes; a fault in them is a remark, for they are not what is measured."""
    try:
        return read_scenes(root, "train")
    except (OSError, ValueError) as error:
        remarks.append(f"training scenes cannot be read: {error}")
        return ()


def _nothing_measured(
    sequences: Sequence[FrameSequence], protocol: Protocol, skipped: int, broken: list[str]
) -> str:
    """Why there is no result."""
    names = ", ".join(repr(sequence.name) for sequence in sequences[:5]) or "no scenes given"
    if not skipped and not broken:
        return f"no frame has measured depth ({names}): evaluation needs depth/ in a scene folder"
    reasons = [f"{len(broken)} cannot be read, first {broken[0]}"] if broken else []
    if skipped:
        reasons.append(
            f"{skipped} have no depth between {protocol.min_depth:g} and {protocol.max_depth:g} m "
            f"inside the crop of protocol {protocol.name!r}"
        )
    return f"no frame can be measured ({names}): {'; '.join(reasons)}"
