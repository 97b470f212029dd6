"""Train the weights that come with the package, from the recordings and drawn photos.

    python recipes/small_weights.py indoor --data RECORDINGS --out WORK

RECORDINGS is a folder with `indoor/`: scene folders as `docs/datasets.md` describes them. All
is made in WORK and nothing in RECORDINGS is changed. A step that is finished is left as it is
and a training that was stopped goes on, so the same command again is all it takes, however
often it was cut off. `--faster 10` takes a tenth of every number of steps and photos: a trial.
Five steps:

1. photos    drawn rooms with people, exact depth (`draw_photos.py`)
2. affine    a pseudo-depth network learns from them and from recordings with measured depth,
             `bonn_crowd` left out
3. label     it labels the videos, whose camera motion `ssmde track` finds
4. teacher   stage 1 of `ss_mde` learns from the videos, beginning with that network; the best of
             it on the held-out recording. Stage 2 made it no better: docs/results.md
5. detail    the network of the package, at twice the size: it begins with that of step 2, and
             learns from the photos, the measured depth, and what step 4 says of the videos

The comparison: `--recipe photometric`, `consistent`, `sc_depth_v3` or `ss_mde` trains that preset
from random weights on the same videos and labels instead of steps 4 and 5. Then
`python recipes/small_weights.py indoor --out WORK --release` writes the weights into the package.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
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
LAST = "last.safetensors"
UNITS = 10_000  # steps of a stored depth per scene unit, the median depth of a video


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What one of the released networks is made from."""

    folder: str
    """Of the recordings."""
    photos: tuple[str, int, tuple[int, int]]
    """Kind of drawn photos, how many scenes of 40, and their size."""
    measured: tuple[str, ...]
    """Recordings with measured depth that the pseudo-depth network may see."""
    repeat: int
    """How often such a recording stands in the list, so that the photos do not drown it."""
    videos: tuple[str, ...]
    """Recordings that are learnt from as videos."""
    held_out: tuple[str, ...]
    size: tuple[int, int]
    steps: tuple[int, int, int]
    """Of the pseudo-depth network, the teacher, and the network of the package."""
    options: tuple[str, ...]
    """For every training on videos."""


