"""Scene folders: what a folder of frames says about itself, read into sequences.

DATA/train.txt, val.txt, test.txt      scene names, one a line
DATA/<scene>/<frame>.jpg|png           in name order, numbers by their value
DATA/<scene>/cam.txt                   3 x 3, pixels of the stored images
DATA/<scene>/depth/                    measured: PNG16 with the unit in scene.json, .npy/.npz meters
DATA/<scene>/pseudo_depth/             labels of another network, and label.json
DATA/<scene>/poses.txt                 12 or 16 numbers a frame, camera to world, meters
DATA/<scene>/tracked_poses.txt         what `ssmde track` found: part of the video, 12 numbers
DATA/<scene>/timestamps.txt            seconds, one a frame, where frames are not evenly spaced
DATA/<scene>/motion_mask/              255 moving, 0 static, 128 unknown
DATA/<scene>/scene.json                source, licence, fps, depth_units_per_metre, notes

The packs published with sc_depth_pl (`training/<scene>`, `leres_depth/`) are read as they are. What
is missing (`FileNotFoundError`) or wrong (`ValueError`) is named with its file and the remedy.
"""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ssmde.console import did_you_mean, shorten
from ssmde.data import images as image_files
from ssmde.data import scene_files
from ssmde.data.images import DEPTH_SUFFIXES, IMAGE_SUFFIXES, ImageError
from ssmde.data.sequence import Files, FrameSequence, Paths, Size
from ssmde.data.shards import is_packed, read_pack
from ssmde.io import are_decimal, decimal_order, natural_order, read_lines

Split = Literal["train", "val", "test", "all"]

VALIDATION_SHARE = 10  # without a val.txt, the last 1 / 10 of the frames of each scene validate
ZEROS = str.maketrans("123456789", "000000000")


