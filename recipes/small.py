"""Train the networks that come with the package, from recordings and drawn photos.

    python recipes/small.py small --data RECORDINGS --out WORK
    python recipes/small.py small-open --data RECORDINGS --out WORK

RECORDINGS is a folder of scene folders as `docs/datasets.md` describes them, in the places that
`SOURCES` names. All is made in WORK: photos for both networks, and a folder for each. Nothing in
RECORDINGS is changed. A step that is finished is left as it is and a training that was stopped goes
on, so the same command again is all it takes, however often it was cut off. `--faster 10` takes a
tenth of every number of steps and photos: a trial. Steps:

1. photos    drawn rooms, streets and mixed places with exact depth (`draw_photos.py`); about half
             of their surfaces show patches of open recordings
2. affine    a network from ImageNet weights learns from the photos and from open recordings with
             measured depth; both networks of the package begin with it
3. videos    `ssmde track` finds the motion of every video and points that stand still; the affine
             network labels its frames, and the points correct the labels (`data/pseudo_labels.py`)
4. detail    the network of the package: larger pictures, every recording with measured depth that
             it may learn from but `bonn_crowd`, and the labels of all videos

Then `python recipes/small.py small --out WORK --release` writes the weights into the package. For
another machine, such as one with a GPU, `--carry FOLDER` writes a RECORDINGS of all that is read.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ssmde.cli import main as ssmde
from ssmde.data.scene_files import TRACKED_POINTS, read_tracked_points, write_intrinsics
from ssmde.data.scene_folder import read_scene
from ssmde.data.sequence import from_hfov
from ssmde.labeling import write_corrected
from ssmde.models.checkpoint import read_weights, save_weights

STEPS = ("photos", "affine", "videos", "detail")
HERE = Path(__file__).parent
PACKAGE = HERE.parent / "src" / "ssmde" / "weights"
LAST = "last.safetensors"


@dataclass(frozen=True, kw_only=True)
class Source:
    """A recording."""

    at: str
    """Its folder below RECORDINGS."""
    open: bool
    """Whether its terms allow any use of what is learnt from it."""
    measured: bool = False
    """Whether its measured depth may be learnt from."""
    video: bool = False
    """Whether it is learnt from as a video."""
    every: int = 1
    """Every which frame of the video is taken."""
    hfov: float = 0.0
    """Field of view in degrees across the width, where no file and not the video tells it."""
    texture: bool = True
    """Whether patches of it may cover drawn surfaces."""


def _sources(*names: str, at: str, **facts: Any) -> tuple[Source, ...]:
    return tuple(Source(at=f"{at}/{name}", **facts) for name in names)


SOURCES: tuple[Source, ...] = (
    Source(at="indoor/hololens", open=True, measured=True),
    Source(at="indoor/redkitchen", open=False, measured=True),
    # Its measured depth judges and is never learnt from; nor do its walls cover drawn ones.
    Source(at="indoor/bonn_crowd", open=False, video=True, texture=False),
    Source(at="driving/kitti_odom00", open=False, video=True, every=4),
    Source(at="driving/kitti_raw_clip", open=False, video=True),
    *_sources(
        "realsense_boxes", "open3d_chair", "lingbot_singles", "icl_nuim_singles",
        "rgbd_singles_open", at="more/indoor", open=True, measured=True,
    ),
    *_sources(
        "slambook_dining", "scannet_cooler", at="more/indoor", open=False, measured=True,
    ),
    *_sources(
        "california_highway", "california_concrete", at="more/driving", open=True, video=True,
        hfov=58,
    ),
    *_sources("motorway_bluesky", at="more/driving", open=True, video=True, hfov=60),
    *_sources("london_camden_street", at="more/driving", open=True, video=True, hfov=50),
    *_sources("kitti_odom_gray_1", "kitti_odom_gray_2", at="more/driving", open=False, video=True,
              texture=False),
    *_sources("lab_floor_robot", at="more/indoor", open=True, video=True, hfov=60),
    *_sources("bedroom_kids_static", "one_by_one_people_static", at="more/indoor", open=True),
    *_sources(
        "deepv2d_nyu_0", "deepv2d_nyu_1", "deepv2d_nyu_2", "deepv2d_nyu_3", "deepv2d_scannet_0",
        "deepv2d_scannet_1", at="more/indoor", open=False, video=True, hfov=57,
    ),
    *_sources("fox", at="more/indoor", open=False, video=True),
    *_sources("alley_cart", "bulldog_field", at="more/outdoor", open=True, video=True, hfov=60),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Photos:
    """Drawn photos of one kind."""

    kind: str
    scenes: int
    """Folders of ten."""
    weight: float
    """Share of the snippets of step 2."""


PHOTOS = (
    Photos(kind="room", scenes=145, weight=0.40),
    Photos(kind="street", scenes=180, weight=0.27),
    Photos(kind="mixed", scenes=19, weight=0.05),
)
PHOTOS_A_SCENE = 10
JUDGING = 6  # drawn scenes of each kind that are held out, to choose by
MEASURED_WEIGHT = 0.28
VIDEO_WEIGHT = 0.45  # in step 4, beside the others
HELD_OUT = 10  # the last 1 / 10 of the measured frames of a recording is held out as well


@dataclass(frozen=True, kw_only=True)
class Training:
    """One training."""

    steps: int
    learning_rate: float
    sizes: tuple[tuple[int, int], ...]
    """Height and width, taken in turn; the network's own is the first."""


