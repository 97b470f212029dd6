"""Train the weights that come with the package, from the recordings and drawn photos.

    python recipes/small_weights.py indoor --data RECORDINGS --out WORK
    python recipes/small_weights.py driving --data RECORDINGS --out WORK

RECORDINGS is a folder with `indoor/` and `driving/`: scene folders as `docs/datasets.md` describes
them. All is made in WORK/indoor or WORK/driving and nothing in RECORDINGS is changed. A step that
is finished is left as it is and a training that was stopped goes on, so the same command again is
all it takes, however often it was cut off. `--faster 10` takes a tenth of every number of steps
and photos: a trial. Six steps:

1. photos    drawn rooms with people, or streets with cars, with exact depth (`draw_photos.py`)
2. affine    a pseudo-depth network learns from them and from recordings with measured depth,
             `bonn_crowd` left out. That of `driving` begins with that of `indoor`, which is
             trained first where it is missing, since drawn streets are all that tells it of streets
3. static    indoors: `photometric` learns the place from the motion that `ssmde track` finds
4. label     the videos get labels: indoors `grounded:` ones of step 3, on the road those of step 2
5. method    `ss_mde`, teacher and student, on the videos, beginning with the network of step 2; the
             best of the student on what is held out
6. detail    the network of the package, larger than that of step 5: it begins with that of step 2
             and learns from the photos, the measured depth, and what step 5 says of the videos;
             its last weights are released

The comparison: `--recipe photometric`, `consistent`, `sc_depth_v3` or `ss_mde` trains that preset
from random weights on the same videos and labels instead of steps 5 and 6. Then
`python recipes/small_weights.py indoor --out WORK --release` writes the weights into the package.

For another machine, such as one with a GPU: `--carry FOLDER` tracks the videos and writes a WORK of
what the trainings read, 42 MB for either. There, with ssmde but neither RECORDINGS nor COLMAP:
`python recipes/small_weights.py indoor --out FOLDER`. (No GPU has run it yet.)
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from ssmde.cli import main as ssmde
from ssmde.data.scene_folder import read_scene
from ssmde.models.load import read_weights, save_weights
from ssmde.prediction.loading import load

HERE = Path(__file__).parent
PACKAGE = HERE.parent / "src" / "ssmde" / "weights"
LAST, BEST = "last.safetensors", "best.safetensors"
UNITS = 2_000  # steps of a stored depth per scene unit, the median depth of a video
JUDGES = 2  # drawn scenes that choose a checkpoint where no recording has measured depth


@dataclass(frozen=True, kw_only=True)
class Steps:
    """Optimiser steps of each training."""

    affine: int
    static: int = 0
    """0: no such step; the labels are those of the pseudo-depth network."""
    teacher: int
    student: int
    detail: int


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What one of the released networks is made from."""

    after: str = ""
    """The recipe whose pseudo-depth network this one's begins with."""
    photos: tuple[str, int, tuple[int, int]]
    """Kind of drawn photos, how many scenes of 40, and their size: that of the released network."""
    measured: tuple[str, ...] = ()
    """Recordings with measured depth that the pseudo-depth network may see."""
    judges: tuple[str, ...] = ()
    """Recordings with measured depth that choose among its checkpoints; none: drawn scenes."""
    repeat: int
    """How often a recording stands in the list, so that the photos do not drown it."""
    videos: tuple[str, ...]
    """Recordings that are learnt from as videos."""
    held_out: tuple[str, ...]
    """Recordings that choose among the checkpoints of the videos' networks."""
    cut: tuple[tuple[str, str, int], ...] = ()
    """Held-out recordings that are the end of another: name, that other, frames."""
    sizes: tuple[tuple[int, int], tuple[int, int]]
    """Training sizes of the pseudo-depth network and of the method."""
    steps: Steps
    options: tuple[str, ...]
    """For every training on videos."""


