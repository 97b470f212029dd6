"""The drawn videos of the demo: some to learn from, others, in other places, held out."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ssmde.data.scene_folder import read_scenes, write_list
from ssmde.demonstration.labels import label_scene
from ssmde.synthetic import DrawnClip, draw_clip, write_clip

KIND = "street"  # a camera that drives: large steps, hardly a turn
SIZE = (64, 96)  # of the videos to learn from
HELD_OUT_SIZE = (128, 192)  # larger, for the pictures; the network sees them at its own size
MOVERS = ("mixed", "across", "oblique", "none", "mixed", "across")  # of each video to learn from
HELD_OUT_MOVERS = ("mixed", "across")
FRAMES = 40
HELD_OUT_FRAMES = 24
SEEDS = 1000  # places a demo seed has for itself
HELD_OUT_SEEDS = 500  # the held-out places begin here


@dataclass(frozen=True, kw_only=True, slots=True)
class World:
    """What was drawn; the words say what each video shows."""

    train: tuple[str, ...]
    train_frames: int
    held_out: tuple[str, ...]
    fps: float
    label_error: float
    """AbsRel of the labels, each with the factor that brings its median to that of the truth."""


def draw_world(root: Path, seed: int) -> World:
    """Draw the videos into a folder of scene folders, with train.txt and val.txt, and label them.

    Args:
        root: Folder to write to; made if absent.
        seed: Start of every random choice: same seed, same videos.
    """
    first = SEEDS * seed
    train = dict(_clips("street", MOVERS, FRAMES, SIZE, first))
    held_out = dict(
        _clips(
            "held_out",
            HELD_OUT_MOVERS,
            HELD_OUT_FRAMES,
            HELD_OUT_SIZE,
            first + HELD_OUT_SEEDS,
        )
    )
    for name, clip in (train | held_out).items():
        write_clip(clip, root / name)
    write_list(root, "train", list(train))
    write_list(root, "val", list(held_out))
    errors = [
        label_scene(scene.images[0].parent, scene, first + number)
        for number, scene in enumerate(read_scenes(root, "train"))
    ]
    return World(
        train=tuple(clip.source for clip in train.values()),
        train_frames=sum(len(clip.images) for clip in train.values()),
        held_out=tuple(clip.source for clip in held_out.values()),
        fps=next(iter(held_out.values())).fps,
        label_error=sum(errors) / len(errors),
    )


def _clips(
    name: str, movers: tuple[str, ...], frames: int, size: tuple[int, int], seed: int
) -> Iterator[tuple[str, DrawnClip]]:
    for number, who in enumerate(movers):
        clip = draw_clip(KIND, frames=frames, size=size, seed=seed + number, movers=who)
        yield f"{name}_{number + 1}", clip
