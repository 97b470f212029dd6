"""Draw single photos of many different places with exact depth, to teach a network.

    python recipes/draw_photos.py OUT --kind room --scenes 260 --photos 10 [--seed 0]
        [--textures FOLDER ...] [--size 288 384]

Every photo is a place of its own: furnished rooms, streets and other places outdoors, or things of
all sizes anywhere (`mixed`). With `--textures`, about half of the surfaces show patches cut at
random from the pictures in the folders; what is drawn is then under their terms, too. A scene
folder holds photos of one size and focal length; `train.txt` lists all folders in OUT. Runs go on
where they stopped, and several may fill one OUT with different kinds or seeds.
"""

import argparse
from pathlib import Path

from tqdm import tqdm

from photographs.album import draw_album, write_album
from photographs.patches import image_files
from photographs.photo import KINDS
from ssmde.data.scene_files import write_list

draw_scene = draw_album  # as other recipes call it


def main() -> None:
    """Draw what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--kind", choices=KINDS, default="room")
    parser.add_argument("--scenes", type=int, default=60)
    parser.add_argument("--photos", type=int, default=10, help="pictures a scene folder")
    parser.add_argument("--size", type=int, nargs=2, help="height and width; else they vary")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--textures", type=Path, nargs="+", default=[], help="folders of pictures")
    asked = parser.parse_args()
    size = (asked.size[0], asked.size[1]) if asked.size else None
    textures = [image_files([folder]) for folder in asked.textures]
    for seed in tqdm(range(asked.seed, asked.seed + asked.scenes), desc="drawing", unit="scene"):
        folder = asked.out / f"{asked.kind}_{seed:03d}"
        if not (folder / "scene.json").is_file():  # the last file that is written
            write_album(draw_album(asked.kind, seed, asked.photos, size, textures), folder)
    names = sorted(path.parent.name for path in asked.out.glob("*/scene.json"))
    write_list(asked.out, "train", names)


if __name__ == "__main__":
    main()
