"""Make the pictures of README and docs with the weights of the package.

    python recipes/picture.py room docs/pictures/rooms.png
    python recipes/picture.py street docs/pictures/streets.png

Drawn places the network has not seen: photo, depth from it alone, truth; bright is near.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

import ssmde
from draw_photos import draw_scene
from ssmde.inference.pictures import colorize, depth_range, side_by_side, stack

SEED = 900  # far from those of the training
PLACES = (0, 3, 5)
KINDS = {"room": (192, 256), "street": (128, 416)}


def main() -> None:
    """Draw what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("out", type=Path)
    asked = parser.parse_args()
    predictor = ssmde.load("small")
    clip = draw_scene(asked.kind, SEED, max(PLACES) + 1, KINDS[asked.kind])
    rows = []
    for number in PLACES:
        image, truth = clip.images[number], clip.depth[number]
        depth = predictor.predict(image).depth
        depth = depth * np.median(truth) / np.median(depth)
        near, far = depth_range(truth) or (1.0, 2.0)
        colours = [colorize(map_, near=near, far=far) for map_ in (depth, truth)]
        titles = ["photo", "depth from it alone", "truth"] if not rows else None
        rows.append(side_by_side([image, *colours], titles))
    Image.fromarray(stack(rows)).save(asked.out, optimize=True)


if __name__ == "__main__":
    main()
