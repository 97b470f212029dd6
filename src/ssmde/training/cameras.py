"""Cameras that a training learns: which scenes have one, where it starts, what is said of it."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ssmde.config import Config
from ssmde.data.sequence import FrameSequence
from ssmde.models.camera import LearnedCameras, stored_cameras
from ssmde.models.load import read_weights

UNUSUAL_HFOV = (25.0, 120.0)  # degrees; few cameras without a fisheye are outside


def build_cameras(config: Config, sequences: Sequence[FrameSequence]) -> LearnedCameras | None:
    """Cameras of the scenes that `model.intrinsics` wants learnt; None where all are given.

    A student goes on from what its teacher learnt.

    Args:
        config: The run.
        sequences: The training scenes.

    Raises:
        ValueError: If the method learns no camera, or one camera is to have filmed images of
            several sizes.
    """
    m = config.model
    if m.intrinsics == "given":
        return None
    if config.method == "affine_depth":
        raise ValueError(
            "model.intrinsics learned needs views of a moving camera, config.method affine_depth "
            "sees single frames: write a cam.txt for each scene"
        )
    unknown = [s for s in sequences if m.intrinsics == "all_learned" or s.intrinsics is None]
    if not unknown:
        return None
    # By name, so that the parameters of a run keep their order when it is resumed.
    sizes = {s.name: s.image_size for s in sorted(unknown, key=lambda s: s.name)}
    if m.shared_camera:
        _check_one_size(sizes)
        numbers, kept = dict.fromkeys(sizes, 0), [next(iter(sizes.values()))]
    else:
        numbers, kept = {name: i for i, name in enumerate(sizes)}, list(sizes.values())
    cameras = LearnedCameras(
        numbers, kept, hfov_degrees=m.initial_hfov_degrees, aspect=m.pixel_aspect
    )
    if config.method == "student" and config.student.teacher is not None:
        _start_as_teacher(cameras, config.student.teacher)
    return cameras


def with_learned_cameras(
    sequences: Sequence[FrameSequence], cameras: LearnedCameras | None
) -> list[FrameSequence]:
    """The sequences whose camera is learnt or given, with these intrinsics; others are left out."""
    learnt = {s.name: cameras.of_scene(s.name) for s in sequences} if cameras else {}
    filled = [
        s if (matrix := learnt.get(s.name)) is None else replace(s, intrinsics=matrix)
        for s in sequences
    ]
    return [s for s in filled if s.intrinsics is not None]


def describe_cameras(cameras: LearnedCameras) -> str:
    """What was learnt, a line a camera, with a word where it is hardly a camera."""
    lines: list[str] = []
    for number, (height, width) in enumerate(cameras.sizes):
        names = [name for name, its in cameras.scenes.items() if its == number]
        matrix = cameras.of_scene(names[0])
        assert matrix is not None
        (fx, _, cx), (_, fy, cy) = matrix[:2].tolist()
        hfov = 2 * math.degrees(math.atan(0.5 * width / fx))
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        lines.append(
            f"learnt camera of '{names[0]}'{more}: fx {fx:.1f} fy {fy:.1f} cx {cx:.1f} cy {cy:.1f} "
            f"in pixels of {width} x {height}, {hfov:.1f} degrees wide"
        )
        if not UNUSUAL_HFOV[0] < hfov < UNUSUAL_HFOV[1]:
            lines[-1] += "; unusual: where a camera hardly turns, video does not tell its focal"
    return "\n".join(lines)


def _check_one_size(sizes: dict[str, tuple[int, int]]) -> None:
    first, *others = sizes.items()
    for name, size in others:
        if size != first[1]:
            raise ValueError(
                f"model.shared_camera needs images of one size: scene '{first[0]}' has (height, "
                f"width) {first[1]}, scene '{name}' has {size}; prepare them alike, or give each "
                "its camera with --model.shared-camera false"
            )


def _start_as_teacher(cameras: LearnedCameras, path: Path) -> None:
    """Take over what stage 1 learnt for the same scenes."""
    _, metadata = read_weights(path / "best.safetensors" if path.is_dir() else path)
    for name, matrix in stored_cameras(metadata).items():
        if name in cameras.scenes:
            cameras.start_at(name, matrix)
