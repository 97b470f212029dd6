"""`ssmde doctor DATA`: can a network learn depth from this? Findings, each with its remedy."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from rich.table import Table
from rich.text import Text

from ssmde.console import bars, shorten, table_console
from ssmde.data.scene_folder import Split
from ssmde.data.sequence import FrameSequence
from ssmde.diagnosis.camera import check_camera
from ssmde.diagnosis.files import few_frames, open_scenes
from ssmde.diagnosis.finding import SEVERITIES, Finding, frame_ranges
from ssmde.diagnosis.footage import FULL, QUICK, look, spread_out
from ssmde.diagnosis.labels import check_labels
from ssmde.diagnosis.motion import check_motion
from ssmde.diagnosis.pictures import check_pictures
from ssmde.diagnosis.poses import check_poses
from ssmde.diagnosis.truth import check_truth

MOST_SCENES = 8  # that a quick look opens the frames of
MAPS = {False: 24, True: 6}  # depth maps, labels and pairs with poses, by `quick`
NARROW = 24  # columns of the table for all but the text
COLOURS = {"blocking": "bold red", "warning": "yellow", "note": "dim"}


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
        photos: The frames need not follow each other: leave out what compares neighbours.
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
            found += check_camera(scene)
            if number in chosen:
                found += (_from(offset, finding) for finding in _examine(scene, quick, photos))
            progress.advance(task)
    return sorted(found, key=lambda finding: SEVERITIES.index(finding.severity))


def _examine(scene: FrameSequence, quick: bool, photos: bool) -> Iterator[Finding]:
    """Findings that need the pictures."""
    footage = None if photos else look(scene, QUICK if quick else FULL)
    checks: list[Callable[[], Iterable[Finding]]] = []
    if footage is not None:
        checks += [partial(check_motion, footage), partial(check_pictures, footage)]
        checks += [partial(check_poses, footage, MAPS[quick])]
    checks += [partial(check, scene, MAPS[quick]) for check in (check_truth, check_labels)]
    for check in checks:
        try:
            yield from check()
        except Exception as error:  # a look at odd data must stop neither the others nor a training
            yield _not_looked_at(scene, error)


def _not_looked_at(scene: FrameSequence, error: Exception) -> Finding:
    reason = shorten(f"{type(error).__name__}: {error}")
    return Finding(
        name="not-checked", severity="warning", scene=scene.name,
        what=f"the frames, depth or labels could not be checked ({reason})",
        remedy=f"look at the files in {scene.images[0].parent}",
    )  # fmt: skip


def _from(offset: int, finding: Finding) -> Finding:
    """Frames counted from the first image of the folder."""
    return replace(finding, frames=tuple(frame + offset for frame in finding.frames))


def table(findings: list[Finding]) -> Table:
    """The findings as a table, one a row."""
    shown = Table(title="frames are counted from 0 in the order of their names", show_lines=True)
    for heading in ("", "scene", "finding", "frames"):
        shown.add_column(heading, overflow="fold", max_width=NARROW)
    shown.add_column("what, and what to do", ratio=1)
    for finding in findings:
        shown.add_row(
            Text(finding.severity, COLOURS[finding.severity]),
            finding.scene or "all",
            finding.name,
            frame_ranges(finding.frames),
            f"{finding.what}\n-> {finding.remedy}",
        )
    return shown


def summary(findings: list[Finding]) -> str:
    """The findings in one line."""
    counts = {s: sum(finding.severity == s for finding in findings) for s in SEVERITIES}
    if not findings:
        return "doctor: nothing found"
    number = ", ".join(
        f"{count} {severity}" + ("s" if count > 1 and severity != "blocking" else "")
        for severity, count in counts.items()
        if count
    )
    return f"doctor: {number}" + ("" if counts["blocking"] else "; this can be trained on")


def print_findings(findings: list[Finding]) -> None:
    """Print the table, and below it the summary."""
    console = table_console()
    if findings:
        console.print(table(findings))
    console.print(summary(findings))


def is_blocking(findings: list[Finding]) -> bool:
    """True if training would fail, or learn nonsense."""
    return bool(np.any([finding.severity == "blocking" for finding in findings]))
