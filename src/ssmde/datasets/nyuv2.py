"""NYU Depth V2 as its archives unpack: labeled set, raw recordings, and the packs of BTS.

nyu_depth_v2_labeled.mat    1449 single images with filled depth; 654 of them test
SCENE/r-*.ppm, d-*.pgm      raw recordings, 640 x 480, up to 30 a second
SCENE/rgb_00045.jpg, sync_depth_00045.png    packs made with the toolbox, millimetres

All come with the camera of the toolbox. Names of raw scenes end in a number (kitchen_0028b); a
folder named like a kind of room (kitchen) holds single labeled images.

The Kinect's two cameras lie 2.5 cm apart, and both lenses distort. As the toolbox of the data set
does it, color is rectified, and depth is rectified, moved and seen again by the color camera.
Unlike there, depth is the distance from the color camera, and beyond 10 m it is unknown.
"""

import re
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Num
from scipy.io import loadmat
from scipy.ndimage import map_coordinates

from ssmde.console import import_extra
from ssmde.data.images import read_depth, read_image
from ssmde.data.sequence import DepthMap, Intrinsics, Pixels
from ssmde.datasets import record, sensors
from ssmde.datasets.record import ArchiveError, ArchiveFrame, ArchiveScene, in_pixels, readable

PAPER = "NYU Depth V2 (Silberman et al., ECCV 2012)"
UNITS_PER_METRE = 5000  # the sensor sees up to 10 m
PACK_UNITS_PER_METRE = 1000
PACKED = re.compile(r"rgb_(\d+)\.(?:jpg|jpeg|png)", re.ASCII)
RECORDED = re.compile(r"([rd])-(\d+\.\d+)-\d+\.(?:ppm|pgm)", re.ASCII)
LABELED = "nyu_depth_v2_labeled"
SPLITS_FILE = "splits.mat"
SPLITS_KEYS = {"train": "trainNdxs", "test": "testNdxs"}
RECORDING = re.compile(r".*_\d{4}[a-z]?", re.ASCII)  # name of a scene that is a video
LINE_FORMS = "a scene, `color 0045 l`, a number from 1, or `bathroom/rgb_00044.jpg`"

# camera_params.m of the toolbox (Silberman et al., ECCV 2012). Its pixels count from 1: less 1.
IMAGE_SIZE = (480, 640)
COLOR_CAMERA = np.array([
    [518.85790117450188, 0.0, 325.58244941119034 - 1],
    [0.0, 519.46961112127485, 253.73616633400465 - 1],
    [0.0, 0.0, 1.0],
])  # fmt: skip
DEPTH_CAMERA = np.array([
    [582.62448167737955, 0.0, 313.04475870804731 - 1],
    [0.0, 582.69103270988637, 238.44389626620386 - 1],
    [0.0, 0.0, 1.0],
])  # fmt: skip
# Lens distortion k1 k2 p1 p2 k3 (Brown).
COLOR_LENS = (
    0.20796615318809061, -0.58613825163911781, 7.2231363135888329e-04, 1.0479627195765181e-03,
    0.49856986684705107,
)  # fmt: skip
DEPTH_LENS = (
    -0.099897236553084481, 0.39065324602765344, 1.9290592870229277e-03, -1.9422022475975055e-03,
    -0.51031725053400578,
)  # fmt: skip
# The toolbox turns points into the negative of these, which project to the same pixels.
R_DEPTH_COLOR = np.array([
    [9.9997798940829263e-01, 5.0518419386157446e-03, 4.3011152014118693e-03],
    [-5.0359919480810989e-03, 9.9998051861143999e-01, -3.6879781309514218e-03],
    [-4.3196624923060242e-03, 3.6662365748484798e-03, 9.9998394948385538e-01],
])  # fmt: skip
R_COLOR_DEPTH = np.linalg.inv(R_DEPTH_COLOR)
COLOR_FROM_DEPTH = np.array(
    [-2.5031875059141302e-02, 2.9342312935846411e-04, -6.6238747008330102e-04]
)  # metres

DEPTH_NUMERATOR, DEPTH_ORIGIN = 351.3, 1092.5  # depth_rel2depth_abs.m: 351.3 / (1092.5 - raw)
LEAST_RAW = 600  # project_depth_map.m takes less for noise
MAX_DEPTH = 10.0  # metres, camera_params.m
WHITE = 255  # beyond the border, as in the labeled images
LENS_STEPS = 8  # of the fixed-point iteration; the error is below 1e-6 pixels
PGM_HEADER = re.compile(rb"P5\s+(\d+)\s+(\d+)\s+65535\s", re.ASCII)
Values = Float[np.ndarray, "*b"]
NyuScene = partial(
    ArchiveScene, image_size=IMAGE_SIZE, intrinsics=COLOR_CAMERA,
    depth_units_per_metre=UNITS_PER_METRE,
    licence="research use, cite; the site states no licence",
)  # fmt: skip


