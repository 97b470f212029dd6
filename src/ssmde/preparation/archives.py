"""`ssmde prepare --dataset`: official archives become scene folders, each whole or not at all."""

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Shaped

from ssmde import outputs
from ssmde.console import bars, did_you_mean
from ssmde.data.images import ImageError, read_image, write_png16
from ssmde.data.scene_files import read_scene_info, write_list, write_poses, write_scene_info
from ssmde.data.sequence import DepthMap, Size
from ssmde.datasets import DATASETS, record
from ssmde.datasets.record import Archive, ArchiveError, ArchiveFrame, ArchiveScene, in_pixels
from ssmde.io import read_lines
from ssmde.preparation.results import PreparedDataset, WrittenScene
from ssmde.preparation.videos import store_camera, store_image, stored_size

WORKERS = min(8, os.cpu_count() or 1)  # threads; decoding and compressing run beside each other


@dataclass(frozen=True, kw_only=True, slots=True)
class _Job:
    """A scene, and how it is to be stored."""

    scene: ArchiveScene
    folder: Path
    size: Size  # height and width of the images as they are stored
    mark: dict[str, Any]  # what the folder is made of, to know it again

    def report(self, *, skipped: bool) -> WrittenScene:
        """What became of it, as its scene.json says."""
        info = read_scene_info(self.folder / "scene.json")
        return WrittenScene(
            name=self.scene.name, split=self.scene.split, folder=self.folder, skipped=skipped,
            **info["content"], problems=tuple(info.get("problems", ())),
        )  # fmt: skip


def prepare_dataset(
    dataset: str, source: Path, out: Path, *, lists: Mapping[str, Path] | None = None,
    improved: Path | None = None, width: int | None = None, overwrite: bool = False,
    show_progress: bool = True,
) -> PreparedDataset:  # fmt: skip
    """Write the scenes of an official archive; arguments and errors are those of `ssmde.prepare`.

    Files that are missing or broken cost what hangs on them, and a line in the report. Scenes that
    are there and finished stay. Images that need no change are copied. Scenes for testing keep the
    size of the archive, where benchmarks measure. train.txt, val.txt and test.txt get the names of
    the scenes; `lists` are by the same words.
    """
    if dataset not in DATASETS:
        raise ValueError(f"unknown data set '{dataset}': {did_you_mean(dataset, DATASETS)}")
    if improved is not None and dataset != "kitti_raw":
        raise ValueError(f"improved belongs to kitti_raw; leave it out for {dataset}")
    more = {} if improved is None else {"improved": improved}
    archive = DATASETS[dataset](source, lists=lists, **more)
    if not archive.scenes:
        lines = "\n".join(archive.problems[:10]) or "it is empty"
        raise ValueError(f"{source}: no scene of {dataset} can be used:\n{lines}")
    return write_archive(
        archive, out, width=width, overwrite=overwrite, show_progress=show_progress,
        inputs=[source, *more.values(), *(lists or {}).values()],
        options={name: str(path.resolve()) for name, path in more.items()},
    )  # fmt: skip


def write_archive(
    archive: Archive, out: Path, *, width: int | None, overwrite: bool, show_progress: bool,
    inputs: Sequence[Path] = (), options: Mapping[str, str] | None = None,
) -> PreparedDataset:  # fmt: skip
    """Write each scene of an archive as a scene folder, whole or not at all, and list it.

    No folder goes that is, holds or lies in one of `inputs`; `options` are those of the reader.
    """
    jobs: dict[str, _Job] = {}
    for scene in archive.scenes:
        if scene.name in jobs:
            raise ValueError(f"two scenes of the archive are named '{scene.name}'")
        jobs[scene.name] = _job(scene, out / scene.name, width, options or {})
    lists = {f"{split}.txt" for split in record.SPLITS}
    outputs.sweep(out, lambda name: name in jobs or name in lists)
    done = {name for name, job in jobs.items() if _is_done(job, overwrite, inputs)}
    for scene in archive.scenes:
        remedy = "name the scene in it yourself, or choose another folder"
        outputs.check_own(_changed_lists(out, scene.split, scene.name), remedy)
    written: list[WrittenScene] = []
    if archive.problems:  # of no scene that was read
        written.append(WrittenScene(name="", split=None, folder=None, problems=archive.problems))
    with bars(show=show_progress) as progress:
        frames = sum(len(job.scene.frames) for name, job in jobs.items() if name not in done)
        task = progress.add_task("frames", total=frames)
        for name, job in jobs.items():
            progress.update(task, description=name)
            advance = partial(progress.advance, task)
            result = job.report(skipped=True) if name in done else _write(job, advance)
            written.append(result)
            if result.folder is None:
                continue
            with outputs.recorded():
                for path, names in _changed_lists(out, job.scene.split, name).items():
                    if names:
                        write_list(out, path.stem, names)  # type: ignore[arg-type]
                    else:
                        path.unlink()  # an empty list is no list
    return PreparedDataset(scenes=tuple(written))


def shrink_depth(depth: DepthMap, size: Size) -> Float32[np.ndarray, "k m"]:
    """Depth map at a smaller size, in the same unit, no two depths mixed; 0 where unknown.

    Each new pixel takes, of the measured pixels whose centers it covers, the one nearest to its
    own center: so a sparse map keeps its points. The size (height, width) is at most the old one.
    """
    rows, columns = np.nonzero(depth)
    # Borders of the image stay borders, so the center of pixel (u, v) lies at (u, v) + 0.5.
    scale = np.array(size) / depth.shape
    places = (np.stack([rows, columns], axis=1) + 0.5) * scale
    cells = np.minimum(places.astype(np.int64), np.array(size) - 1)
    off = ((places - cells - 0.5) / scale) ** 2  # in pixels of the old map
    order = np.argsort(-off.sum(axis=1), kind="stable")  # the nearest is written last, and stays
    small = np.zeros(size, np.float32)
    small[cells[order, 0], cells[order, 1]] = depth[rows, columns][order]
    return small


