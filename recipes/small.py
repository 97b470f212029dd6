"""Train the networks that come with the package, from recordings and drawn photos.

    python recipes/small.py small --data RECORDINGS --out WORK
    python recipes/small.py small-open --data RECORDINGS --out WORK

RECORDINGS is a folder of scene folders as `docs/datasets.md` describes them, in the places that
`SOURCES` names. All is made in WORK/small or WORK/small-open, the photos of both in WORK/photos, and
nothing in RECORDINGS is changed.
A step that is finished is left as it is and a training that was stopped goes on, so the same
command again is all it takes, however often it was cut off. `--faster 10` takes a tenth of every
number of steps and photos: a trial. Steps:

1. photos    drawn rooms, streets and mixed places with exact depth (`draw_photos.py`); about half
             of their surfaces show patches of open recordings
2. affine    one network from ImageNet weights learns from them and from recordings with measured
             depth, `bonn_crowd` left out
"""

import argparse
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from ssmde.cli import main as ssmde
from ssmde.data.scene_folder import read_scene

STEPS = ("photos", "affine")
HERE = Path(__file__).parent
LAST, BEST = "last.safetensors", "best.safetensors"


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
    texture: bool = True
    """Whether patches of it may cover drawn surfaces."""


def _sources(*names: str, at: str, **facts: bool) -> tuple[Source, ...]:
    return tuple(Source(at=f"{at}/{name}", **facts) for name in names)


