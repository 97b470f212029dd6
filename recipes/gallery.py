"""Write a page that shows what a network makes of photos: depth, its edges, a view of the cloud.

    python recipes/gallery.py PHOTOS OUT [--weights small] [--every 1] [--hfov-degrees 60]

PHOTOS is a folder of pictures, or of scene folders, of which every so-many-th frame is taken. OUT
gets `index.html` and one picture a photo, to be looked at: does what stands in front stand out? The
cloud is seen from the side and a little from above, so a gradient from the lower edge to the upper
one shows as what it is, a bent plane.
"""

import argparse
from pathlib import Path

import jinja2
import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image
from tqdm import tqdm

import ssmde
from ssmde.data.images import read_image, resize_image
from ssmde.data.scene_folder import list_images
from ssmde.inference.pictures import colorize, side_by_side

LONGEST = 420  # pixels of a picture on the page
EDGE = 1.1  # a step of this ratio between neighbouring pixels is drawn; of 1.25 fully black
ASIDE, ABOVE = 22.0, 12.0  # degrees the cloud is turned about its middle
BACK = 1.25  # and moved away, so that it fits
JUMP = 1.12  # pixels beside a larger step are left out of the cloud
PAGE = jinja2.Template(
    """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{{ weights }}: {{ rows|length }} photos</title>
<style>
body { font: 15px/1.4 sans-serif; margin: 2em auto; max-width: 1720px; color: #222 }
img { max-width: 100%; display: block } figure { margin: 0 0 2em } figcaption { margin: .2em 0 }
</style>
<h1>{{ weights }}</h1>
<p>Photo, depth (bright is near), edges of the depth, the cloud from the side.</p>
{% for row in rows %}<figure><figcaption>{{ row }}</figcaption>
<img src="{{ row }}.png" alt="{{ row }}"></figure>
{% endfor %}</html>
""",
    autoescape=True,
)


def edges(depth: Float[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w 3"]:
    """Steps between neighbouring pixels, dark on white."""
    log = np.log(depth)
    step = np.zeros_like(log)
    step[:, 1:] = np.abs(np.diff(log, axis=1))
    step[1:] = np.maximum(step[1:], np.abs(np.diff(log, axis=0)))
    ink = ((step - np.log(EDGE)) / np.log(1.25 / EDGE)).clip(0, 1)
    return np.repeat((255 * (1 - ink)).astype(np.uint8)[..., None], 3, axis=2)


def cloud(
    image: UInt8[np.ndarray, "h w 3"], depth: Float[np.ndarray, "h w"], hfov: float
) -> UInt8[np.ndarray, "h w 3"]:
    """The points of the picture from the side and above, the nearer ones over the farther."""
    height, width = depth.shape
    focal = 0.5 * max(height, width) / np.tan(np.radians(hfov) / 2)
    v, u = np.mgrid[:height, :width]
    rays = np.stack([(u - width / 2) / focal, (v - height / 2) / focal, np.ones((height, width))])
    points = rays * np.minimum(depth, np.percentile(depth, 97))
    middle = np.median(points.reshape(3, -1), axis=1)
    a, b = np.radians(ASIDE), np.radians(ABOVE)
    about_y = np.array([(np.cos(a), 0, np.sin(a)), (0, 1, 0), (-np.sin(a), 0, np.cos(a))])
    about_x = np.array([(1, 0, 0), (0, np.cos(b), -np.sin(b)), (0, np.sin(b), np.cos(b))])
    solid = edges(depth)[..., 0].ravel() > 255 * (1 - np.log(JUMP / EDGE) / np.log(1.25 / EDGE))
    turned = about_x @ about_y @ (points.reshape(3, -1) - middle[:, None])
    x, y, z = turned[:, solid] + np.array([0, 0, BACK * middle[2]])[:, None]
    seen = z > 0.05 * middle[2]
    columns = (focal * x[seen] / z[seen] + width / 2).astype(int)
    rows = (focal * y[seen] / z[seen] + height / 2).astype(int)
    colours = image.reshape(-1, 3)[solid][seen]
    view = np.full((height + 1, width + 1, 3), 30, np.uint8)
    order = np.argsort(-z[seen])  # painted from the far end; each point covers 2 x 2 pixels
    columns, rows, colours = columns[order], rows[order], colours[order]
    inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    for down, right in ((0, 0), (0, 1), (1, 0), (1, 1)):
        view[rows[inside] + down, columns[inside] + right] = colours[inside]
    return view[:height, :width]


def find_photos(folder: Path, every: int) -> list[Path]:
    """Pictures of a folder, or every so-many-th of each folder in it."""
    if photos := list_images(folder):
        return photos[::every]
    return [
        p
        for place in sorted(folder.iterdir())
        if place.is_dir()
        for p in list_images(place)[::every]
    ]


def write_gallery(photos: list[Path], root: Path, out: Path, weights: str, hfov: float) -> None:
    """The page and its pictures."""
    predictor = ssmde.load(weights)
    out.mkdir(parents=True, exist_ok=True)
    rows: list[str] = []
    for path in tqdm(photos, unit="photo"):
        image = read_image(path)
        shrink = min(1.0, LONGEST / max(image.shape[:2]))
        image = resize_image(image, tuple(round(shrink * side) for side in image.shape[:2]))
        depth = predictor.predict(image).depth
        name = "-".join(path.relative_to(root).with_suffix("").parts)
        maps = [image, colorize(depth), edges(depth), cloud(image, depth, hfov)]
        Image.fromarray(side_by_side(maps)).save(out / f"{name}.png")
        rows.append(name)
    (out / "index.html").write_text(PAGE.render(weights=weights, rows=rows), "utf-8")


def main() -> None:
    """Write what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--weights", default="small")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--hfov-degrees", type=float, default=60.0)
    given = parser.parse_args()
    photos = find_photos(given.photos, given.every)
    write_gallery(photos, given.photos, given.out, given.weights, given.hfov_degrees)


if __name__ == "__main__":
    main()