def _job(scene: ArchiveScene, folder: Path, width: int | None, options: Mapping[str, str]) -> _Job:
    """A test scene keeps its size; the others get the width that is asked for."""
    now = scene.image_size[1]
    width = None if scene.split == "test" else width
    if width is not None and not 1 <= width <= now:
        raise ValueError(
            f"width must be in [1, {now}], that of the images of '{scene.name}', got {width}"
        )
    size = stored_size(scene.image_size, width)
    mark = {
        "source": scene.source, "frames": len(scene.frames), "first": scene.frames[0].name,
        "last": scene.frames[-1].name, "image_size": list(size), **options,
    }  # fmt: skip
    return _Job(scene=scene, folder=folder, size=size, mark=mark)


def _is_done(job: _Job, overwrite: bool, inputs: Sequence[Path]) -> bool:
    """Whether a scene is finished; else its folder is absent or may be replaced."""
    if not os.path.lexists(job.folder):
        return False
    if read_scene_info(job.folder / "scene.json").get("prepared") == job.mark:
        return True
    if not overwrite:
        raise FileExistsError(
            f"{job.folder} exists and holds something else, or frames of another choice or size: "
            "choose another data folder, or allow it to be overwritten"
        )
    outputs.check_replaceable(job.folder, inputs)
    return False


def _write(job: _Job, advance: Callable[[], None]) -> WrittenScene:
    """Write images, depth, camera, poses and scene.json of a scene.

    A frame whose image is broken is left out; one whose depth is broken keeps its image. Without
    one good image there is no folder.
    """
    scene = job.scene
    with outputs.hidden_folder(job.folder) as part:
        (part / "depth").mkdir()
        outcomes: list[tuple[bool, bool, str | None]] = []
        pool = ThreadPoolExecutor(WORKERS)
        try:
            for outcome in pool.map(lambda frame: _write_frame(job, frame, part), scene.frames):
                outcomes.append(outcome)
                advance()
        finally:  # when the block fails, threads stop with the frame they are at
            pool.shutdown(cancel_futures=True)
        kept = np.flatnonzero([image for image, _, _ in outcomes])
        depths = sum(depth for _, depth, _ in outcomes)
        problems = (*scene.problems, *(problem for _, _, problem in outcomes if problem))
        if not len(kept):
            return WrittenScene(name=scene.name, split=scene.split, folder=None, problems=problems)
        info: dict[str, Any] = {"source": scene.source, "licence": scene.licence}
        if depths:
            info["depth_units_per_metre"] = scene.depth_units_per_metre
        else:
            (part / "depth").rmdir()
        info["content"] = {"frames": len(kept), "depths": depths}
        write_scene_info(part, info | {"prepared": job.mark, "problems": list(problems)})
        store_camera(part, scene.intrinsics, scene.image_size, job.size)
        if scene.poses is not None:
            write_poses(part, scene.poses[kept])
        outputs.record_tree(part, outputs.mark_of(**job.mark))
        outputs.move_into_place(part, job.folder)
    return job.report(skipped=False)


def _write_frame(job: _Job, frame: ArchiveFrame, folder: Path) -> tuple[bool, bool, str | None]:
    """Whether the image and the depth of a frame were written, and what was wrong."""
    size, has_image = job.scene.image_size, False
    try:
        # A file is decoded before it is copied, since it may be broken.
        file = frame.image if isinstance(frame.image, Path) else None
        pixels = read_image(frame.image) if isinstance(frame.image, Path) else frame.image()
        _check_size(str(file or f"image of frame {frame.name}"), pixels, size)
        store_image(folder / frame.name, pixels, job.size, file=file)
        has_image = True
        if frame.depth is None:
            return True, False, None
        depth = frame.depth()
        _check_size(f"depth of frame {frame.name}", depth, size)
    except (ArchiveError, ImageError) as error:
        cost = "has no depth" if has_image else "is left out"
        return has_image, False, f"{error}; the frame {cost}"
    if job.size != size:
        depth = shrink_depth(depth, job.size)
    # 0 is unknown, and what 16 bits do not hold; what is measured is at least 1.
    units = np.round(depth.astype(np.float64) * job.scene.depth_units_per_metre)
    units = np.where(depth > 0, np.maximum(units, 1), 0)
    units = np.where(units <= np.iinfo(np.uint16).max, units, 0).astype(np.uint16)
    write_png16(folder / "depth" / f"{frame.name}.png", units)
    return True, True, None


def _check_size(what: str, pixels: Shaped[np.ndarray, "h w *c"], size: Size) -> None:
    if (now := (pixels.shape[0], pixels.shape[1])) != size:
        raise ImageError(
            f"{what}: {in_pixels(now)} pixels, but the images of the scene have {in_pixels(size)}"
        )


def _changed_lists(out: Path, split: record.Split, name: str) -> dict[Path, list[str]]:
    """Lists that have to change so that the scene stands in that of its split alone."""
    changed: dict[Path, list[str]] = {}
    for path in (out / f"{each}.txt" for each in record.SPLITS):
        names = [line for _, line in read_lines(path)] if path.is_file() else []
        if (name in names) != (path.stem == split):
            changed[path] = [n for n in names if n != name] + [name] * (path.stem == split)
    return changed