def read_scenes(root: Path, split: Split, *, every_size: bool = False) -> list[FrameSequence]:
    """Sequences of one part of a data folder, in the order of its list file.

    `root` holds scene folders, is one itself, or is packed data. Without val.txt the last tenth of
    the frames of each scene is `val` and the rest `train`; without train.txt every scene that no
    other list names is for training. `all` is every scene, whole.
    """
    if is_packed(root):
        return read_pack(root, split)
    root = data_root(root)
    read = partial(read_scene, root=root, every_size=every_size)
    lists = {name: _read_list(root, name) for name in ("train", "val", "test")}
    listed = list(dict.fromkeys(chain.from_iterable(lists.values())))
    _check_names(root, listed)
    if split == "all":
        return [read(root / name) for name in scene_names(root, listed)]
    if lists[split] and split != "train":
        return [read(root / name) for name in lists[split]]
    if split == "test":
        raise FileNotFoundError(
            f"{root / 'test.txt'}: no such list; name the scenes for testing in it, one a line"
        )
    held_out = {*lists["val"], *lists["test"]}
    train = lists["train"] or [name for name in scene_names(root, []) if name not in held_out]
    if not train:
        raise ValueError(
            f"{root}: val.txt and test.txt name every scene, none is left for training"
        )
    scenes = [read(root / name) for name in train]
    if lists["val"]:
        return scenes
    cuts = [(s, len(s) - max(1, len(s) // VALIDATION_SHARE)) for s in scenes]
    if split == "val":
        return [scene.part(cut, len(scene)) for scene, cut in cuts]
    return [scene.part(0, cut) for scene, cut in cuts if cut]


def scene_name(folder: Path, root: Path | None = None) -> str:
    """Name of a scene: where it lies below the data folder, such as `kitchen/cam0`.

    Links are not followed: folders of one last name are scenes of their own, in files and tables.
    """
    path = Path(os.path.abspath(folder))
    base = path.parent if root is None else Path(os.path.abspath(root))
    inside = path != base and path.is_relative_to(base)
    return path.relative_to(base).as_posix() if inside else path.name


def read_scene(
    folder: Path, *, root: Path | None = None, every_size: bool = False
) -> FrameSequence:
    """One scene folder as a sequence, named from `root`, the data folder it belongs to.

    Only the headers of three of its images are opened, or of all with `every_size`. Others that
    are broken or have another size are left for the reader of frames to skip and report, and so
    are maps, but for the first of each kind: where it has another shape than the images, all will.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such scene folder")
    images = Files(folder, list_names(folder, IMAGE_SUFFIXES))
    if not images:
        raise ValueError(
            f"{folder}: a scene folder holds images ({', '.join(IMAGE_SUFFIXES)}), found none; "
            "`ssmde prepare` makes one from a video"
        )
    count, size, about = len(images), _common_size(images, of_all=every_size), folder / "scene.json"
    info = scene_files.read_scene_info(about)
    labels, kind = _pseudo_depth(folder, images)
    depth = _matching(folder / "depth", images, DEPTH_SUFFIXES)
    masks = _matching(folder / "motion_mask", images, (".png",))
    for maps in (depth, labels, masks):
        if first := next(filter(None, maps or ()), None):
            try:
                shape = image_files.read_shape(first)
            except ImageError:  # whoever reads the frames says so
                continue
            image_files.check_shape(first, shape, size)
    times = scene_files.read_timestamps(folder / "timestamps.txt", count)
    fps = scene_files.positive_number(info, "fps", about)
    if times is None and fps is not None:
        times = np.arange(count) / fps
    turn = common_orientation(images)
    tracked = scene_files.read_tracked_poses(folder / "tracked_poses.txt", count) or (None, None)
    return FrameSequence(
        name=scene_name(folder, root), images=images, image_size=size, timestamps=times,
        intrinsics=scene_files.read_intrinsics(folder / "cam.txt", size, orientation=turn),
        depth_units_per_metre=scene_files.positive_number(info, "depth_units_per_metre", about),
        poses=scene_files.read_poses(folder / "poses.txt", count),
        tracked_poses=tracked[0], tracked_parts=tracked[1],
        depth=depth, motion_masks=masks, pseudo_depth=labels, **kind,
    )  # fmt: skip


def common_orientation(images: Sequence[Path]) -> int:
    """EXIF mark of the first, the middle and the last image; others than one are refused."""
    found: dict[int, Path] = {}
    for index in (0, len(images) // 2, len(images) - 1):
        with suppress(ImageError):  # whoever reads the frames says so
            found.setdefault(image_files.read_orientation(images[index]), images[index])
    if len(found) > 1:
        marks = ", ".join(f"{path} has {mark}" for mark, path in found.items())
        raise ValueError(
            f"images of one scene are turned in different ways by their orientation marks (EXIF): "
            f"{marks}; `ssmde prepare` writes them upright"
        )
    return next(iter(found), 1)


def data_root(root: Path) -> Path:
    """The folder that holds the scenes: the published packs keep them in `training`."""
    if not root.is_dir():
        if re.match("[a-z][a-z0-9+.-]+:/", root.as_posix()):  # `Path` makes one slash of two
            raise ValueError(
                f"{root}: data is read from a folder: copy it from there, or mount it, and give "
                "that folder"
            )
        raise FileNotFoundError(f"{root}: no such data folder; give the folder of scene folders")
    lists = any((root / f"{split}.txt").is_file() for split in ("train", "val", "test"))
    inner = root / "training"
    return inner if inner.is_dir() and not lists and not _holds_images(inner) else root


def _check_names(root: Path, listed: list[str]) -> None:
    """Refuse scenes outside the data folder that have the name of another scene."""
    folders: dict[str, Path] = {}
    for folder in (root / name for name in listed):
        name = scene_name(folder, root)
        other = folders.setdefault(name, folder)
        if other is not folder and not folder.samefile(other):
            raise ValueError(
                f"{folder} and {other} would both be scene '{name}'; link one of them into "
                f"{root} under a name of its own, and list that"
            )


def scene_names(root: Path, listed: list[str]) -> list[str]:
    """Every folder with images, and those of a list; the folder itself if it has some."""
    if _holds_images(root):
        return ["."]
    folders = sorted((f.name for f in root.iterdir() if f.is_dir()), key=natural_order)
    names = [name for name in folders if name[0] != "." and _holds_images(root / name)]
    names += [name for name in listed if name not in names]
    if not names:
        raise ValueError(
            f"{root}: no folder in it holds images ({', '.join(IMAGE_SUFFIXES)}); "
            "`ssmde prepare` makes scene folders"
        )
    return names


def _read_list(root: Path, split: str) -> list[str]:
    """Scene names of a list file; empty if there is no file. Blank lines do not count."""
    path = root / f"{split}.txt"
    if not path.is_file():
        return []
    if not (lines := read_lines(path)):
        raise ValueError(f"{path}: the list is empty; name one scene a line or delete the file")
    for number, name in lines:
        if not (root / name).is_dir():
            hint = did_you_mean(name, sorted(f.name for f in root.iterdir() if f.is_dir()))
            raise FileNotFoundError(
                f"{path}, line {number}: scene '{name}' is no folder in {root}; {hint}"
            )
    return list(dict.fromkeys(os.path.normpath(name) for _, name in lines))


def _common_size(images: Sequence[Path], *, of_all: bool) -> Size:
    """Size (height, width) all images share; those that cannot be opened do not count."""
    # Unless `of_all`, the first, the middle and the last of those that can be opened have to do:
    # opening every file takes minutes with a million.
    few, found = {0, len(images) // 2, len(images) - 1}, dict[int, Size]()
    faults: list[ImageError] = []
    for index in chain(sorted(few), (i for i in range(len(images)) if i not in few)):
        if found and not of_all and index not in few:
            break
        try:
            found[index] = image_files.read_size(images[index])
        except ImageError as error:
            faults.append(error)
    if not found:
        raise faults[0]
    first = min(found)
    for index, (height, width) in found.items():
        if (height, width) != found[first]:
            common = f"{images[first].name} has {found[first][1]} x {found[first][0]}"
            raise ValueError(
                f"{images[index]}: {width} x {height} pixels, but {common}; give each size a scene "
                "of its own"
            )
    return found[first]


def _matching(folder: Path, images: Files, suffixes: tuple[str, ...]) -> Paths | None:
    """For each image the file of the same name in `folder`, or None; None without a folder."""
    if not folder.is_dir():
        return None
    names = _shown_names(folder, suffixes)
    if not names:
        raise ValueError(f"{folder}: holds no {', '.join(suffixes)}; fill or delete the folder")
    by_stem = {stem(name): name for name in names}
    found = [by_stem.get(stem(os.fsdecode(name)), "") for name in images.names.tolist()]
    if any(found):
        return Files(folder, found)
    raise ValueError(
        f"{folder}: none of its {len(names)} files is named like one of the {len(images)} images, "
        f"such as {images[0].stem}{suffixes[0]}"
    )


def _pseudo_depth(folder: Path, images: Files) -> tuple[Paths | None, dict[str, Any]]:
    """Label files and what is known about them; `leres_depth` holds depth up to an affine map."""
    for name, source in (("pseudo_depth", ""), ("leres_depth", "leres")):
        if labels := _matching(folder / name, images, DEPTH_SUFFIXES):
            path = folder / name / "label.json"
            info = {"kind": "depth", "affine": True, "source": source}
            info |= scene_files.read_scene_info(path)
            for key, rule, holds in (
                ("kind", "depth or disparity", info["kind"] in ("depth", "disparity")),
                ("affine", "true or false", isinstance(info["affine"], bool)),
                ("source", "text", isinstance(info["source"], str)),
            ):
                if not holds:
                    got = shorten(repr(info[key]))
                    raise ValueError(f"{path}: {key} must be {rule}, got {got}")
            return labels, {f"pseudo_depth_{k}": info[k] for k in ("kind", "affine", "source")}
    return None, {}


# The files of a folder


def list_names(folder: Path, suffixes: tuple[str, ...]) -> list[str]:
    """Names in a folder with one of these endings, hidden ones left out, in name order."""
    return sort_names(folder, _shown_names(folder, suffixes))


def _shown_names(folder: Path, endings: tuple[str, ...]) -> list[str]:
    return [n for n in os.listdir(folder) if n[0] != "." and n.lower().endswith(endings)]


def list_images(folder: Path) -> list[Path]:
    """Images of a folder in the order of their names, numbers by their value."""
    return [folder / name for name in list_names(folder, IMAGE_SUFFIXES)]


def left_out(folder: Path, taken: tuple[str, ...]) -> str:
    """Files of a folder that are not `taken`, counted by ending; not hidden ones and cam.txt."""
    names = [n.lower() for n in os.listdir(folder) if n[0] != "." and n != "cam.txt"]
    counts = Counter(Path(n).suffix for n in names if not n.endswith(taken) and Path(n).suffix)
    heic = f" ({image_files.not_read('HEIC')})"
    return ", ".join(
        f"{n} {ending}{heic if ending in ('.heic', '.heif') else ''}"
        for ending, n in sorted(counts.items())
    )


def sort_names(folder: Path, names: list[str]) -> list[str]:
    """Names in order, numbers by their value; one frame in two files is refused."""
    # Where digits stand at the same places in all, as nearly everywhere, the order of letters is
    # that of numbers, and found ten times as fast.
    if len({name.translate(ZEROS) for name in names}) == 1:
        return sorted(names)
    ordered = sorted(names, key=frame_order(names))
    for name, following in pairwise(ordered):
        if stem(name) == stem(following):
            raise ValueError(f"{folder}: {name} and {following} are one frame; keep one")
    return ordered


def frame_order(names: Iterable[str]) -> Callable[[str], Any]:
    """Key that sorts names of files as their frames follow: numbers, whole or decimal, by value."""
    order = decimal_order if are_decimal(map(stem, names)) else natural_order
    return lambda name: order(stem(name))


def stem(name: str) -> str:
    """A file's name without its ending."""
    return name.rpartition(".")[0] or name


def _holds_images(folder: Path) -> bool:
    """Whether an image lies in a folder; looks no further than the first."""
    with os.scandir(folder) as entries:
        return any(e.name[0] != "." and e.name.lower().endswith(IMAGE_SUFFIXES) for e in entries)
