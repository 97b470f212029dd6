"""The page of the demo and its pictures: a film to scrub, a point cloud, before and after."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from ssmde.data.dataset import spread
from ssmde.evaluation import Evaluation
from ssmde.inference.pictures import color_ends, colorize, colorize_error, write_png
from ssmde.inference.predictor import Predictor
from ssmde.io import whole_file, write_text
from ssmde.reporting.report import MeasuredFrame, measured_frame, render, resize, size_of_width
from ssmde.weights import DEFAULT_WEIGHTS

FOLDER = "pictures"  # inside the folder of the page
WIDTH, HERO_WIDTH = 384, 960  # pixels of a picture
EXAMPLES = 3
QUALITY = 82  # of WebP, 1 to 100
CLOUD_FAR = 99.0  # percentile of the depth beyond which nothing is drawn
JUMP = 0.25  # difference of log depth to a neighbor beside which a point lies on neither side
MOVER = (240, 138, 36)  # orange, told from blue by all eyes
BEFORE, AFTER = f"{DEFAULT_WEIGHTS}, before", "after adaptation"
BASELINES = {"mean_map": "mean depth map of the films", "constant": "one constant depth"}
CAPTIONS = {
    "frame": "frame", "moving": "what moves by itself (orange)", "truth": "true depth",
    "before": BEFORE, "after": AFTER, "before_error": "error before, bright is wrong",
    "after_error": "error after",
}  # fmt: skip

Files = Mapping[str, str]  # of pictures, relative to the page, by a name in `CAPTIONS`
Seen = Mapping[str, MeasuredFrame]  # frames of the page by `scene/frame`, as a network sees them


@dataclass(frozen=True, kw_only=True, slots=True)
class Story:
    """What has happened so far; what has not come yet is empty."""

    seed: int
    seconds: dict[str, float]  # wall-clock time of each part
    before: Evaluation  # of the held-out films
    after: Evaluation | None = None
    size: tuple[int, int] = (2, 3)  # height and width of the films
    film: Files = field(default_factory=dict[str, str])  # all frames, each below the one before
    count: int = 1  # of these frames
    cloud: str = ""  # 16 bit integers x y z r g b, in base64
    examples: Sequence[tuple[str, Files]] = ()  # held-out frames, by name
    frames: int = 0  # to learn from
    steps: int = 0  # of the training
    losses: str = ""  # their curves, as SVG
    done: bool = False

    def rows(self) -> dict[str, list[float | None]]:
        """AbsRel of static and of moving pixels, holes and delta 1, by who predicted."""
        judged = {BEFORE: self.before}
        if self.after is not None:
            judged[AFTER] = self.after
        judged |= {BASELINES[name]: found for name, found in self.before.baselines.items()}
        return {
            name: [
                *(part and part.abs_rel for part in (found.static, found.dynamic)),
                found.movers and found.movers.hole_rate,
                found.full.d1,
            ]
            for name, found in judged.items()
        }

    def verdicts(self) -> list[str]:
        """Whom the adapted network beats, on what stands still and on what moves."""
        errors = {
            name: [np.nan if error is None else error for error in row[:2]]
            for name, row in self.rows().items()
        }
        ours, found = errors.pop(AFTER, [np.nan, np.nan]), list[str]()
        for i, what in enumerate(("what stands still", "what moves")):
            # Not a number is less than nothing.
            rivals = ", ".join(name for name, row in errors.items() if not ours[i] < row[i])
            verdict = f"does not beat: {rivals}" if rivals else "beats all the others"
            found.append(f"On {what} the adapted network {verdict}.")
        return found

    def table(self) -> str:
        """The rows as text, and whom the adapted network beats."""
        lines = [f"{'':28}{'static':>10}{'moving':>10}{'holes':>10}{'d1':>10}"]
        for name, row in self.rows().items():
            cells = ("" if value is None else f"{value:.3f}" for value in row)
            lines.append(f"{name:28}" + "".join(f"{cell:>10}" for cell in cells))
        return "\n".join([*lines, *self.verdicts()])


def write_page(folder: Path, story: Story) -> Path:
    """Write `index.html` into the folder that holds the pictures, and return it."""
    page = folder / "index.html"
    words = {"captions": CAPTIONS, "small": DEFAULT_WEIGHTS}
    write_text(page, render("ssmde.demo", "page.html", story=story, **words))
    return page


def see(result: Evaluation, network: Predictor) -> Seen:
    """The frames of the page as a network sees them: the first examples, then the first film."""
    frames = result.frames
    first = frames[0].frame.scene.name
    masks = (found.frame.read_mask() for found in frames)
    # Movers that fill the view or hide at its edge show little.
    moving = [0.0 if mask is None else min(0.15, float((mask == 255).mean())) for mask in masks]
    busiest = int(np.argmax(moving))
    others = [i for i in range(len(frames)) if i != busiest]
    chosen = [busiest, *(others[i] for i in spread(len(others), EXAMPLES - 1))]
    chosen += [i for i, found in enumerate(frames) if found.frame.scene.name == first]
    return {
        frames[i].frame.name: measured_frame(frames[i], network, result.protocol) for i in chosen
    }


def look(folder: Path, story: Story, seen: Mapping[str, Seen]) -> Story:
    """Draw the held-out frames as one network or both see them: `before`, then `after`."""
    names, last = list(seen["before"]), list(seen.values())[-1]
    examples: list[tuple[str, Files]] = []
    for number, name in enumerate(names[:EXAMPLES]):
        pictures = draw_frame({who: found[name] for who, found in seen.items()})
        examples.append((name, _store(folder, f"{number:02d}", pictures)))
    _write_hero(folder, last[names[0]])
    first = min(name.split("/")[0] for name in names)
    shots = sorted(name for name in names if name.split("/")[0] == first)
    film = _write_film(folder, {who: [found[n] for n in shots] for who, found in seen.items()})
    return replace(
        story, size=last[names[0]].truth.shape, count=len(shots), film=film,
        cloud=point_cloud(last[names[0]]), examples=examples,
    )  # fmt: skip


def draw_frame(seen: Mapping[str, MeasuredFrame]) -> dict[str, UInt8[np.ndarray, "h w 3"]]:
    """Pictures of one frame as each network sees it; depths share their colors."""
    (frame, *_) = seen.values()
    near, far = color_ends(frame.truth)
    pictures = {"frame": frame.image, "truth": colorize(frame.truth, near=near, far=far)}
    if frame.moving is not None:
        gray = frame.image.mean(-1, keepdims=True).repeat(3, -1)
        gray[frame.moving] = 0.4 * gray[frame.moving] + 0.6 * np.array(MOVER)
        pictures["moving"] = gray.astype(np.uint8)
    for name, one in seen.items():
        pictures[name] = colorize(one.prediction, near=near, far=far)
        pictures[f"{name}_error"] = colorize_error(one.prediction, one.truth)
    return {kind: pictures[kind] for kind in CAPTIONS if kind in pictures}


def _store(folder: Path, prefix: str, pictures: Mapping[str, UInt8[np.ndarray, "_ _ 3"]]) -> Files:
    """Write pictures, all as wide; their files, named relative to the page."""
    size = size_of_width(next(iter(pictures.values())).shape, WIDTH)
    files = {kind: f"{FOLDER}/{prefix}_{kind}.png" for kind in pictures}
    for kind, picture in pictures.items():
        write_png(folder / files[kind], resize(picture, size))
    return files


def _write_hero(folder: Path, frame: MeasuredFrame) -> None:
    """A frame that turns into its depth from left to right."""
    size = size_of_width(frame.truth.shape, HERO_WIDTH)
    colors = resize(colorize(frame.prediction), size)
    share = np.linspace(-1.5, 2.5, size[1]).clip(0, 1)[None, :, None]
    mixed = (1 - share) * resize(frame.image, size) + share * colors
    write_png(folder / FOLDER / "hero.png", mixed.round().astype(np.uint8))


def _write_film(folder: Path, seen: Mapping[str, Sequence[MeasuredFrame]]) -> Files:
    """Sheets of all frames, one below the other: the frame, each network's depth, the truth."""
    (frames, *_) = seen.values()
    near, far = color_ends(np.concatenate([frame.truth for frame in frames]))
    depths = {name: [one.prediction for one in found] for name, found in seen.items()}
    depths["truth"] = [frame.truth for frame in frames]
    sheets = {"frame": [frame.image for frame in frames]}
    for name, maps in depths.items():
        sheets[name] = [colorize(depth, near=near, far=far) for depth in maps]
    files = {kind: f"{FOLDER}/film_{kind}.webp" for kind in sheets}
    size = size_of_width(frames[0].truth.shape, WIDTH)
    for kind, pictures in sheets.items():
        sheet = Image.fromarray(np.concatenate([resize(picture, size) for picture in pictures]))
        with whole_file(folder / files[kind]) as part:
            sheet.save(part, "WEBP", quality=QUALITY)
    return files


def point_cloud(frame: MeasuredFrame) -> str:
    """Points of a frame at its predicted depth, as `Story.cloud` holds them; 1000 is its far end.

    A point beside a jump in depth is left out: it lies on neither side.
    """
    depth = frame.prediction
    height, width = depth.shape
    far = float(np.percentile(depth, CLOUD_FAR))
    v, u = np.mgrid[:height, :width]
    # The field of view plays no part in how it looks from about where it was filmed.
    x, y = ((a - b / 2) / width * depth for a, b in ((u, width), (v, height)))
    steps = [np.abs(np.diff(np.log(depth), axis=axis, append=np.nan)) for axis in (0, 1)]
    shown = (depth < far) & ~(np.nan_to_num(np.fmax(*steps)) > JUMP)
    points = np.stack([x, y, depth], axis=-1)[shown] / far * 1000
    values = np.concatenate([points.round(), frame.image[shown]], axis=1).astype("<i2")
    return base64.b64encode(values.tobytes()).decode("ascii")