def index_nyuv2(root: Path, *, lists: Mapping[str, Path] | None = None) -> record.Archive:
    """Scenes of NYU Depth V2 (Silberman et al., ECCV 2012): whatever of it lies in `root`.

    The labeled set becomes one scene for each list that names images of it, in the order of their
    numbers, with its filled depth; without a list for it, its splits.mat beside it says what is
    test. Recordings are for training unless a list says otherwise; those of rooms in which test
    images were taken are left out then, where the labeled set is there to tell.

    `root` is the folder of the .mat file, of raw scenes, of packs, or of all three; or the .mat
    file. A list is splits.mat of the data set, or names scenes or single images, one a line:
    `kitchen_0028b`, `45` or `color 0045 l` for the 45th labeled image, `bathroom/rgb_00044.jpg`.
    """
    labeled = root if root.is_file() else root / f"{LABELED}.mat"
    folders = _scene_folders(root)
    if not folders and not labeled.is_file():
        raise FileNotFoundError(
            f"{root}: no {LABELED}.mat, no scene with r-*.ppm, and none with rgb_*.jpg in it; "
            "give the folder the archives were unpacked in"
        )
    beside = labeled.with_name(SPLITS_FILE)
    if labeled.is_file() and beside.is_file() and not lists:
        lists = {"test": beside}
    wanted = _read_lists(lists or {})
    known = [*folders, LABELED] if labeled.is_file() else [*folders]
    problems = record.missing_scenes(wanted.values(), known, root)
    scenes, rooms = list[Callable[[], ArchiveScene]](), set[str]()
    if labeled.is_file():
        make = partial(_labeled, labeled, wanted)
        scenes, rooms = record.attempt(make, problems) or (scenes, rooms)
    for name, folder in folders.items():
        # Single labeled images test, recordings train; a folder above may be named `test`.
        is_video = RECORDING.fullmatch(folder.resolve().name)
        tests = "test" in folder.relative_to(root).parts or not is_video
        for part in record.parts_of(name, wanted, "test" if tests else "train"):
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
            continue  # the packs' labeled images for training are no video
        names = (file.name for file in folder.iterdir())
        if any(PACKED.fullmatch(n) or (n[:1] == "r" and RECORDED.fullmatch(n)) for n in names):
            name = folder.resolve().name
            found[f"{folder.parent.name}_{name}" if name in found else name] = folder
    return found


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
        rows = {LABELED: tuple((str(int(n)),) for n in numbers)}
        found["train" if split == "train" else "test"] = record.SceneList(lists[split], rows)
    return found


def _parse(line: str) -> tuple[str, record.Row]:
    """Scene and frame of a line of a list."""
    for number in line.split()[:2]:
        if number.isdigit():
            return LABELED, (str(int(number)),)
    first, *words = line.split()
    scene, _, file = first.strip("/").rpartition("/")
    if (not scene and words) or (scene and not PACKED.fullmatch(file)):
        raise ValueError(f"expected {LINE_FORMS}, got '{line}'")
    return (scene.rpartition("/")[2], (file,)) if scene else record.scene_and_words(line)


def _labeled(
    path: Path, wanted: Mapping[record.Split, record.SceneList]
) -> tuple[list[Callable[[], ArchiveScene]], set[str]]:
    """What makes the scenes of the labeled set, and the rooms its test images were taken in."""
    parts = [part for part in record.parts_of(LABELED, wanted) if part.rows]
    if not parts:
        raise ArchiveError(
            f"{path}: left out, for no list names its images; the published figures are for the "
            f"654 of {SPLITS_FILE}, which the site of the data set offers"
        )
    with _open_labeled(path) as file:
        references = np.asarray(file["scenes"]).ravel()
        taken_in = ["".join(map(chr, np.asarray(file[r]).ravel())) for r in references]
        _, _, width, height = file["images"].shape  # HDF5, with every array transposed
    if (height, width) != IMAGE_SIZE:
        size = in_pixels((height, width))
        raise ArchiveError(f"{path}: images of {size} pixels, expected 640 x 480")
    tests = [int(row[0]) for part in parts if part.split == "test" for row in part.rows]
    scenes = [partial(_labeled_scene, path, part, len(taken_in)) for part in parts]
    return [*scenes], {_room(taken_in[n - 1]) for n in tests if 1 <= n <= len(taken_in)}


