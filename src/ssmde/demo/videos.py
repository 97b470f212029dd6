"""The drawn films of the demo: their first parts to learn from, and their later parts to judge."""

from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

from ssmde.data.scene_files import write_list
from ssmde.synthetic import draw_clip, write_clip

SIZE = (144, 192)
STEP, ROTATION = 0.1, 1.5  # metres and degrees from frame to frame: somebody who looks around
FILMS = 2
LEARNED, JUDGED = 20, 10  # frames of each film
LATER = "_later"  # what the name of the later part of a film ends in
SEEDS = 1000  # places a demo seed has for itself
PER_FRAME = ("images", "depth", "poses", "motion_mask")  # fields of a clip


def draw_films(root: Path, seed: int, size: tuple[int, int] = SIZE) -> None:
    """Draw films as scene folders below `root`.

    The first part of each is in train.txt, what comes later in val.txt: the camera looks elsewhere,
    and people have walked on.
    """
    names = [f"room_{number + 1}" for number in range(FILMS)]
    root.mkdir()
    write_list(root, "train", names)
    write_list(root, "val", [name + LATER for name in names])
    # A fresh process each: one that is forked beside the threads of torch can hang.
    with ProcessPoolExecutor(FILMS, mp_context=get_context("spawn")) as pool:
        films = ((root / name, SEEDS * seed + number) for number, name in enumerate(names))
        for drawn in [pool.submit(_draw, *film, size) for film in films]:
            drawn.result()


def _draw(folder: Path, seed: int, size: tuple[int, int]) -> None:
    clip = draw_clip(
        "room", frames=LEARNED + JUDGED, size=size, seed=seed, movers="across", step=STEP,
        rotation=ROTATION,
    )  # fmt: skip
    later = folder.with_name(folder.name + LATER)
    for part, target in ((slice(LEARNED), folder), (slice(LEARNED, None), later)):
        maps = {name: getattr(clip, name)[part] for name in PER_FRAME}
        write_clip(replace(clip, **maps), target)
