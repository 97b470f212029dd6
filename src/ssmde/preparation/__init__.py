"""Videos, photos and official archives become scene folders, and these become shards.

What is slow to import waits until it is needed, for the command line reads the signature.
"""

from collections.abc import Sequence
from inspect import signature
from pathlib import Path
from typing import Any, Literal

from ssmde.preparation.results import Packed, Prepared, PreparedDataset

__all__ = ["Packed", "Prepared", "PreparedDataset", "prepare"]

# Arguments by what they are for; those of no group go with everything.
OF_VIDEO = ("step", "least_motion", "fewest_frames", "intrinsics", "hfov_degrees", "name")
OF_DATASETS = ("train_list", "val_list", "test_list", "improved")


def prepare(
    source: Path | Sequence[Path], out: Path, *, step: int | None = None,
    least_motion: float = 0.005, fewest_frames: int = 10,
    intrinsics: tuple[float, float, float, float] | None = None,
    hfov_degrees: int | float | None = None, width: int | None = None, name: str | None = None,
    overwrite: bool = False,
    dataset: Literal["kitti_raw", "kitti_odometry", "nyuv2", "ddad", "bonn", "tum"] | None = None,
    train_list: Path | None = None, val_list: Path | None = None, test_list: Path | None = None,
    improved: Path | None = None, pack: bool = False, size: tuple[int, int] | None = None,
    show_progress: bool = True,
) -> Prepared | PreparedDataset | Packed:  # fmt: skip
    """Turn a video, images, or the official archive of a data set into scene folders.

    Of a video the frames that move and are sharp are kept, and cuts split it: the scenes become
    OUT/NAME or OUT/NAME-1, OUT/NAME-2 ... Without a known camera they have no cam.txt.
    With --pack scene folders become shards near training size, for fast or far away reading.

    Example:
      ssmde prepare walk.mp4 data --hfov-degrees 65 --width 640
      ssmde prepare kitti data --dataset kitti_raw --test-list eigen_test.txt
      ssmde prepare data packed --pack --size 256 320

    Args:
        source: Video, image, folder of either, or quoted pattern such as 'shots/*.jpg'; with
            --dataset the folder the archives were unpacked to, with --pack the folder of scene
            folders.
        out: Data folder; each scene becomes a folder in it, or with --pack a part of shards.
        step: Take every so many-th frame, moved or not; by default motion chooses.
        least_motion: The image moves so far from one kept frame to the next, as a share of its
            width.
        fewest_frames: A scene with fewer is dropped.
        intrinsics: Focal lengths and principal point, in pixels of the upright frames of SOURCE; by
            default from the file, or unknown.
        hfov_degrees: Instead: horizontal field of view of the upright frames.
        width: Resize the frames to this width, in pixels; their shape stays.
        name: Name of the scene; by default that of SOURCE.
        overwrite: Replace scenes or shards that ssmde made of something else; files of yours stay.
        dataset: SOURCE holds this data set, as its official archives unpack.
        train_list: With --dataset: published list of what is for training.
        val_list: The same for validation.
        test_list: The same for testing.
        improved: For kitti_raw: folder data_depth_annotated, whose depth takes the place of the
            scans.
        pack: SOURCE holds scene folders: pack them.
        size: With --pack: size of the packed training frames, in pixels: that of the training.
        show_progress: Draw progress bars.

    Returns:
        What was written, as text the report.

    Raises:
        FileNotFoundError: If there is no such source.
        FileExistsError: If something exists in `out` that may not be replaced.
        ValueError: If nothing in the source can be used, or arguments do not fit together.
    """
    given = locals()  # first of all, while these are the arguments alone
    changed = [n for n, p in signature(prepare).parameters.items() if given[n] != p.default]
    refused = {
        "with --pack": ("dataset", "width", *OF_VIDEO, *OF_DATASETS) if pack else (),
        "without --pack": () if pack else ("size",),
        "with --dataset": OF_VIDEO if dataset else (),
        "without --dataset": () if dataset else OF_DATASETS,
    }
    for why, names in refused.items():
        for argument in changed:
            if argument in names:
                raise ValueError(f"--{argument.replace('_', '-')} does not go {why}")
    how: dict[str, Any] = {"overwrite": overwrite, "show_progress": show_progress}
    if pack:
        if size is None:
            raise ValueError("--pack needs --size HEIGHT WIDTH: data.image_size of the training")
        from ssmde.preparation.packing import pack as pack_scenes

        return pack_scenes(_single(source, "--pack"), out, size=size, **how)
    if dataset is not None:
        from ssmde.preparation.archives import prepare_dataset

        lists = {"train": train_list, "val": val_list, "test": test_list}
        lists = {part: path for part, path in lists.items() if path is not None}
        folder = _single(source, "--dataset")
        return prepare_dataset(
            dataset, folder, out, lists=lists, improved=improved, width=width, **how
        )
    from ssmde.preparation.videos import prepare_videos

    return prepare_videos(source, out, width=width, **{n: given[n] for n in OF_VIDEO}, **how)


def _single(source: Path | Sequence[Path], option: str) -> Path:
    sources = [source] if isinstance(source, Path) else source
    if len(sources) != 1:
        raise ValueError(f"{option} takes one folder, got {len(sources)}")
    return sources[0]