SOURCES: tuple[Source, ...] = (
    Source(at="indoor/hololens", open=True, measured=True, video=True),
    Source(at="indoor/redkitchen", open=False, measured=True, video=True),
    # Its measured depth judges and is never learnt from; nor do its walls cover drawn ones.
    Source(at="indoor/bonn_crowd", open=False, video=True, texture=False),
    *_sources("kitti_odom00", "kitti_raw_clip", at="driving", open=False, video=True),
    *_sources(
        "realsense_boxes", "open3d_chair", "lingbot_singles", "icl_nuim_singles",
        "rgbd_singles_open", at="more/indoor", open=True, measured=True,
    ),
    *_sources(
        "slambook_dining", "scannet_cooler", at="more/indoor", open=False, measured=True,
    ),
    *_sources(
        "california_highway", "california_concrete", "motorway_bluesky", "london_camden_street",
        at="more/driving", open=True, video=True,
    ),
    *_sources("kitti_odom_gray_1", "kitti_odom_gray_2", at="more/driving", open=False, video=True,
              texture=False),
    *_sources("lab_floor_robot", at="more/indoor", open=True, video=True),
    *_sources("bedroom_kids_static", "one_by_one_people_static", at="more/indoor", open=True),
    *_sources(
        "deepv2d_nyu_0", "deepv2d_nyu_1", "deepv2d_nyu_2", "deepv2d_nyu_3", "deepv2d_scannet_0",
        "deepv2d_scannet_1", "fox", at="more/indoor", open=False, video=True,
    ),
    *_sources("alley_cart", "bulldog_field", at="more/outdoor", open=True, video=True),
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
    Photos(kind="room", scenes=260, weight=0.40),
    Photos(kind="street", scenes=180, weight=0.27),
    Photos(kind="mixed", scenes=40, weight=0.05),
)
PHOTOS_A_SCENE = 10
JUDGING = 6  # drawn scenes of each kind that are held out, to choose by
MEASURED_WEIGHT = 0.28
HELD_OUT = 10  # the last 1 / 10 of the measured frames of a recording is held out as well
SIZE, MORE_SIZES = (192, 256), ((128, 416), (256, 192), (160, 288))
AFFINE_STEPS = 9_000
AFFINE = (
    *(
        "--model.encoder",
        "efficientnet_lite0",
        "--data.zoom",
        "2",
        "--data.keep-proportions",
        "True",
    ),
    *("--data.degrade", "0.5", "--data.colour-jitter", "0.5", "--data.hue", "0.05"),
    *("--data.saturation", "0.4", "--train.batch-size", "8", "--train.average", "0.998"),
    *("--train.learning-rate", "6e-4", "--train.encoder-rate", "0.3", "--train.schedule", "cosine"),
    *("--affine.regression", "1", "--affine.gradient", "0.5", "--affine.ranking", "1"),
    *("--affine.normals", "0", "--affine.log-depth", "1", "--affine.log-gradient", "1"),
)


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call of the recipe."""

    name: str
    data: Path
    out: Path
    """Folder of this network."""
    faster: float
    seed: int
    machine: tuple[str, ...]
    """Options for the machine, behind `--`."""

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


def train(call: Call, preset: str, name: str, root: Path, *options: object) -> Path:
    """Train unless it is finished; go on where it stopped. The folder of the run."""
    folder = call.out / "runs" / name
    if (folder / LAST).is_file():
        return folder
    resume = ["--resume"] if any(folder.rglob("last.ckpt")) else []
    run(
        "train", preset, "--name", name, "--output", call.out / "runs", "--data.root", root,
        "--train.seed", call.seed, *options, *call.machine, *resume,
    )  # fmt: skip
    return folder


def draw(call: Call) -> Path:
    """Step 1: the photos."""
    textures = [call.data / s.at for s in SOURCES if s.open and s.texture]
    out = call.out.parent / "photos"  # one album for both networks
    for photos in PHOTOS:
        subprocess.run(
            [
                sys.executable, HERE / "draw_photos.py", out, "--kind", photos.kind,
                "--scenes", str(call.number(photos.scenes) + JUDGING),
                "--photos", str(PHOTOS_A_SCENE), "--textures", *map(str, textures),
            ],
            check=True,
        )  # fmt: skip
    return out


def collect(call: Call, drawn: Path) -> Path:
    """A data folder of links to photos and of the measured frames of recordings."""
    root = call.out / "measured"
    root.mkdir(parents=True, exist_ok=True)
    learnt: list[str] = []
    judging: list[str] = []
    for photos in PHOTOS:
        names = [place.parent.name for place in drawn.glob(f"{photos.kind}_*/scene.json")]
        names.sort(key=lambda name: int(name.split("_")[1]))
        for name in names:
            if not (root / name).is_symlink():
                os.symlink((drawn / name).resolve(), root / name)
        judging += names[:JUDGING]
        learnt += names[JUDGING:]
    for source in call.sources:
        if source.measured:
            name = "measured_" + Path(source.at).name
            _copy_measured(call.data / source.at, root / name, ending=False)
            _copy_measured(call.data / source.at, root / f"held_{name}", ending=True)
            learnt.append(name)
            judging.append(f"held_{name}")
    (root / "train.txt").write_text("\n".join(learnt) + "\n")
    (root / "val.txt").write_text("\n".join(judging) + "\n")
    return root


def _copy_measured(source: Path, target: Path, *, ending: bool) -> None:
    """The frames with measured depth and that depth: the last of them, or all before."""
    if target.exists():
        return
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


def train_affine(call: Call, root: Path, *options: object, name: str = "affine") -> Path:
    """Step 2: the pseudo-depth network, from ImageNet weights."""
    steps = call.number(AFFINE_STEPS)
    weights = [x for p in PHOTOS for x in (f"{p.kind}_*", p.weight)]
    sizes = [side for size in MORE_SIZES for side in size]
    return train(
        call, "affine_indoor", name, root, "--model.pretrained", "imagenet",
        "--data.image-size", *SIZE, "--data.more-sizes", *sizes,
        "--data.scene-weights", *weights, "measured_*", MEASURED_WEIGHT,
        "--train.steps", steps, "--train.warmup-steps", max(1, steps // 36),
        "--train.validate-every", max(1, steps // 9), *AFFINE, *options,
    )  # fmt: skip


def main() -> None:
    """Run the steps that are left."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", choices=("small", "small-open"))
    parser.add_argument("--data", type=Path, required=True, help="folder of the recordings")
    parser.add_argument("--out", type=Path, required=True, help="where to work")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--faster", type=float, default=1.0, help="divides steps and photos")
    parser.add_argument("--until", choices=STEPS, default=STEPS[-1], help="the last step to take")
    given, machine = parser.parse_known_args()
    call = Call(
        name=given.name, data=given.data, out=given.out / given.name, faster=given.faster,
        seed=given.seed, machine=tuple(word for word in machine if word != "--"),
    )  # fmt: skip
    drawn = draw(call)
    if given.until != "photos":
        train_affine(call, collect(call, drawn))


if __name__ == "__main__":
    main()