RECIPES = {
    "indoor": Recipe(
        photos=("room", 48, (192, 256)),
        measured=("redkitchen", "hololens"),
        judges=("bonn_crowd_val",),
        repeat=4,
        videos=("bonn_crowd",),
        held_out=("bonn_crowd_val",),
        sizes=((96, 128), (96, 128)),
        steps=Steps(affine=3600, static=1000, teacher=1500, student=500, detail=2400),
        options=("--data.frame-gaps", "8", "12", "16", "--train.protocol", "bonn"),
    ),
    "driving": Recipe(
        after="indoor",
        photos=("street", 48, (128, 416)),
        repeat=2,
        videos=("kitti_odom00", "kitti_raw_clip"),
        held_out=("kitti_odom00_val",),
        cut=(("kitti_odom00_val", "kitti_odom00", 150),),
        sizes=((64, 224), (96, 320)),
        steps=Steps(affine=1800, teacher=800, student=400, detail=600),
        options=("--data.frame-gaps", "1", "2"),
    ),
}
COLOURS = (
    *("--data.zoom", "1.4", "--data.brightness", "0.35", "--data.contrast", "0.35"),
    *("--data.saturation", "0.6", "--data.hue", "0.08"),
)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One call of the recipe."""

    name: str
    data: Path | None
    """Folder of the recordings; None where all are in `work`."""
    work: Path
    """Folder that holds a folder for each recipe."""
    faster: float
    seed: int
    machine: tuple[str, ...]
    """Options for the machine, behind `--`."""

    @property
    def recipe(self) -> Recipe:
        """What is made."""
        return RECIPES[self.name]

    @property
    def out(self) -> Path:
        """Folder of this recipe."""
        return self.work / self.name

    @property
    def affine(self) -> Path:
        """Weights of the pseudo-depth network."""
        return self.out / "runs" / "affine" / LAST

    def number(self, full: int) -> int:
        """So many, or fewer in a trial."""
        return max(1, round(full / self.faster))


def run(*words: object) -> None:
    """A command of ssmde, as on the command line; its failure is ours."""
    words = tuple(str(word) for word in words)
    print("ssmde", *words, flush=True)
    if code := ssmde(list(words)):
        sys.exit(code)


def train(
    asked: Asked, preset: str, name: str, root: Path, size: tuple[int, int], *options: object
) -> Path:
    """Train unless it is finished; go on where it stopped. The folder of the run."""
    folder = asked.out / "runs" / name
    done = folder / "student" if preset == "ss_mde" else folder
    if (done / LAST).is_file():
        return done
    begun = any(folder.rglob("last.ckpt"))
    run(
        "train", preset, "--name", name, "--output", asked.out / "runs", "--data.root", root,
        "--data.image-size", *size, "--model.encoder", "resnet18_half",
        "--train.seed", asked.seed, *options, *asked.machine, *(["--resume"] if begun else []),
    )  # fmt: skip
    return done


def draw(asked: Asked) -> Path:
    """Step 1: the photos."""
    kind, scenes, (height, width) = asked.recipe.photos
    out = asked.out / "photos"
    subprocess.run(
        [sys.executable, HERE / "draw_photos.py", out, "--kind", kind,
         "--scenes", str(max(JUDGES + 1, asked.number(scenes))),
         "--photos", str(max(4, asked.number(40))), "--size", str(height), str(width)],
        check=True,
    )  # fmt: skip
    return out


def collect(asked: Asked, root: Path, photos: Path, taught: dict[str, Path]) -> Path:
    """A data folder of links to photos and to recordings with depth."""
    recipe = asked.recipe
    root.mkdir(exist_ok=True)
    drawn = (photos / "train.txt").read_text().split()
    places = {name: photos / name for name in drawn} | taught
    places |= {name: _own(asked, name) for name in (*recipe.measured, *recipe.judges)}
    for name, place in places.items():
        if not (root / name).exists():
            os.symlink(place.resolve(), root / name)
    judges = recipe.judges or tuple(drawn[:JUDGES])
    real = (*recipe.measured, *taught) * recipe.repeat
    learnt = [*real, *(name for name in drawn if name not in judges)]
    (root / "train.txt").write_text("\n".join(learnt) + "\n")
    (root / "val.txt").write_text("\n".join(judges) + "\n")
    return root


def train_affine(asked: Asked, photos: Path) -> None:
    """Step 2: the pseudo-depth network."""
    steps, start = asked.number(asked.recipe.steps.affine), ()
    if asked.recipe.after:
        first = replace(asked, name=asked.recipe.after)
        if not first.affine.is_file():
            train_affine(first, draw(first))
        start = ("--model.start", first.affine)
    root = collect(asked, asked.out / "measured", photos, {})
    train(
        asked, "affine_indoor", "affine", root, asked.recipe.sizes[0], *start,
        "--train.batch-size", 8, "--train.steps", steps, "--train.learning-rate", "5e-4",
        "--train.warmup-steps", max(1, steps // 36),
        "--train.validate-every", max(1, steps // 6), *COLOURS,
    )  # fmt: skip


def _own(asked: Asked, name: str) -> Path:
    """A recording in the folder of the work, copied there first: steps write beside the frames."""
    place = asked.out / "videos" / name
    if place.exists():
        return place
    if asked.data is None:
        sys.exit(f"small_weights.py: --data is needed: {place} is not there")
    half = place.with_name(f".{name}.partial")
    shutil.rmtree(half, ignore_errors=True)
    for part, source, frames in asked.recipe.cut:
        if name in (part, source):
            _copy_part(asked.data / asked.name / source, half, frames, ending=name == part)
            break
    else:
        shutil.copytree(asked.data / asked.name / name, half)
    half.rename(place)
    return place


def _copy_part(source: Path, target: Path, frames: int, *, ending: bool) -> None:
    """Its last frames and their poses, or all before them."""
    images = read_scene(source).images
    part = slice(-frames, None) if ending else slice(-frames)
    target.mkdir(parents=True)
    for image in images[part]:
        shutil.copyfile(image, target / Path(image).name)
    for name in ("cam.txt", "scene.json"):
        shutil.copyfile(source / name, target / name)
    if (source / "poses.txt").is_file():
        rows = (source / "poses.txt").read_text().splitlines(keepends=True)
        (target / "poses.txt").write_text("".join(rows[part]))


def gather(asked: Asked) -> Path:
    """The videos and their camera motion."""
    root = asked.out / "videos"
    for part, names in (("train", asked.recipe.videos), ("val", asked.recipe.held_out)):
        for name in names:
            _own(asked, name)
        (root / f"{part}.txt").write_text("\n".join(names) + "\n")
    run("track", root, "--threads", 1)  # leaves alone what was tracked
    return root


def carry(asked: Asked, target: Path) -> None:
    """A WORK of what the trainings read of the recordings: frames, motion, depth that they use."""
    recipe = asked.recipe
    gather(asked)
    videos = {*recipe.videos, *recipe.held_out}
    truth = {*recipe.measured, *recipe.judges, *recipe.held_out}
    for name in sorted(videos | truth):
        source, place = _own(asked, name), target / asked.name / "videos" / name
        if not place.exists():
            _copy_read(source, place, video=name in videos, truth=name in truth)
    if recipe.after:
        first = replace(asked, name=recipe.after)
        if first.affine.is_file():
            weights = replace(first, work=target).affine
            weights.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(first.affine, weights)
        else:
            carry(first, target)
    size = sum(file.stat().st_size for file in target.rglob("*") if file.is_file())
    print(f"{target}: {size / 1e6:.1f} MB")


def _copy_read(source: Path, place: Path, *, video: bool, truth: bool) -> None:
    """All of a video; of other recordings the frames with depth. Depth only where it is truth."""
    half = place.with_name(f".{place.name}.partial")
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir(parents=True)
    maps = [*(source / "depth").glob("*"), *(source / "motion_mask").glob("*")] if truth else []
    measured = {file.stem for file in maps}
    images = [file for file in read_scene(source).images if video or file.stem in measured]
    about = [source / "cam.txt", source / "scene.json"]
    if video:
        about += [source / "poses.txt", *source.glob("tracked_*")]
    for file in (*images, *maps, *(file for file in about if file.is_file())):
        copy = half / Path(file).relative_to(source)
        copy.parent.mkdir(exist_ok=True)
        shutil.copyfile(file, copy)
    half.rename(place)


def label(asked: Asked, root: Path) -> None:
    """Steps 3 and 4: labels of the videos, of their own static network or of the affine one."""
    source = f"ssmde:{asked.affine}"
    if asked.recipe.steps.static:
        steps = asked.number(asked.recipe.steps.static)
        static = train(
            asked, "photometric", "static", root, asked.recipe.sizes[1],
            "--data.poses", "tracked", "--loss.points", 0.5, "--data.colour-jitter", 0,
            "--model.start", asked.affine, "--train.steps", steps,
            "--train.learning-rate", "2e-4", "--train.schedule", "constant",
            "--train.validate-every", max(1, steps // 4), *asked.recipe.options,
        )  # fmt: skip
        source = f"grounded:{static}"
    run("label", root, "--source", source)  # leaves alone what was labelled


def train_method(asked: Asked, root: Path) -> Path:
    """Step 5: both stages of ss_mde on the videos."""
    steps = asked.recipe.steps
    teacher, student = asked.number(steps.teacher), asked.number(steps.student)
    return train(
        asked, "ss_mde", "method", root, asked.recipe.sizes[1], "--model.start", asked.affine,
        "--data.colour-jitter", 0.8, "--train.steps", teacher, "--student.steps", student,
        "--train.learning-rate", "2e-4", "--train.schedule", "cosine",
        "--train.validate-every", max(1, teacher // 6), *asked.recipe.options,
    )  # fmt: skip


def train_detail(asked: Asked, photos: Path, method: Path) -> Path:
    """Step 6: the network of the package."""
    names = [name for name in asked.recipe.videos if name not in asked.recipe.measured]
    taught = {name: _taught(asked, name, method / BEST) for name in names}
    root = collect(asked, asked.out / "taught", photos, taught)
    steps = asked.number(asked.recipe.steps.detail)
    return train(
        asked, "affine_indoor", "detail", root, asked.recipe.photos[2],
        "--model.start", asked.affine, "--train.batch-size", 8, "--train.steps", steps,
        "--train.learning-rate", "3e-4", "--train.warmup-steps", max(1, steps // 36),
        "--train.validate-every", max(1, steps // 5), *COLOURS,
    )  # fmt: skip


def _taught(asked: Asked, name: str, weights: Path) -> Path:
    """A video whose depth is what the method's network says."""
    place, source = asked.out / "depth-of-videos" / name, _own(asked, name)
    if (place / "scene.json").is_file():  # the last file that is written
        return place
    predictor = load(weights)
    (place / "depth").mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source / "cam.txt", place / "cam.txt")
    for image in tqdm(read_scene(source).images, desc=f"depth of {name}", unit="frame"):
        shutil.copyfile(image, place / image.name)
        steps = predictor.predict(image).depth * UNITS
        picture = Image.fromarray(np.rint(steps.clip(0, 65535)).astype(np.uint16))
        picture.save(place / "depth" / f"{image.stem}.png")
    (place / "scene.json").write_text(f'{{"depth_units_per_metre": {UNITS}}}\n')
    return place


