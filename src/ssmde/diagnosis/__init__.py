"""`ssmde doctor DATA`: can a network learn depth from this? Findings, each with its remedy."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from ssmde.console import bars, shorten
from ssmde.data.scene_folder import Split
from ssmde.data.sequence import FrameSequence
from ssmde.diagnosis.depth import check_labels, check_truth
from ssmde.diagnosis.files import check_camera, few_frames, open_scenes
from ssmde.diagnosis.findings import SEVERITIES, Finding, is_blocking, print_findings, summary
from ssmde.diagnosis.poses import check_poses, check_tracking
from ssmde.diagnosis.video import (
    FULL,
    QUICK,
    check_motion,
    check_pictures,
    spread_out,
    video_statistics,
)

__all__ = ["Finding", "doctor", "is_blocking", "print_findings", "summary"]

MOST_SCENES = 8  # that a quick look opens the frames of
MAPS = {False: 24, True: 6}  # depth maps, labels and pairs with poses, by `quick`


def doctor(
    data: Path,
    *,
    split: Split = "all",
    quick: bool = False,
    photos: bool = False,
    show_progress: bool = True,
) -> list[Finding]:
    """What stands in the way of training on a data folder; the worst first, empty if nothing.

    A scene that training would refuse is a finding, and the others are looked at all the same.

    Args:
        data: Folder of scene folders, or one scene folder.
        split: Part of the data, as `read_scenes` has it.
        quick: Look at some forty frames of at most eight scenes, for a few seconds: single cuts,
            repeated and blurred frames may go unseen.
        photos: The frames need not follow each other: leave out what compares neighbors.
        show_progress: Draw a progress bar.

    Raises:
        FileNotFoundError: If the folder, a list or a scene that a list names does not exist.
        ValueError: If there are no scenes.
    """
    opened = open_scenes(data, split, quick=quick)
    found = [finding for scene in opened for finding in scene.findings]
    scenes = [(one.sequence, one.offset) for one in opened if one.sequence is not None]
    found += few_frames([scene for scene, _ in scenes])
    chosen = set(spread_out(len(scenes), MOST_SCENES if quick else len(scenes)).tolist())
    with bars(show=show_progress) as progress:
        task = progress.add_task("doctor", total=len(scenes))
        for number, (scene, offset) in enumerate(scenes):
            progress.update(task, description=scene.name)
            checks = [*check_camera(scene)]
            checks += _examine(scene, quick, photos) if number in chosen else []
            for finding in checks:  # frames are counted from the first image of the folder
                frames = tuple(frame + offset for frame in finding.frames)
                found.append(replace(finding, scene=scene.name, frames=frames))
            progress.advance(task)
    return sorted(found, key=lambda finding: SEVERITIES.index(finding.severity))


def _examine(scene: FrameSequence, quick: bool, photos: bool) -> Iterator[Finding]:
    """Findings that need the pictures."""
    most = MAPS[quick]
    checks: list[Callable[[], Iterable[Finding]]] = []
    video = None if photos else video_statistics(scene, QUICK if quick else FULL)
    if video is not None:
        checks += [partial(check_motion, video), partial(check_pictures, video)]
        checks.append(partial(check_poses, video, most))
    checks += [partial(check_tracking, scene)]
    checks += [partial(check_truth, scene, most), partial(check_labels, scene, most)]
    for check in checks:
        try:
            yield from check()
        except Exception as error:  # a look at odd data must stop neither the others nor a training
            yield Finding(
                "not-checked", "warning", "the frames, depth or labels could not be checked "
                f"({shorten(f'{type(error).__name__}: {error}')})",
                f"look at the files in {scene.images[0].parent}",
            )  # fmt: skip
