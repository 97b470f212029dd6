"""NYU Depth V2 as its archives unpack: labelled set, raw recordings, and the packs of BTS.

nyu_depth_v2_labeled.mat    1449 single images with filled depth; 654 of them test
SCENE/r-*.ppm, d-*.pgm      raw recordings, 640 x 480, up to 30 a second
SCENE/rgb_00045.jpg, sync_depth_00045.png    packs made with the toolbox, millimetres

All come with the camera of the toolbox. Names of raw scenes end in a number (kitchen_0028b); a
folder named like a kind of room (kitchen) holds single labelled images.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from ssmde.data.archives.matlab import read_matlab5
from ssmde.data.archives.nyuv2_labelled import read_labelled_scenes, read_labelled_size
from ssmde.data.archives.nyuv2_raw import IMAGE_SIZE
from ssmde.data.archives.nyuv2_scenes import PACKED, folder_scene, is_frame, labelled_scene
from ssmde.data.archives.record import Archive, ArchiveError, ArchiveScene
from ssmde.data.archives.scene_lists import (
    Row,
    SceneList,
    Split,
    missing_scenes,
    parts_of,
    read_scene_lists,
    scene_and_words,
)
from ssmde.data.images import ImageError

LABELLED = "nyu_depth_v2_labeled"
SPLITS_FILE = "splits.mat"
SPLITS_KEYS = {"train": "trainNdxs", "test": "testNdxs"}
RECORDING = re.compile(r".*_\d{4}[a-z]?", re.ASCII)  # name of a scene that is a video
LINE_FORMS = "a scene, `color 0045 l`, a number from 1, or `bathroom/rgb_00044.jpg`"


def index_nyuv2(root: Path, *, lists: Mapping[str, Path] | None = None) -> Archive:
    """Scenes of NYU Depth V2 (Silberman et al., ECCV 2012): whatever of it lies in `root`.

    The labelled set becomes one scene for each list that names images of it, in the order of their
    numbers, with its filled depth; without a list for it, its splits.mat beside it says what is
    test. Recordings are for training unless a list says otherwise; those of rooms in which test
    images were taken are left out then, where the labelled set is there to tell.

    Args:
        root: Folder of the .mat file, of raw scenes, of packs, or of all three; or the .mat file.
        lists: For `train`, `val` or `test`, splits.mat of the data set, or a file that names
            scenes or single images, one a line: `kitchen_0028b`, `45` or `color 0045 l` for the
            45th labelled image, `bathroom/rgb_00044.jpg` for a file of a pack, which also is the
            45th labelled image where no such pack lies in `root`.

    Raises:
        FileNotFoundError: If there is nothing of the data set.
        ImportError: If the labelled set is there and h5py is not installed.
        ValueError: If a list cannot be read.
    """
    labelled = root if root.is_file() else root / f"{LABELLED}.mat"
    folders = _scene_folders(root)
    if not folders and not labelled.is_file():
        raise FileNotFoundError(
            f"{root}: no {LABELLED}.mat, no scene with r-*.ppm, and none with rgb_*.jpg in it; "
            "give the folder the archives were unpacked in"
        )
    beside = labelled.with_name(SPLITS_FILE)
    if labelled.is_file() and beside.is_file() and not lists:
        lists = {"test": beside}
    wanted = _read_lists(lists or {})
    if labelled.is_file():
        for split, found in wanted.items():
            wanted[split] = _to_numbers(found, folders)
    known = (*folders, LABELLED) if labelled.is_file() else tuple(folders)
    problems = list(missing_scenes(wanted.values(), known, root))
    scenes, rooms = _labelled(labelled, wanted, problems) if labelled.is_file() else ([], set())
    for name, folder in folders.items():
        for part in parts_of(name, wanted, _default(folder, root)):
            if part.split == "train" and not part.asked_by and _room(name) in rooms:
                problems.append(f"{folder}: test images were taken in this room; left out")
                continue
            try:
                scenes.append(folder_scene(folder, part))
            except (ArchiveError, ImageError) as error:
                problems.append(str(error))
    return Archive(scenes=tuple(scenes), problems=tuple(problems))


def _scene_folders(root: Path) -> dict[str, Path]:
    """Every folder with frames, by its name; one name twice takes that of the folder above."""
    found: dict[str, Path] = {}
    if not root.is_dir():
        return found
    for folder in sorted((root, *(path for path in root.rglob("*/")))):
        first = next((f.name for f in folder.iterdir() if is_frame(f.name)), None)
        if first is None or (
            not RECORDING.fullmatch(folder.name) and folder.parent.name == "train"
        ):
            continue  # the packs' labelled images for training are no video
        name = folder.resolve().name
        found[f"{folder.parent.name}_{name}" if name in found else name] = folder
    return found


def _default(folder: Path, root: Path) -> Split:
    """Single labelled images test, recordings train; a folder above may be named `test`."""
    above = folder.relative_to(root).parts
    return "test" if "test" in above or not RECORDING.fullmatch(folder.resolve().name) else "train"


def _room(scene: str) -> str:
    """kitchen_0028 for all parts of a recording, kitchen_0028a and so on."""
    return re.sub(r"(?<=\d)[a-z]$", "", scene)


def _read_lists(lists: Mapping[str, Path]) -> dict[Split, SceneList]:
    texts = {split: path for split, path in lists.items() if path.suffix != ".mat"}
    found = read_scene_lists(texts, _parse)
    for split, path in lists.items():
        if path.suffix != ".mat":
            continue
        key = SPLITS_KEYS.get(split, "")
        numbers = read_matlab5(path).get(key)
        if numbers is None:
            raise ValueError(f"{path}: has no list for {split}; it names train and test images")
        rows: dict[str, tuple[Row, ...]] = {LABELLED: tuple((str(int(n)),) for n in numbers)}
        found["train" if split == "train" else "test"] = SceneList(path=path, rows=rows)
    return found


def _parse(line: str) -> tuple[str, Row]:
    """Scene and frame of a line of a list."""
    first, *words = line.split()
    if first.isdigit():
        return LABELLED, (str(int(first)),)
    if words and words[0].isdigit():
        return LABELLED, (str(int(words[0])),)
    scene, _, file = first.strip("/").rpartition("/")
    if not scene:
        if words:
            raise ValueError(f"expected {LINE_FORMS}, got '{line}'")
        return scene_and_words(line)
    if not PACKED.fullmatch(file):
        raise ValueError(f"expected {LINE_FORMS}, got '{line}'")
    return scene.rpartition("/")[2], (file,)


def _to_numbers(found: SceneList, folders: Mapping[str, Path]) -> SceneList:
    """The list with files of packs that are not there as numbers of labelled images."""
    rows: dict[str, tuple[Row, ...]] = {}
    for scene, names in found.rows.items():
        if scene in folders or RECORDING.fullmatch(scene) or not names or scene == LABELLED:
            rows[scene] = (*rows.get(scene, ()), *names)
            continue
        files = [PACKED.fullmatch(row[0]) for row in names]
        numbers = tuple((str(int(file[1]) + 1),) for file in files if file)  # packs count from 0
        rows[LABELLED] = (*rows.get(LABELLED, ()), *numbers)
    return SceneList(path=found.path, rows=rows)


def _labelled(
    path: Path, wanted: Mapping[Split, SceneList], problems: list[str]
) -> tuple[list[ArchiveScene], set[str]]:
    """Scenes of the labelled set, and the rooms its test images were taken in."""
    parts = [part for part in parts_of(LABELLED, wanted) if part.rows]
    if not parts:
        problems.append(
            f"{path}: left out, for no list names its images; the published figures are for the "
            f"654 of {SPLITS_FILE}, which the site of the data set offers"
        )
        return [], set()
    try:
        taken_in = read_labelled_scenes(path)
        size = read_labelled_size(path)
        if size != IMAGE_SIZE:
            raise ArchiveError(
                f"{path}: images of {size[1]} x {size[0]} pixels, expected 640 x 480"
            )
    except ArchiveError as error:
        problems.append(str(error))
        return [], set()
    scenes: list[ArchiveScene] = []
    for part in parts:
        try:
            scenes.append(labelled_scene(path, part, len(taken_in)))
        except ArchiveError as error:
            problems.append(str(error))
    tests = [int(row[0]) for part in parts if part.split == "test" for row in part.rows]
    return scenes, {_room(taken_in[n - 1]) for n in tests if 1 <= n <= len(taken_in)}