def _labeled_scene(path: Path, part: record.Part, count: int) -> ArchiveScene:
    """The images of the labeled set that a list names by numbers from 1."""
    numbers = sorted({int(row[0]) for row in part.rows})
    return NyuScene(
        name=part.name, split=part.split,
        source=f"{PAPER}, labelled set, filled depth; single images, no video",
        frames=tuple(
            ArchiveFrame(
                name=f"{n:04d}", image=partial(_labeled_image, path, n - 1),
                depth=partial(_labeled_depth, path, n - 1),
            )
            for n in numbers if 1 <= n <= count
        ),
        problems=tuple(
            f"{path}: {part.listed_in} names image {n}, but there are {count}"
            for n in numbers if not 1 <= n <= count
        ),
    )  # fmt: skip


def _folder_scene(folder: Path, part: record.Part) -> ArchiveScene:
    """The frames of a pack or a recording that a list names; all without one."""
    files = sorted(f.name for f in folder.iterdir())
    images = {name: m[1] for name in files if (m := PACKED.fullmatch(name))}
    if not images:
        return _recorded_scene(folder, files, part)
    asked, problems = {row[0] for row in part.rows} or {*images}, list[str]()
    problems += [
        f"{folder / n}: no such file, but {part.listed_in} names it"
        for n in sorted(asked - images.keys())
    ]
    frames: list[ArchiveFrame] = []
    for name in sorted(asked & images.keys(), key=lambda name: int(images[name])):
        depth, read = folder / f"sync_depth_{images[name]}.png", None
        if depth.name in files:
            read = partial(read_depth, depth, PACK_UNITS_PER_METRE)
        else:
            problems.append(f"{depth}: no such file; a frame has no depth")
        frames.append(ArchiveFrame(name=images[name], image=folder / name, depth=read))
    if not frames:
        raise record.nothing_left(folder, problems)
    record.first_size(
        [frame.image for frame in frames if isinstance(frame.image, Path)], IMAGE_SIZE
    )
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

    def recorded(letter: str) -> Iterator[tuple[float, Path]]:
        for name in files:
            match = RECORDED.fullmatch(name)
            if match is None or match[1] != letter:
                continue
            if (folder / name).stat().st_size:
                yield float(match[2]), folder / name
            else:
                problems.append(f"{folder / name}: the file is empty; left out")

    times, images = sensors.in_time_order(recorded("r"), problems)
    depth_times, depths = sensors.in_time_order(recorded("d"), problems)
    if not images:
        raise record.nothing_left(folder, problems)
    pairs = sensors.match_times(times, depth_times)
    problems += sensors.clock_problem(
        "the images", times, f"{folder}, depth", depth_times, len(pairs)
    )
    record.first_size(images, IMAGE_SIZE)
    return NyuScene(
        name=part.name, split=part.split, timestamps=times, fps=sensors.frame_rate(times),
        frames=tuple(
            ArchiveFrame(
                name=sensors.time_name(time), image=partial(read_color, image),
                depth=partial(read_registered_depth, depths[pairs[i]]) if i in pairs else None,
            )
            for i, (time, image) in enumerate(zip(times.tolist(), images, strict=True))
        ),
        source=f"{PAPER}, {folder.resolve().name}, raw; rectified and registered",
        problems=tuple(problems),
    )  # fmt: skip


# Files


def read_color(path: Path) -> Pixels:
    """Rectified colors of an r-*.ppm, RGB; white where the rectified camera sees past the image."""
    pixels = read_image(path)
    if pixels.shape[:2] != IMAGE_SIZE:
        raise ArchiveError(
            f"{path}: {in_pixels(pixels.shape[:2])} pixels, expected {in_pixels(IMAGE_SIZE)}"
        )
    places, stored = _distorted_pixels(), pixels.astype(np.float32)
    colors = [map_coordinates(stored[..., c], places, order=1, cval=WHITE) for c in range(3)]
    # Rounded, not cut off: a picture that is resampled must not become darker.
    return (np.stack(colors, axis=-1) + 0.5).clip(0, 255).astype(np.uint8)


def read_registered_depth(path: Path) -> DepthMap:
    """Depth of a d-*.pgm as the rectified color camera sees it, in metres; 0 where unknown."""
    content = record.read_archive_file(path)  # the low byte first, against the rule for PGM
    header = PGM_HEADER.match(content)
    if header is None:
        raise ArchiveError(f"{path}: no 16-bit PGM; extract it again")
    width, height = (int(number) for number in header.groups())
    count, needed = len(content) - header.end(), 2 * IMAGE_SIZE[0] * IMAGE_SIZE[1]
    if (height, width) != IMAGE_SIZE or count < needed:
        raise ArchiveError(
            f"{path}: {count} bytes for {width} x {height} pixels, expected {needed} for "
            f"{in_pixels(IMAGE_SIZE)}; extract it again"
        )
    # 351.3 / (1092.5 - raw) metres, 2047 for unknown.
    raw = np.frombuffer(content, "<u2", height * width, header.end()).reshape(IMAGE_SIZE)
    known = (raw >= LEAST_RAW) & (raw <= DEPTH_ORIGIN - DEPTH_NUMERATOR / MAX_DEPTH)
    depth = DEPTH_NUMERATOR / (DEPTH_ORIGIN - raw[known])
    points = _depth_directions()[known] * depth[:, None]
    # From the depth camera into the color camera, whose distances count: see the head of the file.
    return sensors.depth_image(
        points @ R_COLOR_DEPTH.T + COLOR_FROM_DEPTH, COLOR_CAMERA, IMAGE_SIZE
    )


