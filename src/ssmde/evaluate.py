"""`ssmde evaluate`: depth errors by a named protocol, beside what does not look at the image."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from hashlib import sha1
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, UInt8

from ssmde.data.images import ImageError, read_image
from ssmde.data.scene_folder import read_scenes
from ssmde.data.sequence import FrameSequence
from ssmde.datasets import find_protocol
from ssmde.evaluation.details import MeasuredFrame, frame_details
from ssmde.evaluation.frames import frames_with_truth
from ssmde.evaluation.movers import DepthFunction, measure_movers
from ssmde.evaluation.report import check_room, print_result, write_result
from ssmde.evaluation.result import (
    Answer,
    Evaluation,
    FrameFunction,
    FrameResult,
    TruthFrame,
)
from ssmde.inference.input import resize_depth
from ssmde.inference.loading import load
from ssmde.inference.predictor import Predictor
from ssmde.metrics.alignment import Alignment, AlignmentName, common_alignment
from ssmde.metrics.alignment import align as align_depth
from ssmde.metrics.baselines import constant_depth, mean_depth_map
from ssmde.metrics.protocol import Protocol, counted_pixels, measure
from ssmde.metrics.regions import RegionSums
from ssmde.metrics.regions import split as split_regions

MOST_KEPT = 200  # predictions, at the size of the network
_NETWORK = "network"  # the method itself, beside the baselines
BASELINE_FRAMES = 200  # training frames that make the mean depth map, spread evenly


def evaluate(
    weights: str | Path | Predictor,
    data: str | Path | Sequence[FrameSequence],
    *,
    split: Literal["train", "val", "test", "all"] = "val",
    protocol: str | Protocol = "generic",
    align: AlignmentName | None = None,
    out: str | Path | None = None,
    max_frames: int | None = None,
    confidence: bool = False,
    training: Sequence[FrameSequence] | None = None,
    trust: bool = False,
) -> Evaluation:
    """Measure weights on recorded frames, print the table and write the files.

    Args:
        weights: Weights file, run folder, or a loaded predictor.
        data: Folder of scene folders, or sequences.
        split: Part of the folder to measure.
        protocol: Range, crop and usual alignment, or the name of one of `PROTOCOLS`.
        align: Alignment, if not the protocol's own.
        out: Folder for `metrics.json` and `worst/`, the ten worst frames; None writes nothing.
        max_frames: Measure at most so many frames, evenly spread.
        confidence: Ask the network how sure it is, and measure what that is worth.
        training: Sequences whose mean depth map is a baseline; by default the training part of
            `data`, if it is a folder and another part is measured.
        trust: You made the weights yourself: see `load`.

    Raises:
        FileExistsError: If `out` holds files of others under the names of the results.
        FileNotFoundError: If weights or data do not exist.
        ValueError: If no frame can be measured, or a prediction is not finite.
    """
    if out is not None:
        check_room(Path(out))
    predictor = weights if isinstance(weights, Predictor) else load(weights, trust=trust)
    notes: list[str] = []
    if isinstance(data, str | Path):
        sequences = read_scenes(Path(data), split)
        if training is None and split in ("val", "test"):
            training = _training_part(Path(data), notes)
    else:
        sequences = data
    asked: dict[str, Any] = {"protocol": protocol, "align": align, "max_frames": max_frames}
    ask = _remembering(predictor.network_depth)
    movers = measure_movers(ask, sequences, max_frames)
    if movers is not None and not frames_with_truth(sequences, 1):
        chosen = find_protocol(protocol) if isinstance(protocol, str) else protocol
        result = Evaluation(
            protocol=chosen, align=align or chosen.align, sums=RegionSums(), frames=()
        )
        notes = ["no frame has measured depth: only movers are judged"]
    else:
        answer = _answer(predictor, ask, confidence=confidence)
        maps = {"constant": constant_depth()}
        mean_map = mean_truth(training or (), predictor.image_size)
        if mean_map is None:
            notes.append("no baseline from a mean depth map: no training frame has truth")
        else:
            maps["mean_map"] = mean_map
        result = evaluate_frames(answer, sequences, details=True, baselines=maps, **asked)
    result = replace(result, weights=predictor.source, notes=tuple(notes), movers=movers)
    if out is not None:
        write_result(result, predictor.network_depth, Path(out))
    print_result(result)
    return result


def _remembering(predict: DepthFunction) -> DepthFunction:
    """The same function, which is asked once about an image: holes and errors are of the same."""
    said: dict[bytes, Float[np.ndarray, "h w"]] = {}

    def ask(pixels: UInt8[np.ndarray, "h w 3"]) -> Float[np.ndarray, "k m"]:
        key = sha1(pixels.tobytes(), usedforsecurity=False).digest()
        if key in said:
            return said.pop(key)  # twice at most: what is done with is let go
        depth = predict(pixels)
        if len(said) < MOST_KEPT:
            said[key] = depth
        return depth

    return ask


def _answer(predictor: Predictor, ask: DepthFunction, *, confidence: bool) -> FrameFunction:
    if not confidence:
        return lambda _, pixels: Answer(depth=ask(pixels))

    def answer(_: TruthFrame, pixels: UInt8[np.ndarray, "h w 3"]) -> Answer:
        depth, sure = predictor.network_answer(pixels)
        return Answer(depth=depth, confidence=sure)

    return answer


def evaluate_predictions(
    predict: DepthFunction,
    sequences: Sequence[FrameSequence],
    protocol: str | Protocol = "generic",
    align: AlignmentName | None = None,
    *,
    max_frames: int | None = None,
    details: bool = False,
) -> Evaluation:
    """Mean errors of any function from image to depth; writes and prints nothing.

    Args:
        predict: RGB bytes (h, w, 3) to depth of the same view, at any size.
        sequences: Where the frames with truth come from.
        protocol: Range, crop and usual alignment, or the name of one of `PROTOCOLS`.
        align: Alignment, if not the protocol's own.
        max_frames: Measure at most so many frames, evenly spread.
        details: See `evaluate_frames`.

    Raises:
        ValueError: If no frame can be measured, or a prediction is not finite.
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
        details: Measure by distance, at edges and from frame to frame as well; up to 0.2 s more
            for an image of 640 x 480.
        baselines: Depth maps, of any size, that are measured as well as if they were predicted for
            every frame.

    Raises:
        ValueError: If no frame can be measured, or a prediction is not finite.
    """
    chosen = find_protocol(protocol) if isinstance(protocol, str) else protocol
    how = align or chosen.align
    answers = {_NETWORK: answer}
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
    broken = list[str]()
    before, before_name = None, ""
    for frame in frames_with_truth(sequences, max_frames):
        try:
            pixels, (truth, mask) = read_image(frame.image), frame.read_truth()
        except ImageError as error:
            broken.append(str(error))
            continue
        for name, each in answers.items():
            said = each(frame, pixels)
            prediction = resize_depth(said.depth, truth.shape)
            try:
                found = measure(
                    prediction, truth, chosen, align_by=aligned_by[name], motion_mask=mask
                )
            except ValueError as error:
                raise ValueError(f"{frame.name}: {error}") from error
            sums[name] = sums[name].add(found.errors)
            if found.errors.full is None or found.alignment is None:
                continue
            result = FrameResult(frame=frame, errors=found.errors.full, alignment=found.alignment)
            if details and name == _NETWORK:
                now = _measured_frame(prediction, truth, mask, result, said)
                neighbour = before if before_name == frame.follows else None
                result = replace(result, details=frame_details(now, neighbour, chosen))
                before, before_name = now, frame.name
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
            try:
                found.append(align_depth(prediction[counted], truth[counted], "median"))
            except ValueError as error:
                raise ValueError(f"{frame.name}: {error}") from error
    return common_alignment(found)


def mean_truth(
    training: Sequence[FrameSequence], size: tuple[int, int]
) -> Float[np.ndarray, "h w"] | None:
    """Mean depth map of the training frames that have truth, in metres; None if none has.

    Args:
        training: Sequences to learn it from.
        size: Height and width of the map.
    """
    return mean_depth_map(_readable_truths(frames_with_truth(training, BASELINE_FRAMES)), size)


def _measured_frame(
    prediction: Float[np.ndarray, "h w"],
    truth: Float[np.ndarray, "h w"],
    motion_mask: UInt8[np.ndarray, "h w"] | None,
    result: FrameResult,
    said: Answer,
) -> MeasuredFrame:
    sure = said.confidence
    return MeasuredFrame(
        prediction=prediction,
        truth=truth,
        alignment=result.alignment,
        static=None if motion_mask is None else split_regions(motion_mask).static,
        place=result.frame.place,
        confidence=None if sure is None else resize_depth(sure, truth.shape),
    )


def _readable_truths(frames: Sequence[TruthFrame]) -> Iterator[Float[np.ndarray, "_ _"]]:
    for frame in frames:
        try:
            yield frame.read_depth()
        except ImageError:  # a mean over the rest is as good a baseline
            continue


def _training_part(root: Path, notes: list[str]) -> Sequence[FrameSequence]:
    """The training scenes; a fault in them is a note, for they are not what is measured."""
    try:
        return read_scenes(root, "train")
    except (OSError, ValueError) as error:
        notes.append(f"training scenes cannot be read: {error}")
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
