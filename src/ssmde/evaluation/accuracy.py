"""Depth errors by a named protocol, beside those of what does not look at the image."""

from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from hashlib import sha1
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from scipy import ndimage

from ssmde.data.images import ImageError, read_image
from ssmde.data.scene_folder import Split, read_scenes
from ssmde.data.sequence import FrameSequence
from ssmde.datasets import find_protocol
from ssmde.evaluation.details import MeasuredFrame, frame_details
from ssmde.evaluation.frames import (
    Answer,
    DepthFunction,
    FrameFunction,
    TruthFrame,
    frames_with_truth,
    nearest,
)
from ssmde.evaluation.movers import measure_movers
from ssmde.evaluation.report import Evaluation, FrameResult, check_room, write_result
from ssmde.inference.input import resize_depth
from ssmde.inference.loading import load
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

MOST_KEPT = 200  # predictions, at the size of the network
BASELINE_FRAMES = 200  # training frames that make the mean depth map, spread evenly
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
        if split in ("val", "test"):
            training = _training_part(Path(data), remarks)
    else:
        sequences = data
    chosen = find_protocol(protocol) if isinstance(protocol, str) else protocol
    predict = _remembering(predictor.network_depth)
    movers = measure_movers(predict, sequences, max_frames)
    if movers is not None and not frames_with_truth(sequences, 1):
        found = Evaluation(
            protocol=chosen, align=align or chosen.align, sums=RegionSums(), frames=()
        )
        remarks = ["no frame has measured depth: only movers are judged"]
    else:
        maps = {"constant": constant_depth()}
        mean_map = mean_truth(training, predictor.image_size)
        if mean_map is None:
            remarks.append("no baseline from a mean depth map: no training frame has truth")
        else:
            maps["mean_map"] = mean_map

        def answer(_: TruthFrame, pixels: UInt8[np.ndarray, "h w 3"]) -> Answer:
            return Answer(depth=predict(pixels))

        found = evaluate_frames(
            answer, sequences, chosen, align, max_frames=max_frames, details=True, baselines=maps
        )
    found = replace(found, weights=predictor.source, remarks=tuple(remarks), movers=movers)
    if out is None:
        return found
    write_result(found, predict, Path(out))
    return replace(found, out=Path(out))


def _remembering(predict: DepthFunction) -> DepthFunction:
    """The same function, asked once about an image: holes, errors and pictures are of the same."""
    known: dict[bytes, Float[np.ndarray, "h w"]] = {}

    def ask(pixels: UInt8[np.ndarray, "h w 3"]) -> Float[np.ndarray, "k m"]:
        key = sha1(pixels.tobytes(), usedforsecurity=False).digest()
        if key in known:
            return known[key]
        depth = predict(pixels)
        if len(known) < MOST_KEPT:
            known[key] = depth
        return depth

    return ask


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
        lambda _, pixels: Answer(depth=predict(pixels)), sequences, protocol, align,
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
    without a pixel that counts is left out and counted.

    Args:
        answer: Frame and RGB bytes (h, w, 3) to depth of the same view.
        sequences: Where the frames with truth come from.
        protocol: Range, crop and usual alignment, or the name of one of `PROTOCOLS`.
        align: Alignment, if not the protocol's own.
        max_frames: Measure at most so many frames, evenly spread.
        details: Measure by distance, at edges and from frame to frame as well.
        baselines: Depth maps, of any size, that are measured as well as if they were predicted for
            every frame.

    Raises:
        ValueError: If no frame can be measured, or a prediction is not finite.
    """
    chosen = find_protocol(protocol) if isinstance(protocol, str) else protocol
    how = align or chosen.align
    answers: dict[str, FrameFunction] = {_NETWORK: answer}
    for name, depth in (baselines or {}).items():
        answers[name] = partial(_always, Answer(depth=depth))
    aligned_by: dict[str, AlignmentName | Alignment] = dict.fromkeys(answers, how)
    if how == "median-dataset":
        aligned_by = {
            name: _common_alignment(each, sequences, chosen, max_frames)
            for name, each in answers.items()
        }
    sums = {name: RegionSums() for name in answers}
    measured: dict[str, list[FrameResult]] = {name: [] for name in answers}
    broken, before = list[str](), None
    for frame in frames_with_truth(sequences, max_frames):
        try:
            pixels, (depth, mask) = read_image(frame.image), frame.read_truth()
        except ImageError as error:
            broken.append(str(error))
            continue
        with _naming(frame):
            truth = Truth(depth, chosen, mask)
        for name, each in answers.items():
            said = each(frame, pixels)
            prediction = resize_depth(said.depth, depth.shape)
            with _naming(frame):
                found = truth.measure(prediction, aligned_by[name])
            sums[name] = sums[name].add(found.errors)
            if found.errors.full is None or found.alignment is None:
                continue
            result = FrameResult(frame=frame, errors=found.errors.full, alignment=found.alignment)
            if details and name == _NETWORK:
                now = MeasuredFrame(
                    frame=frame, truth=truth, prediction=prediction, alignment=found.alignment,
                )  # fmt: skip
                follows = before is not None and before.frame.name == frame.follows
                more = frame_details(now, before if follows else None, found.bands)
                result, before = replace(result, details=more), now
            measured[name].append(result)
    if not measured[_NETWORK]:
        skipped = sums[_NETWORK].full.n_skipped
        raise ValueError(_nothing_measured(sequences, chosen, skipped, broken))
    results = {
        name: Evaluation(
            protocol=chosen, align=how, sums=sums[name], frames=tuple(measured[name]),
            broken=tuple(broken),
        )
        for name in answers
    }  # fmt: skip
    return replace(results.pop(_NETWORK), baselines=results)


def _always(said: Answer, _frame: TruthFrame, _pixels: UInt8[np.ndarray, "h w 3"]) -> Answer:
    return said


def _common_alignment(
    answer: FrameFunction,
    sequences: Sequence[FrameSequence],
    protocol: Protocol,
    max_frames: int | None,
) -> Alignment:
    """One factor for all frames, in a pass of its own: every frame is asked about twice."""
    found: list[Alignment] = []
    for frame in frames_with_truth(sequences, max_frames):
        try:
            pixels, truth = read_image(frame.image), frame.read_depth()
        except ImageError:  # the pass that measures names it
            continue
        counted = counted_pixels(truth, protocol)
        if counted.any():
            prediction = resize_depth(answer(frame, pixels).depth, truth.shape)
            with _naming(frame):
                found.append(align_depth(prediction[counted], truth[counted], "median"))
    return common_alignment(found)


@contextmanager
def _naming(frame: TruthFrame) -> Generator[None]:
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
    """Mean true depth at each place of the image, in metres, over at most 200 training frames.

    None if no frame has truth. See `mean_depth_map`.
    """
    truths = list[Float[np.ndarray, "_ _"]]()
    for frame in frames_with_truth(training, BASELINE_FRAMES):
        with suppress(ImageError):  # a mean over the rest is as good a baseline
            truths.append(nearest(frame.read_depth(), size))
    return mean_depth_map(truths, size)


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