def distort(x: Values, y: Values, lens: tuple[float, ...]) -> tuple[Values, Values]:
    """Where a lens k1 k2 p1 p2 k3 shows a direction (x, y) at depth 1 (Brown, 1966)."""
    radial, dx, dy = _bend(x, y, lens)
    return x * radial + dx, y * radial + dy


def undistort(x: Values, y: Values, lens: tuple[float, ...]) -> tuple[Values, Values]:
    """Direction that a lens shows here: the inverse of `distort`, by fixed-point iteration."""
    straight_x, straight_y = x, y
    for _ in range(LENS_STEPS):
        radial, dx, dy = _bend(straight_x, straight_y, lens)
        straight_x, straight_y = (x - dx) / radial, (y - dy) / radial
    return straight_x, straight_y


def _bend(x: Values, y: Values, lens: tuple[float, ...]) -> tuple[Values, Values, Values]:
    """Radial factor and tangential shift."""
    k1, k2, p1, p2, k3 = lens
    square = x * x + y * y
    radial = 1 + square * (k1 + square * (k2 + square * k3))
    dx = 2 * p1 * x * y + p2 * (square + 2 * x * x)
    dy = p1 * (square + 2 * y * y) + 2 * p2 * x * y
    return radial, dx, dy


def _directions(camera: Intrinsics) -> tuple[Values, Values]:
    """Direction (x, y) at depth 1 of each pixel of a camera without lens distortion."""
    rows, columns = np.indices(IMAGE_SIZE, np.float64)
    (fx, _, cx), (_, fy, cy), _ = camera
    return (columns - cx) / fx, (rows - cy) / fy


@cache  # it follows from constants alone, and takes longer than reading a frame
def _distorted_pixels() -> Float[np.ndarray, "2 h w"]:
    """Row and column in the stored color image of each pixel of the rectified one."""
    x, y = distort(*_directions(COLOR_CAMERA), COLOR_LENS)
    (fx, _, cx), (_, fy, cy), _ = COLOR_CAMERA
    return np.stack([y * fy + cy, x * fx + cx])


@cache  # as above
def _depth_directions() -> Float[np.ndarray, "h w 3"]:
    """What each pixel of a depth file looks at, at depth 1 of the depth camera."""
    x, y = undistort(*_directions(DEPTH_CAMERA), DEPTH_LENS)
    return np.stack([x, y, np.ones_like(x)], axis=-1)


def _labeled_image(path: Path, index: int) -> Pixels:
    with _open_labeled(path) as file:
        return np.ascontiguousarray(np.asarray(file["images"][index]).T)


def _labeled_depth(path: Path, index: int) -> DepthMap:
    """Filled depth in metres; 0 where it is no positive number."""
    # Of the two depths of the file the published figures take the filled one, whose holes of the
    # sensor were filled by colorization (Levin et al., 2004).
    with _open_labeled(path) as file:
        depth = np.ascontiguousarray(np.asarray(file["depths"][index]).T, np.float32)
    return np.where(np.isfinite(depth) & (depth > 0), depth, np.float32(0))


@contextmanager
def _open_labeled(path: Path) -> Generator[Any]:
    """The open file; whatever a broken one raises becomes an `ArchiveError` that names it."""
    h5py = import_extra("h5py", str(path), "ssmde[nyuv2]")
    with readable(path, broken="download it again"), h5py.File(path, "r") as file:
        yield file


def read_matlab5(path: Path, names: Sequence[str]) -> dict[str, Num[np.ndarray, " _"]]:
    """Numbers of these variables of a MATLAB 5 file, column by column; others are left out."""
    content = record.read_archive_file(path)
    try:
        found = loadmat(BytesIO(content), variable_names=names)
    except Exception as error:  # a broken file fails in any way
        raise ArchiveError(
            f"{path}: no whole MATLAB 5 file ({error}); download it again, or save it with "
            "`save -v7`"
        ) from error
    return {
        name: found[name].ravel(order="F")
        for name in names
        if name in found and found[name].dtype.kind in "iuf"
    }
