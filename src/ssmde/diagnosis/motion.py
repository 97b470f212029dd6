"""Motion of the camera: none, too little, too much, only turning, or not of one shot.

Depth is learnt from parallax: what no turn of the camera explains of the image motion. The limits
are those between recordings that networks were trained on with success: of `kitti_odom00` 1.0 % of
the image's longer side in the median from frame to frame, of `redkitchen` 0.7 % at gap 2, of
`bonn_crowd`, which needed tracked poses, 0.4 % at gap 12.
"""

import numpy as np
from jaxtyping import Bool, Float64

from ssmde.diagnosis.finding import Finding
from ssmde.diagnosis.footage import Footage, Pairs

STILL = 0.0012  # motion, as a share of the longer side, below which nothing moved: the noise
STILL_SHARE = 0.9  # of the pairs, from which on a camera is static
STRETCH = 5  # still pairs in a row that are worth naming
UNLIKE = 0.25  # share of tiles found again, below which two frames do not show the same
UNRELATED_SHARE = 0.25  # of the pairs, from which on they are no cuts in a video
JUMP = 0.15  # motion, as a share of the longer side, that is a jump
FAR_FOUND = 0.5  # share of tiles found again from frame to frame, in the median
FAR_MOTION = 0.12  # motion from frame to frame, in the median
LEAST_PARALLAX = 0.004  # as a share of the longer side
LEAST_FOUND = 0.6  # share of tiles found again at a gap that is fit for training
MOST_GAPS = 3  # that are suggested
TURNING = 0.08  # parallax as a share of the motion, below which it is mostly rotation
ONLY_TURNING = 0.02  # and below which it is nothing else, within the precision of the tiles
TURNED = 0.02  # motion, as a share of the longer side, from which that share can be told


def check_motion(footage: Footage) -> list[Finding]:
    """Findings about the motion of the camera."""
    neighbours = footage.pairs[1]
    if not len(neighbours.first):
        return []
    lost = neighbours.found < UNLIKE
    if lost.mean() > UNRELATED_SHARE:
        return [_unrelated(footage, lost)]
    findings = [*_cuts(footage, lost), *_jumps(footage)]
    if is_static(footage):
        return [*findings, _static(footage)]
    turning = _turning(footage)
    if any(finding.severity == "blocking" for finding in turning):
        return [*findings, *turning]
    return [*findings, *_stretches(footage), *_gaps(footage), *turning]


def is_static(footage: Footage) -> bool:
    """True if nearly no pair of frames, however far apart, shows a motion of the camera."""
    return bool(footage.pairs) and all(
        _still(pairs).mean() >= STILL_SHARE for pairs in footage.pairs.values() if len(pairs.first)
    )


def _still(pairs: Pairs) -> Bool[np.ndarray, "n"]:
    return pairs.motion < STILL


def _static(footage: Footage) -> Finding:
    widest = max(footage.pairs)
    return Finding(
        name="static-camera", severity="blocking", scene=footage.sequence.name,
        what="the camera does not move: the image moves less than "
        f"{_pixels(footage, STILL):.1f} pixels, also {widest} frames on",
        remedy="leave the scene out; depth is learnt from a moving camera, and neither zoom nor "
        "moving people replace it",
    )  # fmt: skip


def _unrelated(footage: Footage, lost: Bool[np.ndarray, "n"]) -> Finding:
    return Finding(
        name="frames-too-far-apart", severity="blocking", scene=footage.sequence.name,
        frames=tuple((footage.pairs[1].first[lost] + 1).tolist()),
        what=f"{lost.mean():.0%} of the frames have next to nothing in common with the one before",
        remedy="take more frames of the video (`ssmde prepare` with a smaller --step), and see "
        "that their names sort them by time",
    )  # fmt: skip


def _cuts(footage: Footage, lost: Bool[np.ndarray, "n"]) -> list[Finding]:
    frames = footage.pairs[1].first[lost] + 1
    if not len(frames):
        return []
    return [
        Finding(
            name="scene-cuts", severity="warning", scene=footage.sequence.name,
            frames=tuple(frames.tolist()),
            what="these frames have next to nothing in common with the one before; snippets "
            "across a cut teach nonsense",
            remedy="split the scene there: `ssmde prepare` does it, or move the frames from each "
            "cut on into a folder of their own, with its cam.txt",
        )
    ]  # fmt: skip


def _jumps(footage: Footage) -> list[Finding]:
    pairs = footage.pairs[1]
    far = (pairs.motion > JUMP) & ~(pairs.found < UNLIKE)
    if not far.any() or _median(pairs.motion) > FAR_MOTION:
        return []
    return [
        Finding(
            name="jumps", severity="warning", scene=footage.sequence.name,
            frames=tuple((pairs.first[far] + 1).tolist()),
            what=f"the image jumps to these frames, by {JUMP:.0%} to "
            f"{pairs.motion[far].max():.0%} of its longer side: a scene cut, a quick turn, or "
            "missing frames",
            remedy="split the scene there as at a cut, or take more frames of these stretches",
        )
    ]  # fmt: skip