RECIPES = {
    "indoor": Recipe(
        folder="indoor",
        photos=("room", 48, (192, 256)),
        measured=("redkitchen", "hololens"),
        repeat=4,
        videos=("bonn_crowd",),
        held_out=("bonn_crowd_val",),
        size=(96, 128),
        steps=(3600, 400, 800),
        options=("--data.frame-gaps", "8", "12", "16", "--train.protocol", "bonn"),
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
    recipe: Recipe
    data: Path
    out: Path
    faster: float
    seed: int
    machine: tuple[str, ...]
    """Options for the machine, behind `--`."""

    def number(self, full: int) -> int:
        """So many, or fewer in a trial."""
        return max(1, round(full / self.faster))


def run(*words: object) -> None:
    """A command of ssmde, as on the command line; its failure is ours."""
    words = tuple(str(word) for word in words)
    print("ssmde", *words, flush=True)
    if code := ssmde(list(words)):
        sys.exit(code)


def train(asked: Asked, preset: str, name: str, root: Path, *options: object) -> Path:
    """Train unless it is finished; go on where it stopped. The folder of the run."""
    folder = asked.out / "runs" / name
    done = (folder / "last.safetensors", folder / "student" / "last.safetensors")
    if any(file.is_file() for file in done):
        return folder
    begun = any(folder.rglob("last.ckpt"))
    run(
        "train", preset, "--name", name, "--output", asked.out / "runs", "--data.root", root,
        *(("--data.image-size", *asked.recipe.size) if "--data.image-size" not in options else ()),
        "--model.encoder", "resnet18_half",
        "--train.seed", asked.seed, *options, *asked.machine, *(["--resume"] if begun else []),
    )  # fmt: skip
    return folder


def draw(asked: Asked) -> Path:
    """Step 1: the photos."""
    kind, scenes, (height, width) = asked.recipe.photos
    out = asked.out / "photos"
    subprocess.run(
        [sys.executable, HERE / "draw_photos.py", out, "--kind", kind, "--scenes",
         str(asked.number(scenes)), "--photos", str(max(4, asked.number(40))),
         "--size", str(height), str(width)],
        check=True,
    )  # fmt: skip
    return out


def collect(asked: Asked, root: Path, photos: Path, more: dict[str, Path]) -> None:
    """A data folder of links to photos and to recordings with depth."""
    recipe = asked.recipe
    root.mkdir(exist_ok=True)
    drawn = (photos / "train.txt").read_text().split()
    places = {name: photos / name for name in drawn} | more
    places |= {name: _own(asked, name) for name in (*recipe.measured, *recipe.held_out)}
    for name, place in places.items():
        if not (root / name).exists():
            os.symlink(place.resolve(), root / name)
    first, *others = drawn  # the first is looked at while a network trains, if nothing is held out
    real = (*recipe.measured, *more) * recipe.repeat
    (root / "train.txt").write_text("\n".join([*real, *others]) + "\n")
    held_out = recipe.held_out or (first,)
    (root / "val.txt").write_text("\n".join(held_out) + "\n")


def train_affine(asked: Asked, photos: Path) -> Path:
    """Step 2: the pseudo-depth network."""
    root = asked.out / "measured"
    collect(asked, root, photos, {})
    steps = asked.number(asked.recipe.steps[0])
    return train(
        asked, "affine_indoor", "affine", root, "--train.batch-size", 8, "--train.steps", steps,
        "--train.learning-rate", "5e-4", "--train.warmup-steps", max(1, steps // 36),
        "--train.validate-every", max(1, steps // 6), *COLOURS,
    )  # fmt: skip


def _own(asked: Asked, name: str) -> Path:
    """A recording in the folder of the work, copied there first: steps write beside the frames."""
    place = asked.out / asked.recipe.folder / name
    if not place.exists():
        half = place.with_name(f".{name}.partial")
        shutil.rmtree(half, ignore_errors=True)
        shutil.copytree(asked.data / asked.recipe.folder / name, half)
        half.rename(place)
    return place


def gather(asked: Asked) -> Path:
    """The videos and their camera motion."""
    root = asked.out / asked.recipe.folder
    for part, names in (("train", asked.recipe.videos), ("val", asked.recipe.held_out)):
        for name in names:
            _own(asked, name)
        if names:
            (root / f"{part}.txt").write_text("\n".join(names) + "\n")
    run("track", root, "--threads", 1)  # leaves alone what was tracked
    return root


def train_teacher(asked: Asked, affine: Path, root: Path) -> Path:
    """Step 4: stage 1 of ss_mde on the videos."""
    steps = asked.number(asked.recipe.steps[1])
    return train(
        asked, "ss_mde", "teacher", root, "--method", "teacher", "--model.start", affine / LAST,
        "--data.colour-jitter", 0.8, "--train.steps", steps, "--train.learning-rate", "2e-4",
        "--train.schedule", "cosine", "--train.validate-every", max(1, steps // 4),
        *asked.recipe.options,
    )  # fmt: skip


def train_detail(asked: Asked, photos: Path, affine: Path, teacher: Path) -> Path:
    """Step 5: the network of the package."""
    names = [name for name in asked.recipe.videos if name not in asked.recipe.measured]
    taught = {name: _taught(asked, name, teacher) for name in names}
    root = asked.out / "taught"
    collect(asked, root, photos, taught)
    steps, (height, width) = asked.number(asked.recipe.steps[2]), asked.recipe.photos[2]
    return train(
        asked, "affine_indoor", "detail", root, "--model.start", affine / LAST,
        "--data.image-size", height, width, "--train.batch-size", 8, "--train.steps", steps,
        "--train.learning-rate", "3e-4", "--train.warmup-steps", max(1, steps // 36),
        "--train.validate-every", max(1, steps // 5), *COLOURS,
    )  # fmt: skip


def _taught(asked: Asked, name: str, teacher: Path) -> Path:
    """A video whose depth is what the teacher says."""
    place, source = asked.out / "depth-of-videos" / name, _own(asked, name)
    if (place / "scene.json").is_file():  # the last file that is written
        return place
    predictor = load(teacher)
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
    """Write the weights into the package, in half precision, and say their checksum."""
    source = asked.out / "runs" / "detail" / "best.safetensors"  # on what is held out
    tensors, metadata = read_weights(source)
    half = {
        key: value.half() if value.dtype == torch.float32 else value
        for key, value in tensors.items()
        if key.startswith("depth_net.")
    }
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
    parser.add_argument("--data", type=Path, help="folder with indoor/")
    parser.add_argument("--out", type=Path, required=True, help="where to work")
    parser.add_argument("--recipe", default="released", help="or a preset, from random weights")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--faster", type=float, default=1.0, help="divides steps and photos")
    parser.add_argument("--release", action="store_true", help="write the weights into the package")
    given, machine = parser.parse_known_args()
    asked = Asked(
        name=given.name, recipe=RECIPES[given.name], data=given.data, out=given.out,
        faster=given.faster, seed=given.seed, machine=tuple(w for w in machine if w != "--"),
    )  # fmt: skip
    if given.release:
        release(asked)
        return
    if given.data is None:
        parser.error("--data is needed to train: the folder with indoor/")
    photos = draw(asked)
    affine = train_affine(asked, photos)
    root = gather(asked)
    run("label", root, "--source", f"ssmde:{affine / LAST}")
    if given.recipe == "released":
        teacher = train_teacher(asked, affine, root)
        train_detail(asked, photos, affine, teacher)
    else:
        steps = asked.number(asked.recipe.steps[1])
        train(
            asked, given.recipe, f"{given.recipe}-{given.seed}", root, "--train.steps", steps,
            *asked.recipe.options,
        )  # fmt: skip


if __name__ == "__main__":
    main()
