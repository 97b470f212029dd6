"""NYU Depth V2 as its archives unpack: labeled set and raw recordings.

nyu_depth_v2_labeled.mat    1449 single images with filled depth; 654 of them test
SCENE/r-*.ppm, d-*.pgm      raw recordings, 640 x 480, up to 30 a second

Both come with the camera of the toolbox. The Kinect's two cameras lie 2.5 cm apart, and both lenses
distort. As the toolbox of the data set does it, color is rectified, and depth is rectified, moved
and seen again by the color camera. Unlike there, depth is the distance from the color camera, and
beyond 10 m it is unknown.
"""

import re
from collections.abc import Generator, Mapping
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
from ssmde.data.images import read_image
from ssmde.data.sequence import DepthMap, Intrinsics, Pixels
from ssmde.datasets import record, sensors
from ssmde.datasets.record import ArchiveError, ArchiveFrame, ArchiveScene, in_pixels, readable

PAPER = "NYU Depth V2 (Silberman et al., ECCV 2012)"
UNITS_PER_METRE = 5000  # the sensor sees up to 10 m
RECORDED = re.compile(r"([rd])-(\d+\.\d+)-\d+\.(?:ppm|pgm)", re.ASCII)
LABELED = "nyu_depth_v2_labeled"
SPLITS_FILE = "splits.mat"
SPLITS_KEYS = {"train": "trainNdxs", "test": "testNdxs"}
NO_PACKS = (
    "packs (rgb_*.jpg, sync_depth_*.png) are no longer read: name the depth like the images, in a "
    "folder depth, with depth_units_per_metre 1000 in scene.json, and it is a scene folder"
)

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
Plane = Float[np.ndarray, "2 *b"]
"""Directions (x, y) at depth 1, or pixels."""
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

    `root` is the folder of the .mat file, of raw scenes, or of both; or the .mat file. A list is
    splits.mat of the data set, or names scenes or single images, one a line: `kitchen_0028b`, or
    `45` for the 45th labeled image.
    """
    labeled = root if root.is_file() else root / f"{LABELED}.mat"
    problems: list[str] = []
    folders = _scene_folders(root, problems)
    if not (folders or problems or labeled.is_file()):
        raise record.no_archive(root, f"{LABELED}.mat and no scene with r-*.ppm")
    beside = labeled.with_name(SPLITS_FILE)
    if labeled.is_file() and beside.is_file() and not lists:
        lists = {"test": beside}
    wanted = _read_lists(lists or {})
    scenes, rooms = record.Scenes(), set[str]()
    if labeled.is_file():
        scenes[LABELED] = ("test", partial(_labeled_scene, labeled))
        # What is wrong with the file the scene tells, which reads it as well.
        rooms = record.attempt(partial(_test_rooms, labeled, wanted), []) or rooms
    for name, folder in folders.items():
        listed = "train" in wanted or any(name in found.frames for found in wanted.values())
        if _room(name) in rooms and not listed:
            problems.append(f"{folder}: test images were taken in this room; left out")
        else:
            scenes[name] = ("train", partial(_recorded_scene, folder))
    return record.make_archive(root, scenes, wanted, problems)


def _scene_folders(root: Path, problems: list[str]) -> dict[str, Path]:
    """Every folder with frames, by its name."""
    found: dict[str, Path] = {}
    for folder in sorted((root, *root.rglob("*/"))) if root.is_dir() else ():
        names = [file.name for file in folder.iterdir()]
        if any(name[:1] == "r" and RECORDED.fullmatch(name) for name in names):
            found[folder.resolve().name] = folder
        elif not problems and any(name.startswith("sync_depth_") for name in names):
            problems.append(f"{folder}: {NO_PACKS}")
    return found


def _room(scene: str) -> str:
    """kitchen_0028 for all parts of a recording, kitchen_0028a and so on."""
    return re.sub(r"(?<=\d)[a-z]$", "", scene)


def _read_lists(lists: Mapping[str, Path]) -> dict[record.Split, record.SceneList]:
    texts = {split: path for split, path in lists.items() if path.suffix != ".mat"}
    found = record.read_scene_lists(texts, _scene_or_image)
    for split in record.SPLITS:
        if split not in lists or split in texts:
            continue
        numbers = read_matlab5(lists[split], SPLITS_KEYS.get(split, ""))
        if numbers is None:
            raise ValueError(
                f"{lists[split]}: has no list for {split}; it names train and test images"
            )
        images = tuple(sorted(numbers.astype(int).tolist()))
        found[split] = record.SceneList(lists[split], {LABELED: images})
    return found


def _scene_or_image(line: str) -> tuple[str, int | None]:
    return (LABELED, int(line)) if line.isdecimal() else record.only_scene(line)


def _test_rooms(path: Path, wanted: Mapping[record.Split, record.SceneList]) -> set[str]:
    """Rooms that the test images of the labeled set were taken in."""
    numbers = wanted["test"].frames.get(LABELED, ()) if "test" in wanted else ()
    if not numbers:
        return set()
    with _open_labeled(path) as file:
        references = np.asarray(file["scenes"]).ravel()
        of_tests = [references[n - 1] for n in numbers if 1 <= n <= len(references)]
        return {_room("".join(map(chr, np.asarray(file[r]).ravel()))) for r in of_tests}


def _labeled_scene(path: Path, part: record.Part) -> ArchiveScene:
    """The images of the labeled set that a list names by numbers from 1."""
    if not part.frames:
        raise ArchiveError(
            f"{path}: left out, for no list names its images; the published figures are for the "
            f"654 of {SPLITS_FILE}, which the site of the data set offers"
        )
    with _open_labeled(path) as file:
        count, _, width, height = file["images"].shape  # HDF5, with every array transposed
    if (height, width) != IMAGE_SIZE:
        raise ArchiveError(f"{path}: images of {width} x {height} pixels, expected 640 x 480")
    return NyuScene(
        name=part.name, split=part.split,
        source=f"{PAPER}, labelled set, filled depth; single images, no video",
        frames=tuple(
            ArchiveFrame(
                name=f"{n:04d}", image=partial(_labeled_image, path, n - 1),
                depth=partial(_labeled_depth, path, n - 1),
            )
            for n in part.frames if 1 <= n <= count
        ),
        problems=tuple(
            f"{path}: {part.listed_in} names image {n}, but there are {count}"
            for n in part.frames if not 1 <= n <= count
        ),
    )  # fmt: skip


def _recorded_scene(folder: Path, part: record.Part) -> ArchiveScene:
    problems: list[str] = []
    found: dict[str, list[tuple[float, Path]]] = {"r": [], "d": []}
    for file in sorted(folder.iterdir()):
        if match := RECORDED.fullmatch(file.name):
            found[match[1]].append((float(match[2]), file))
    (times, images), (depth_times, depths) = (
        sensors.in_time_order(files, problems) for files in found.values()
    )
    pairs = sensors.match_times(times, depth_times)
    depth = {i: partial(read_registered_depth, depths[j]) for i, j in pairs.items()}
    record.first_size(images, IMAGE_SIZE)
    return NyuScene(
        name=part.name, split=part.split,
        frames=tuple(
            ArchiveFrame(
                name=sensors.time_name(time), image=partial(read_color, images[i]),
                depth=depth.get(i),
            )
            for i, time in enumerate(times.tolist())
        ),
        source=f"{PAPER}, {folder.resolve().name}, raw; rectified and registered",
        problems=tuple(problems),
    )  # fmt: skip


# Files


def read_color(path: Path) -> Pixels:
    """Rectified colors of an r-*.ppm, RGB; white where the rectified camera sees past the image."""
    pixels = read_image(path)
    if pixels.shape[:2] != IMAGE_SIZE:
        raise ArchiveError(f"{path}: {in_pixels(pixels.shape[:2])} pixels, expected 640 x 480")
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
            f"{path}: {count} bytes for {width} x {height} pixels, expected {needed} for 640 x "
            "480; extract it again"
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


def distort(straight: Plane, lens: tuple[float, ...]) -> Plane:
    """Where a lens k1 k2 p1 p2 k3 shows a direction (x, y) at depth 1 (Brown, 1966)."""
    radial, shift = _bend(straight, lens)
    return straight * radial + shift


def undistort(shown: Plane, lens: tuple[float, ...]) -> Plane:
    """Direction that a lens shows here: the inverse of `distort`, by fixed-point iteration."""
    straight = shown
    for _ in range(LENS_STEPS):
        radial, shift = _bend(straight, lens)
        straight = (shown - shift) / radial
    return straight


def _bend(straight: Plane, lens: tuple[float, ...]) -> tuple[Float[np.ndarray, "*b"], Plane]:
    """Radial factor and tangential shift."""
    k1, k2, p1, p2, k3 = lens
    x, y = straight
    square = x * x + y * y
    radial = 1 + square * (k1 + square * (k2 + square * k3))
    dx = 2 * p1 * x * y + p2 * (square + 2 * x * x)
    dy = p1 * (square + 2 * y * y) + 2 * p2 * x * y
    return radial, np.stack([dx, dy])


def _directions(camera: Intrinsics) -> Plane:
    """Direction of each pixel of a camera without lens distortion."""
    pixels = np.indices(IMAGE_SIZE, np.float64)[::-1]  # columns, rows
    return (pixels - camera[:2, 2, None, None]) / camera.diagonal()[:2, None, None]


@cache  # it follows from constants alone, and takes longer than reading a frame
def _distorted_pixels() -> Float[np.ndarray, "2 h w"]:
    """Row and column in the stored color image of each pixel of the rectified one."""
    focal, middle = COLOR_CAMERA.diagonal()[:2, None, None], COLOR_CAMERA[:2, 2, None, None]
    return (distort(_directions(COLOR_CAMERA), COLOR_LENS) * focal + middle)[::-1]


@cache  # as above
def _depth_directions() -> Float[np.ndarray, "h w 3"]:
    """What each pixel of a depth file looks at, at depth 1 of the depth camera."""
    x, y = undistort(_directions(DEPTH_CAMERA), DEPTH_LENS)
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


def read_matlab5(path: Path, name: str) -> Num[np.ndarray, " _"] | None:
    """Numbers of a variable of a MATLAB 5 file, column by column; None if it has none."""
    content = record.read_archive_file(path)
    try:
        values = loadmat(BytesIO(content), variable_names=[name]).get(name)
    except Exception as error:  # a broken file fails in any way
        raise ArchiveError(
            f"{path}: no whole MATLAB 5 file ({error}); download it again, or save it with "
            "`save -v7`"
        ) from error
    return None if values is None or values.dtype.kind not in "iuf" else values.ravel(order="F")
