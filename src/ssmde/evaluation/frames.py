"""The frames of a data set that have measured depth, with what is known about each."""

from collections.abc import Iterator, Sequence

from ssmde.data.dataset import spread
from ssmde.data.sequence import FrameSequence
from ssmde.evaluation.details import CameraPlace
from ssmde.evaluation.result import TruthFrame


def frames_with_truth(
    sequences: Sequence[FrameSequence], max_frames: int | None = None
) -> list[TruthFrame]:
    """The frames that have measured depth, in order; at most `max_frames`, evenly spread."""
    found = [frame for sequence in sequences for frame in _truth_frames(sequence)]
    return found if max_frames is None else [found[i] for i in spread(len(found), max_frames)]


def _truth_frames(sequence: FrameSequence) -> Iterator[TruthFrame]:
    nothing = (None,) * len(sequence)
    depths, masks = sequence.depth or nothing, sequence.motion_masks or nothing
    for i, (depth, mask) in enumerate(zip(depths, masks, strict=True)):
        if depth is not None:
            yield TruthFrame(
                name=sequence.frame_name(i),
                image=sequence.images[i],
                depth=depth,
                units_per_metre=sequence.depth_units_per_metre,
                image_size=sequence.image_size,
                motion_mask=mask,
                place=_place(sequence, i),
                follows=sequence.frame_name(i - 1) if i else "",
            )


def _place(sequence: FrameSequence, index: int) -> CameraPlace | None:
    if sequence.poses is None or sequence.intrinsics is None:
        return None
    return CameraPlace(
        T_world_cam=sequence.poses[index],
        intrinsics=sequence.intrinsics,
        image_size=sequence.image_size,
    )