def _stretches(footage: Footage) -> list[Finding]:
    """Stretches of a moving camera's video in which it rests."""
    pairs = footage.pairs[1]
    rows = np.split(np.arange(len(pairs.first)), np.flatnonzero(np.diff(_still(pairs))) + 1)
    resting = [row for row in rows if len(row) >= STRETCH and _still(pairs)[row[0]]]
    if not resting or np.median(np.diff(pairs.first)) > 1:  # a sample shows no stretches
        return []
    frames = pairs.first[np.concatenate(resting)]
    share = len(frames) / len(pairs.first)
    return [
        Finding(
            name="still-stretches", severity="note" if share < 0.2 else "warning",
            scene=footage.sequence.name, frames=tuple(frames.tolist()),
            what=f"the camera rests in {share:.0%} of the frames; what moves there by itself "
            "looks infinitely far or near",
            remedy="drop these frames (`ssmde prepare` does it), or train with a wider "
            "--data.frame-gaps",
        )
    ]  # fmt: skip


def suggested_gaps(footage: Footage) -> tuple[int, ...]:
    """Gaps with enough parallax at which frames still show the same; the best one if none is fit.

    Empty if at no gap enough is seen again.
    """
    seen = {
        gap: float(_median(pairs.parallax))
        for gap, pairs in footage.pairs.items()
        if _median(pairs.parallax) >= 0 and _median(pairs.found) >= LEAST_FOUND
    }
    fit = [gap for gap, parallax in seen.items() if parallax >= LEAST_PARALLAX]
    return tuple(fit[:MOST_GAPS] or sorted(seen, key=lambda gap: seen[gap])[-1:])


def _gaps(footage: Footage) -> list[Finding]:
    neighbours, gaps = footage.pairs[1], suggested_gaps(footage)
    if not np.isfinite(neighbours.motion).any():
        return [_nothing_to_follow(footage)]
    found, motion = _median(neighbours.found), _median(neighbours.motion)
    if found < FAR_FOUND or motion > FAR_MOTION:
        return [
            Finding(
                name="frames-too-far-apart", severity="warning", scene=footage.sequence.name,
                what=f"from frame to frame the image moves by {motion:.0%} of its longer side, and "
                f"{found:.0%} of it is found again, in the median",
                remedy="take more frames of the video: `ssmde prepare` with a smaller --step",
            )
        ]  # fmt: skip
    if not gaps or gaps[0] == 1:
        return []
    words = " ".join(map(str, gaps))
    single = " ".join(f"{footage.sequence.name} {gap}" for gap in gaps)
    parallax = [_median(footage.pairs[gap].parallax) for gap in (1, gaps[0])]
    enough = parallax[1] >= LEAST_PARALLAX
    return [
        Finding(
            name="frames-too-dense", severity="warning", scene=footage.sequence.name,
            what=f"from frame to frame the parallax is {_pixels(footage, parallax[0]):.1f} pixels, "
            f"{gaps[0]} frames on {_pixels(footage, parallax[1]):.1f}",
            remedy=f"train with --data.frame-gaps {words}, or for this scene alone "
            f"--data.scene-gaps {single}"
            + ("" if enough else "; it is little even so: record with more motion"),
        )
    ]  # fmt: skip


def _turning(footage: Footage) -> list[Finding]:
    """Says if the camera mostly turns, and whether its motion is known."""
    shares: list[Float64[np.ndarray, " n"]] = []
    for gap in suggested_gaps(footage):
        pairs = footage.pairs[gap]
        turned = pairs.motion > TURNED
        shares.append((pairs.parallax / np.maximum(pairs.motion, TURNED))[turned])
    share = _median(np.concatenate([np.zeros(0), *shares]))
    if not share < TURNING:  # also if nothing turned
        return []
    scene = footage.sequence
    if share < ONLY_TURNING:
        return [
            Finding(
                name="only-rotation", severity="blocking", scene=scene.name,
                what=f"a turn of the camera explains {1 - share:.0%} of the image motion; what "
                "only turns shows no depth",
                remedy="leave the scene out, or record it while walking",
            )
        ]  # fmt: skip
    known = scene.tracked_poses is not None or scene.poses is not None
    which = "tracked" if scene.tracked_poses is not None else "file"
    return [
        Finding(
            name="mostly-rotation", severity="note" if known else "warning", scene=scene.name,
            what=f"a turn of the camera explains {1 - share:.0%} of the image motion; a pose "
            "network that sees two frames is not exact enough for the rest",
            remedy=f"train with --data.poses {which}" if known else
            f"`ssmde track {scene.images[0].parent}`, then train with --data.poses tracked",
        )
    ]  # fmt: skip


def _nothing_to_follow(footage: Footage) -> Finding:
    return Finding(
        name="no-texture", severity="blocking", scene=footage.sequence.name,
        what="the images show nothing that could be followed from frame to frame",
        remedy="look at them: they are blank, out of focus, or too dark",
    )  # fmt: skip


def _pixels(footage: Footage, share: float) -> float:
    """A share of the longer side in pixels of the stored images."""
    return share * max(footage.sequence.image_size)


def _median(values: Float64[np.ndarray, "n"]) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else float("nan")