AFFINE = Training(
    steps=8_400, learning_rate=6e-4, sizes=((128, 160), (96, 256), (160, 128), (96, 192))
)
DETAIL = Training(
    steps=1_350, learning_rate=4e-4, sizes=((192, 256), (128, 416), (256, 192), (160, 288))
)
OPTIONS = (
    *("--data.zoom", "2"),
    *("--data.degrade", "0.5", "--data.color-jitter", "0.5"),
    *("--train.batch-size", "8", "--train.average", "0.998"),
    *("--train.encoder-lr-multiplier", "0.3", "--train.schedule", "cosine"),
    *("--affine.leres", "1", "--affine.log-depth", "1", "--affine.log-gradient", "1"),
)


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call of the recipe."""

    name: str
    data: Path
    """RECORDINGS."""
    work: Path
    faster: float = 1.0
    seed: int = 0
    machine: tuple[str, ...] = ()
    """Options for the machine, behind `--`."""

    @property
    def out(self) -> Path:
        """Folder of this network."""
        return self.work / self.name

    @property
    def photos(self) -> Path:
        """The drawn photos, of both networks."""
        return self.work / "photos"

    @property
    def videos(self) -> Path:
        """Frames of videos with what is known of their depth, of both networks."""
        return self.work / "videos"

    @property
    def sources(self) -> list[Source]:
        """The recordings this network may learn from."""
        return [s for s in SOURCES if s.open or self.name == "small"]

    def number(self, full: int) -> int:
        """So many, or fewer in a trial."""
        return max(1, round(full / self.faster))


def run(*words: object) -> None:
    """A command of ssmde, as on the command line; its failure is ours."""
    text = tuple(str(word) for word in words)
    print("ssmde", *text, flush=True)
    if code := ssmde(list(text)):
        sys.exit(code)


def draw(call: Call) -> None:
    """Step 1: the photos."""
    textures = [call.data / s.at for s in SOURCES if s.open and s.texture]
    for photos in PHOTOS:
        subprocess.run(
            [
                sys.executable, HERE / "draw_photos.py", call.photos, "--kind", photos.kind,
                "--scenes", str(1 + call.number(photos.scenes)),
                "--photos", str(call.number(PHOTOS_A_SCENE)), "--textures", *map(str, textures),
            ],
            check=True,
        )  # fmt: skip


def collect(call: Call, *, videos: bool = False) -> Path:
    """A data folder: links to the photos and videos, and the measured frames of recordings."""
    root = call.out / "measured"
    root.mkdir(parents=True, exist_ok=True)
    learnt: list[str] = []
    judging: list[str] = []
    for photos in PHOTOS:
        names = [place.parent.name for place in call.photos.glob(f"{photos.kind}_*/scene.json")]
        names.sort(key=lambda name: int(name.split("_")[1]))
        for name in names:
            if not (root / name).is_symlink():
                os.symlink((call.photos / name).resolve(), root / name)
        held = min(JUDGING, max(1, len(names) // 10))
        judging += names[:held]
        learnt += names[held:]
    for source in call.sources:
        if source.measured:
            name = "measured_" + Path(source.at).name
            for folder, ending in ((root / name, False), (root / f"held_{name}", True)):
                if not folder.exists():
                    _copy_measured(call.data / source.at, folder, ending=ending)
            learnt.append(name)
            judging.append(f"held_{name}")
        name = f"video_{Path(source.at).name}"
        if videos and (call.videos / name).is_dir():
            if not (root / name).is_symlink():
                os.symlink((call.videos / name).resolve(), root / name)
            learnt.append(name)
    (root / "train.txt").write_text("\n".join(learnt) + "\n")
    (root / "val.txt").write_text("\n".join(judging) + "\n")
    return root


def _copy_measured(source: Path, target: Path, *, ending: bool) -> None:
    """The frames with measured depth and that depth: the last of them, or all before."""
    scene = read_scene(source)
    assert scene.depth is not None, source
    pairs = [(i, d) for i, d in zip(scene.images, scene.depth, strict=True) if d is not None]
    held = max(1, len(pairs) // HELD_OUT)
    half = target.with_name(f".{target.name}.partial")
    shutil.rmtree(half, ignore_errors=True)
    (half / "depth").mkdir(parents=True)
    for image, depth in pairs[-held:] if ending else pairs[:-held]:
        shutil.copyfile(image, half / Path(image).name)
        shutil.copyfile(depth, half / "depth" / Path(depth).name)
    for name in ("cam.txt", "scene.json"):
        if (source / name).is_file():
            shutil.copyfile(source / name, half / name)
    half.rename(target)


def follow(call: Call, network: Path) -> None:
    """Step 3: frames of videos with the depth that the network and tracked points agree on.

    A video whose motion is not found is left out, and so is a frame that sees few points.
    """
    for source in call.sources:
        name = f"video_{Path(source.at).name}"
        if source.video and not (call.videos / name).exists():
            raw = copy_frames(source, call.data / source.at, call.videos / f"raw_{name}")
            if ssmde(["track", str(raw), "--threads", "1"]):
                continue
            points = raw / TRACKED_POINTS
            if not points.is_file() or not read_tracked_points(points):
                continue
            run("label", raw, "--source", f"ssmde:{network}")
            write_corrected(raw, call.videos / name)


def copy_frames(source: Source, place: Path, target: Path) -> Path:
    """A scene folder with some frames of a recording, and its camera."""
    if target.exists():
        return target
    half = target.with_name(f".{target.name}.partial")
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir(parents=True)
    scene = read_scene(place)
    for image in list(scene.images)[:: source.every]:
        shutil.copyfile(image, half / image.name)
    if scene.intrinsics is not None:
        write_intrinsics(half, scene.intrinsics)
    elif source.hfov:
        write_intrinsics(half, from_hfov(scene.image_size, source.hfov))
    half.rename(target)
    return target


def train(call: Call, name: str, training: Training, *start: object, videos: bool = False) -> Path:
    """Weights of a training; it is run unless it is finished, and goes on where it stopped."""
    folder = call.out / "runs" / name
    if (folder / LAST).is_file():
        return folder / LAST
    steps = call.number(training.steps)
    weights: list[object] = [word for p in PHOTOS for word in (f"{p.kind}_*", p.weight)]
    root = collect(call, videos=videos)
    if "video_" in (root / "train.txt").read_text():
        weights += ["video_*", VIDEO_WEIGHT]
    own, *more = training.sizes
    resume = ["--resume"] if (folder / "last.ckpt").is_file() else []
    run(
        "train", "affine_indoor", "--name", name, "--output", call.out / "runs",
        "--data.root", root, "--data.image-size", *own,
        "--data.more-sizes", *(side for size in more for side in size),
        "--data.scene-weights", *weights, "measured_*", MEASURED_WEIGHT,
        "--train.steps", steps, "--train.learning-rate", training.learning_rate,
        "--train.warmup-steps", max(1, steps // 36), "--train.validate-every", max(1, steps // 5),
        "--train.seed", call.seed, *OPTIONS, *start, *call.machine, *resume,
    )  # fmt: skip
    return folder / LAST


def train_affine(call: Call) -> Path:
    """Step 2: the network that both begin with, from ImageNet weights and open data alone."""
    return train(
        replace(call, name="open"), "affine", AFFINE,
        "--model.encoder", "efficientnet_lite0", "--model.pretrained", "imagenet",
    )  # fmt: skip


def release(call: Call) -> None:
    """Write the weights into the package, in half precision, and say their checksum.

    The configuration that travels with them names folders from WORK on: the rest is this machine's.
    """
    tensors, metadata = read_weights(call.out / "runs" / "detail" / LAST)
    half = {
        key: value.half() if value.dtype == torch.float32 else value
        for key, value in tensors.items()
        if key.startswith("depth_net.")
    }
    metadata = {key: text.replace(f"{call.work}/", "") for key, text in metadata.items()}
    target = PACKAGE / f"{call.name}.safetensors"
    save_weights(target, half, metadata)
    checksum = hashlib.sha256(target.read_bytes()).hexdigest()
    print(f"{target}: {target.stat().st_size / 1e6:.1f} MB, sha256 {checksum}")


def carry(call: Call, folder: Path) -> None:
    """A RECORDINGS of what is read: some recordings whole, of others the measured frames."""
    for source in call.sources:
        place, target = call.data / source.at, folder / source.at
        depth = place / "depth"
        measured = {file.stem for file in depth.glob("*")} if source.measured else set[str]()
        whole = source.video or (source.open and source.texture)
        if not (measured or whole) or target.exists():
            continue
        half = target.with_name(f".{target.name}.partial")
        shutil.rmtree(half, ignore_errors=True)
        half.mkdir(parents=True)
        for image in read_scene(place).images:
            if whole or image.stem in measured:
                shutil.copyfile(image, half / image.name)
        if measured:
            shutil.copytree(depth, half / "depth")
        for name in ("cam.txt", "scene.json"):
            if (place / name).is_file():
                shutil.copyfile(place / name, half / name)
        half.rename(target)
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    print(f"{folder}: {size / 1e6:.1f} MB")


def main() -> None:
    """Run the steps that are left."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", choices=("small", "small-open"))
    parser.add_argument("--data", type=Path, default=Path("recordings"), help="RECORDINGS")
    parser.add_argument("--out", type=Path, required=True, help="where to work")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--faster", type=float, default=1.0, help="divides steps and photos")
    parser.add_argument("--until", choices=STEPS, default=STEPS[-1], help="the last step to take")
    parser.add_argument("--carry", type=Path, help="only write a RECORDINGS of what is read")
    parser.add_argument("--release", action="store_true", help="write the weights into the package")
    given, machine = parser.parse_known_args()
    call = Call(
        name=given.name, data=given.data, work=given.out, faster=given.faster, seed=given.seed,
        machine=tuple(word for word in machine if word != "--"),
    )  # fmt: skip
    if given.release:
        release(call)
    elif given.carry:
        carry(call, given.carry)
    else:
        draw(call)
        if given.until != "photos":
            start = train_affine(call)
            if given.until != "affine":
                follow(call, start)
            if given.until == "detail":
                train(call, "detail", DETAIL, "--model.start", start, videos=True)


if __name__ == "__main__":
    main()
