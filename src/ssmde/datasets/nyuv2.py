"""NYU Depth V2 as its archives unpack: labelled set, raw recordings, and the packs of BTS.

nyu_depth_v2_labeled.mat    1449 single images with filled depth; 654 of them test
SCENE/r-*.ppm, d-*.pgm      raw recordings, 640 x 480, up to 30 a second
SCENE/rgb_00045.jpg, sync_depth_00045.png    packs made with the toolbox, millimetres

All come with the camera of the toolbox. Names of raw scenes end in a number (kitchen_0028b); a
folder named like a kind of room (kitchen) holds single labelled images.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from ssmde.datasets import record
from ssmde.datasets.nyuv2_files import (
    COLOR_CAMERA,
    IMAGE_SIZE,
    read_color,
    read_labelled_depth,
    read_labelled_image,
    read_labelled_set,
    read_matlab5,
    read_registered_depth,
)
from ssmde.datasets.record import Archive, ArchiveError, ArchiveFrame, ArchiveScene
from ssmde.datasets.sensors import clock_problem, frame_rate, in_time_order, match_times, time_name

PAPER = "NYU Depth V2 (Silberman et al., ECCV 2012)"
UNITS_PER_METRE = 5000  # the sensor sees up to 10 m
PACK_UNITS_PER_METRE = 1000
NyuScene = partial(
    ArchiveScene,
    image_size=IMAGE_SIZE,
    intrinsics=COLOR_CAMERA,
    licence="research use, cite; the site states no licence",
)
PACKED = re.compile(r"rgb_(\d+)\.(?:jpg|jpeg|png)", re.ASCII)
RECORDED = re.compile(r"([rd])-(\d+\.\d+)-\d+\.(?:ppm|pgm)", re.ASCII)
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
    scenes, rooms, known = list[Callable[[], ArchiveScene]](), set[str](), [*folders]
    if labelled.is_file():
        for split, found in wanted.items():
            wanted[split] = _to_numbers(found, folders)
        known.append(LABELLED)
    problems = record.missing_scenes(wanted.values(), known, root)
    if labelled.is_file():
        scenes, rooms = _labelled(labelled, wanted, problems)
    for name, folder in folders.items():
        for part in record.parts_of(name, wanted, _default(folder, root)):
            if part.split == "train" and not part.listed_in and _room(name) in rooms:
                problems.append(f"{folder}: test images were taken in this room; left out")
            else:
                scenes.append(partial(_folder_scene, folder, part))
    return record.collect(scenes, problems)


def _scene_folders(root: Path) -> dict[str, Path]:
    """Every folder with frames, by its name; one name twice takes that of the folder above."""
    found: dict[str, Path] = {}
    for folder in sorted((root, *root.rglob("*/"))) if root.is_dir() else ():
        if not RECORDING.fullmatch(folder.name) and folder.parent.name == "train":
            continue  # the packs' labelled images for training are no video
        if not any(
            PACKED.fullmatch(f.name) or (f.name[:1] == "r" and RECORDED.fullmatch(f.name))
            for f in folder.iterdir()
        ):
            continue
        name = folder.resolve().name
        found[f"{folder.parent.name}_{name}" if name in found else name] = folder
    return found


def _default(folder: Path, root: Path) -> record.Split:
    """Single labelled images test, recordings train; a folder above may be named `test`."""
    above = folder.relative_to(root).parts
    return "test" if "test" in above or not RECORDING.fullmatch(folder.resolve().name) else "train"


def _room(scene: str) -> str:
    """kitchen_0028 for all parts of a recording, kitchen_0028a and so on."""
    return re.sub(r"(?<=\d)[a-z]$", "", scene)


def _read_lists(lists: Mapping[str, Path]) -> dict[record.Split, record.SceneList]:
    texts = {split: path for split, path in lists.items() if path.suffix != ".mat"}
    found = record.read_scene_lists(texts, _parse)
    for split in (split for split in lists if split not in texts):
        key = SPLITS_KEYS.get(split, "")
        numbers = read_matlab5(lists[split], [key]).get(key)
        if numbers is None:
            raise ValueError(
                f"{lists[split]}: has no list for {split}; it names train and test images"
            )
        rows = {LABELLED: tuple((str(int(n)),) for n in numbers)}
        found["train" if split == "train" else "test"] = record.SceneList(lists[split], rows)
    return found


def _parse(line: str) -> tuple[str, record.Row]:
    """Scene and frame of a line of a list."""
    first, *words = line.split()
    if first.isdigit():
        return LABELLED, (str(int(first)),)
    if words and words[0].isdigit():
        return LABELLED, (str(int(words[0])),)
    scene, _, file = first.strip("/").rpartition("/")
    if (not scene and words) or (scene and not PACKED.fullmatch(file)):
        raise ValueError(f"expected {LINE_FORMS}, got '{line}'")
    return (scene.rpartition("/")[2], (file,)) if scene else record.scene_and_words(line)


def _to_numbers(found: record.SceneList, folders: Mapping[str, Path]) -> record.SceneList:
    """The list with files of packs that are not there as numbers of labelled images."""
    rows: dict[str, tuple[record.Row, ...]] = {}
    for scene, names in found.rows.items():
        if scene in folders or RECORDING.fullmatch(scene) or not names or scene == LABELLED:
            rows[scene] = (*rows.get(scene, ()), *names)
            continue
        files = [PACKED.fullmatch(row[0]) for row in names]
        numbers = tuple((str(int(file[1]) + 1),) for file in files if file)  # packs count from 0
        rows[LABELLED] = (*rows.get(LABELLED, ()), *numbers)
    return record.SceneList(found.path, rows)


def _labelled(
    path: Path, wanted: Mapping[record.Split, record.SceneList], problems: list[str]
) -> tuple[list[Callable[[], ArchiveScene]], set[str]]:
    """What makes the scenes of the labelled set, and the rooms its test images were taken in."""
    parts = [part for part in record.parts_of(LABELLED, wanted) if part.rows]
    if not parts:
        problems.append(
            f"{path}: left out, for no list names its images; the published figures are for the "
            f"654 of {SPLITS_FILE}, which the site of the data set offers"
        )
        return [], set()
    try:
        taken_in, size = read_labelled_set(path)
    except ArchiveError as error:
        problems.append(str(error))
        return [], set()
    if size != IMAGE_SIZE:
        problems.append(f"{path}: images of {record.in_pixels(size)} pixels, expected 640 x 480")
        return [], set()
    tests = [int(row[0]) for part in parts if part.split == "test" for row in part.rows]
    scenes = [partial(_labelled_scene, path, part, len(taken_in)) for part in parts]
    return scenes, {_room(taken_in[n - 1]) for n in tests if 1 <= n <= len(taken_in)}


def _labelled_scene(path: Path, part: record.Part, count: int) -> ArchiveScene:
    """The images of the labelled set that a list names by numbers from 1."""
    numbers = sorted({int(row[0]) for row in part.rows})
    frames, problems = list[ArchiveFrame](), list[str]()
    for n in numbers:
        if 1 <= n <= count:
            depth = partial(read_labelled_depth, path, n - 1)
            image = partial(read_labelled_image, path, n - 1)
            frames.append(ArchiveFrame(name=f"{n:04d}", image=image, depth=depth))
        else:
            problems.append(f"{path}: {part.listed_in} names image {n}, but there are {count}")
    return NyuScene(
        name=part.name, split=part.split, frames=tuple(frames), problems=tuple(problems),
        source=f"{PAPER}, labelled set, filled depth; single images, no video",
        depth_units_per_metre=UNITS_PER_METRE,
    )  # fmt: skip


def _folder_scene(folder: Path, part: record.Part) -> ArchiveScene:
    """The frames of a pack or a recording that a list names; all without one."""
    files = sorted(f.name for f in folder.iterdir())
    images = {name: m[1] for name in files if (m := PACKED.fullmatch(name))}
    if not images:
        return _recorded_scene(folder, files, part)
    images = dict(sorted(images.items(), key=lambda item: int(item[1])))
    problems: list[str] = []
    if part.rows:
        asked = {row[0] for row in part.rows}
        problems += [
            f"{folder / n}: no such file, but {part.listed_in} names it"
            for n in sorted(asked - images.keys())
        ]
        images = {name: number for name, number in images.items() if name in asked}
    frames: list[ArchiveFrame] = []
    for name, number in images.items():
        depth, read = folder / f"sync_depth_{number}.png", None
        if depth.name in files:
            read = partial(record.read_sized_depth, depth, PACK_UNITS_PER_METRE, IMAGE_SIZE)
        else:
            problems.append(f"{depth}: no such file; a frame has no depth")
        frames.append(ArchiveFrame(name=number, image=folder / name, depth=read))
    if not frames:
        raise ArchiveError("\n".join([*problems, f"{folder}: no frame can be used"]))
    record.first_size([folder / name for name in images], IMAGE_SIZE)
    return NyuScene(
        name=part.name, split=part.split, frames=tuple(frames), problems=tuple(problems),
        source=f"{PAPER}, {folder.resolve().name}, pack made with the toolbox",
        depth_units_per_metre=PACK_UNITS_PER_METRE,
    )  # fmt: skip


def _recorded_scene(folder: Path, files: list[str], part: record.Part) -> ArchiveScene:
    if part.rows:
        raise ArchiveError(
            f"{folder}: a raw recording, but {part.listed_in} names {part.rows[0][0]} of it; "
            "name the scene alone"
        )
    problems: list[str] = []
    times, images = in_time_order(_recorded(folder, files, "r", problems), problems)
    depth_times, depths = in_time_order(_recorded(folder, files, "d", problems), problems)
    if not images:
        raise ArchiveError("\n".join([*problems, f"{folder}: no frame can be used"]))
    pairs = match_times(times, depth_times)
    problems += clock_problem("the images", times, f"{folder}, depth", depth_times, len(pairs))
    record.first_size(images, IMAGE_SIZE)
    frames = tuple(
        ArchiveFrame(
            name=time_name(time), image=partial(read_color, image),
            depth=partial(read_registered_depth, depths[pairs[i]]) if i in pairs else None,
        )
        for i, (time, image) in enumerate(zip(times.tolist(), images, strict=True))
    )  # fmt: skip
    return NyuScene(
        name=part.name, split=part.split, frames=frames, timestamps=times, fps=frame_rate(times),
        source=f"{PAPER}, {folder.resolve().name}, raw; rectified and registered",
        depth_units_per_metre=UNITS_PER_METRE, problems=tuple(problems),
    )  # fmt: skip


def _recorded(
    folder: Path, files: list[str], letter: str, problems: list[str]
) -> Iterator[tuple[float, Path]]:
    """Times and files of one camera; empty files are told."""
    for name in files:
        match = RECORDED.fullmatch(name)
        if match is None or match[1] != letter:
            continue
        if (folder / name).stat().st_size:
            yield float(match[2]), folder / name
        else:
            problems.append(f"{folder / name}: the file is empty; left out")
