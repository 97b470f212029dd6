"""`ssmde doctor DATA`: can a network learn depth from this? Findings, each with its remedy."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from rich.table import Table
from rich.text import Text

from ssmde.console import bars, ranges, shorten, table_console

if TYPE_CHECKING:
    from ssmde.data.sequence import FrameSequence

__all__ = ["Diagnosis", "Finding", "doctor"]

MOST_SCENES = 8  # that a quick look opens the frames of
MAPS = {False: 24, True: 6}  # depth maps, labels and pairs with poses, by `quick`
Severity = Literal["blocking", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)  # the worst first
COLORS = {"blocking": "bold red", "warning": "yellow", "note": "dim"}
NARROW = 24  # columns of the table for all but the text


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that stands in the way of training, or may."""

    name: str  # what kind of thing, such as `static-camera`
    severity: Severity
    """`blocking`: training fails or learns nonsense. `warning`: it learns less. `note`: good to
    know."""
    what: str  # what was found, with numbers
    remedy: str  # what to do
    frames: tuple[int, ...] = ()
    """Indices of the frames it is about, from 0 in the order of the images; empty if all."""
    scene: str = ""  # name of the scene; empty if it is about all of them


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What stands in the way of training on a data folder; as text, a table and a line below it."""

    findings: tuple[Finding, ...]  # the worst first; empty if nothing was found

    @property
    def is_blocking(self) -> bool:
        """True if training would fail, or learn nonsense."""
        return any(finding.severity == "blocking" for finding in self.findings)

    @property
    def summary(self) -> str:
        """The findings in one line."""
        counts = {s: sum(f.severity == s for f in self.findings) for s in SEVERITIES}
        number = ", ".join(
            f"{count} {severity}" + ("s" if count > 1 and severity != "blocking" else "")
            for severity, count in counts.items()
            if count
        )
        end = "" if self.is_blocking else "; this can be trained on"
        return f"doctor: {number}{end}" if self.findings else "doctor: nothing found"

    def __str__(self) -> str:
        """The findings as a table, one a row, and below it the summary."""
        if not self.findings:
            return self.summary
        title = "frames are counted from 0 in the order of their names"
        table, console = Table(title=title, show_lines=True), table_console()
        for heading in ("", "scene", "finding", "frames"):
            table.add_column(heading, overflow="fold", max_width=NARROW)
        table.add_column("what, and what to do", ratio=1)
        for finding in self.findings:
            table.add_row(
                Text(finding.severity, COLORS[finding.severity]), finding.scene or "all",
                finding.name, shorten(ranges(finding.frames)),
                f"{finding.what}\n-> {finding.remedy}",
            )  # fmt: skip
        with console.capture() as shown:
            console.print(table)
            console.print(self.summary)
        return shown.get().rstrip("\n")


def doctor(
    data: Path, *, split: Literal["train", "val", "test", "all"] = "all", quick: bool = False,
    photos: bool = False, show_progress: bool = True,
) -> Diagnosis:  # fmt: skip
    """Say what stands in the way of training on DATA, with frame numbers and the remedy.

    Ends with 1 if something does.

    Example:
      ssmde doctor data

    Args:
        data: Folder of scene folders, or one scene folder.
        split: Part of DATA to look at.
        quick: A few seconds: some forty frames of at most eight scenes.
        photos: The frames need not follow each other: leave out what compares neighbors.
        show_progress: Draw a progress bar.

    Returns:
        The findings, the worst first. A scene that training would refuse is one, and the others are
        looked at all the same.

    Raises:
        FileNotFoundError: If the folder, a list or a scene that a list names does not exist.
        ValueError: If there are no scenes.
    """
    from ssmde.data.scene_folder import list_images
    from ssmde.diagnosis.files import few_frames, open_scenes
    from ssmde.diagnosis.video import spread_out

    scenes, found = open_scenes(data, split, quick=quick)
    found += few_frames(scenes)
    chosen = set(spread_out(len(scenes), MOST_SCENES if quick else len(scenes)).tolist())
    with bars(show=show_progress) as progress:
        task = progress.add_task("doctor", total=len(scenes))
        for number, scene in enumerate(scenes):
            progress.update(task, description=scene.name)
            # Frames are counted from the first image of the folder.
            first = list_images(scene.images[0].parent).index(scene.images[0])
            for finding in _examine(scene, quick, photos, pictures=number in chosen):
                frames = tuple(frame + first for frame in finding.frames)
                found.append(replace(finding, scene=scene.name, frames=frames))
            progress.advance(task)
    return Diagnosis(tuple(sorted(found, key=lambda one: SEVERITIES.index(one.severity))))


def _examine(
    scene: "FrameSequence", quick: bool, photos: bool, *, pictures: bool
) -> Iterator[Finding]:
    """Findings about a scene; those that need its pictures and maps where they are asked for."""
    from ssmde.diagnosis.files import check_camera, check_labels, check_truth
    from ssmde.diagnosis.video import (
        FULL,
        QUICK,
        check_poses,
        check_tracking,
        check_video,
        video_statistics,
    )

    def check_frames() -> Iterator[Finding]:
        video = video_statistics(scene, *(QUICK if quick else FULL))
        yield from check_video(video)
        yield from check_poses(video, MAPS[quick])

    checks: list[Callable[[], Iterator[Finding]]] = [partial(check_camera, scene)]
    if pictures:
        checks += [] if photos else [check_frames]
        checks += [partial(check_tracking, scene), partial(check_truth, scene, MAPS[quick]),
                   partial(check_labels, scene, MAPS[quick])]  # fmt: skip
    for check in checks:
        try:
            yield from check()
        except Exception as error:  # a look at odd data must stop neither the others nor a training
            yield Finding(
                "not-checked", "warning", "the frames, depth or labels could not be checked "
                f"({shorten(f'{type(error).__name__}: {error}')})",
                f"look at the files in {scene.images[0].parent}",
            )  # fmt: skip
