"""`ssmde prepare --dataset`: an official archive becomes scene folders, as far as it is good."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ssmde.console import did_you_mean
from ssmde.datasets import DATASETS
from ssmde.datasets.kitti import Truth
from ssmde.datasets.record import Archive
from ssmde.preparation.archive_folders import WrittenScene, report, write_archive

__all__ = ["DATASETS", "Truth", "WrittenScene", "prepare_dataset", "report", "write_archive"]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Wanted:
    """What of an archive is wanted, beyond all of it."""

    lists: Mapping[str, Path]
    improved: Path | None
    truth: Truth


def prepare_dataset(
    dataset: str,
    source: Path,
    out: Path,
    *,
    lists: Mapping[str, Path] | None = None,
    improved: Path | None = None,
    truth: Truth = "eigen",
    width: int | None = None,
    quality: int = 95,
    overwrite: bool = False,
    show_progress: bool = True,
) -> list[WrittenScene]:
    """Write the scenes of an official archive as scene folders and say what became of each.

    See `write_archive`. Files that are missing or broken cost what hangs on them, and a line in
    the report; the rest goes through.

    Args:
        dataset: One of `DATASETS`.
        source: Folder the archives were unpacked in, or the file, as the data set's reader says.
        out: Data folder; each scene becomes a folder in it.
        lists: For `train`, `val` or `test`, the file that names its frames or scenes.
        improved: KITTI raw: folder of the improved depth maps, which replace the scans.
        truth: KITTI raw: convention of the depth of the scans, `eigen` as published numbers take
            it, or `camera`, which is exact.
        width: Resize training and validation scenes to this width, in pixels.
        quality: JPEG quality of images that cannot be copied, 1 to 100.
        overwrite: Replace scenes of the same name.
        show_progress: Draw a progress bar.

    Raises:
        FileNotFoundError: If `source` is no such archive.
        FileExistsError: If a folder exists that holds something else.
        ValueError: If there is no such data set, no scene can be used, or an argument does not fit.
    """
    archive = _read(dataset, source, _Wanted(lists=lists or {}, improved=improved, truth=truth))
    return write_archive(
        archive,
        out,
        width=width,
        quality=quality,
        overwrite=overwrite,
        show_progress=show_progress,
        inputs=[path for path in (source, improved, *(lists or {}).values()) if path is not None],
        options={
            key: str(value)
            for key, value in {
                "truth": truth if truth != "eigen" else None,
                "improved": improved and improved.resolve(),
            }.items()
            if value is not None
        },
    )


def _read(dataset: str, source: Path, wanted: _Wanted) -> Archive:
    """The archive, with at least one scene."""
    if dataset not in DATASETS:
        raise ValueError(f"unknown data set '{dataset}': {did_you_mean(dataset, DATASETS)}")
    if dataset != "kitti_raw" and (wanted.improved or wanted.truth != "eigen"):
        raise ValueError(f"improved and truth belong to kitti_raw; leave them out for {dataset}")
    if not source.exists():
        raise FileNotFoundError(f"{source}: no such file or folder; give the unpacked archive")
    only_raw = {"improved": wanted.improved, "truth": wanted.truth}
    options = only_raw if dataset == "kitti_raw" else {}
    archive = DATASETS[dataset].index(source, lists=wanted.lists, **options)
    if not archive.scenes:
        lines = "\n".join(archive.problems[:10]) or "it is empty"
        raise ValueError(f"{source}: no scene of {dataset} can be used:\n{lines}")
    return archive