def release(asked: Asked) -> None:
    """Write the weights into the package, in half precision, and say their checksum.

    The configuration that travels with them names folders from WORK on: the rest is this machine's.
    """
    source = asked.out / "runs" / "detail" / LAST  # not chosen by the frames that the card reports
    tensors, metadata = read_weights(source)
    half = {
        key: value.half() if value.dtype == torch.float32 else value
        for key, value in tensors.items()
        if key.startswith("depth_net.")
    }
    metadata = {key: text.replace(f"{asked.work}/", "") for key, text in metadata.items()}
    target = PACKAGE / f"{asked.name}-small.safetensors"
    save_weights(target, half, metadata)
    checksum = hashlib.sha256(target.read_bytes()).hexdigest()
    print(f"{target}: {target.stat().st_size / 1e6:.1f} MB, sha256 {checksum}")


def main() -> None:
    """Run the steps that are left."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", choices=RECIPES)
    parser.add_argument("--data", type=Path, help="folder with indoor/ and driving/")
    parser.add_argument("--out", type=Path, required=True, help="where to work")
    parser.add_argument("--recipe", default="released", help="or a preset, from random weights")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--faster", type=float, default=1.0, help="divides steps and photos")
    parser.add_argument("--carry", type=Path, help="only write a WORK for another machine")
    parser.add_argument("--release", action="store_true", help="write the weights into the package")
    given, machine = parser.parse_known_args()
    asked = Asked(
        name=given.name, data=given.data, work=given.out, faster=given.faster, seed=given.seed,
        machine=tuple(word for word in machine if word != "--"),
    )  # fmt: skip
    if given.release:
        release(asked)
        return
    if given.carry:
        carry(asked, given.carry)
        return
    photos = draw(asked)
    train_affine(asked, photos)
    root = gather(asked)
    label(asked, root)
    if given.recipe == "released":
        train_detail(asked, photos, train_method(asked, root))
    else:
        train(
            asked, given.recipe, f"{given.recipe}-{given.seed}", root, asked.recipe.sizes[1],
            "--train.steps", asked.number(asked.recipe.steps.teacher), *asked.recipe.options,
        )  # fmt: skip


if __name__ == "__main__":
    main()
