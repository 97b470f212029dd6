"""The page of the demo and its pictures: a film to scrub, a point cloud, before and after."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from ssmde.data.dataset import spread
from ssmde.data.images import read_depth, read_image
from ssmde.data.pseudo_labels import read_pseudo_depth
from ssmde.data.scene_folder import read_scenes
from ssmde.evaluation import Evaluation
from ssmde.inference.pictures import colorize, colorize_error, depth_range, write_png
from ssmde.inference.predictor import Predictor
from ssmde.io import whole_file, write_text
from ssmde.reporting.charts import Chart
from ssmde.reporting.report import (
    MeasuredFrame,
    measured_frame,
    render,
    resize,
    size_of_width,
)
from ssmde.weights import DEFAULT_WEIGHTS

FOLDER = "pictures"  # inside the folder of the page
WIDTH, HERO_WIDTH = 384, 960  # pixels of a picture
EXAMPLES = 3
QUALITY = 82  # of WebP, 1 to 100
CLOUD_FAR = 99.0  # percentile of the depth beyond which nothing is drawn
MOVER = (240, 138, 36)  # orange, told from blue by all eyes
AFTER = "after adaptation"
CAPTIONS = {
    "frame": "frame", "moving": "what moves by itself (orange)", "truth": "true depth",
    "before": f"{DEFAULT_WEIGHTS}, before", "after": AFTER,
    "label": f"what {DEFAULT_WEIGHTS} says, seen larger", "corrected": "what it learns from",
    "before_error": "error before, bright is wrong", "after_error": "error after",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Story:
    """What has happened so far; what has not come yet is empty."""

    seed: int
    seconds: dict[str, float]
    """Wall-clock time of each part."""
    before: Evaluation  # of the held-out films
    after: Evaluation | None = None
    size: tuple[int, int] = (2, 3)  # height and width of the films
    film: Mapping[str, str] = field(default_factory=dict[str, str])
    """Files with all frames of a film, each below the one before, by a name in `CAPTIONS`."""
    count: int = 1  # of these frames
    cloud: str = ""  # 16 bit integers x y z r g b, in base64
    examples: Sequence[tuple[str, Mapping[str, str]]] = ()
    """Name of a held-out frame, and files of its pictures."""
    frames: int = 0  # to learn from
    lessons: Sequence[Mapping[str, str]] = ()
    """Files of pictures of some of them."""
    steps: int = 0  # of the training
    losses: Chart | None = None
    done: bool = False

    def rows(self) -> dict[str, list[float | None]]:
        """AbsRel of static and of moving pixels, holes and delta 1, by who predicted."""
        judged = {f"{DEFAULT_WEIGHTS}, before": self.before}
        if self.after is not None:
            judged |= {AFTER: self.after}
        names = {"mean_map": "mean depth map of the films", "constant": "one constant depth"}
        judged |= {names[name]: found for name, found in self.before.baselines.items()}
        return {name: _row(found) for name, found in judged.items()}

    def rivals(self) -> dict[str, list[str]]:
        """Who is as good as the adapted network or better, on what."""
        rows = self.rows()
        ours = rows.pop(AFTER, [None, None])
        return {
            what: [name for name, row in rows.items() if not _less(ours[i], row[i])]
            for i, what in enumerate(("what stands still", "what moves"))
        }

    def table(self) -> str:
        """The rows as text, and whom the adapted network beats."""
        lines = [
            f"{'':28}" + "".join(f"{name:>10}" for name in ("static", "moving", "holes", "d1"))
        ]
        for name, row in self.rows().items():
            cells = ["" if value is None else f"{value:.3f}" for value in row]
            lines.append(f"{name:28}" + "".join(f"{cell:>10}" for cell in cells))
        for what, rivals in self.rivals().items():
            verdict = f"does not beat {', '.join(rivals)}" if rivals else "beats all the others"
            lines.append(f"on {what} the adapted network {verdict}")
        return "\n".join(lines)


def _less(ours: float | None, theirs: float | None) -> bool:
    return ours is not None and theirs is not None and ours < theirs


def _row(found: Evaluation) -> list[float | None]:
    static, moving = (e and e.abs_rel for e in (found.static, found.dynamic))
    holes = found.movers and found.movers.hole_rate
    return [static, moving, holes, found.full.d1]


def write_page(folder: Path, story: Story) -> Path:
    """Write `index.html` into the folder that holds the pictures, and return it."""
    page = folder / "index.html"
    words = {"captions": CAPTIONS, "small": DEFAULT_WEIGHTS}
    write_text(page, render("ssmde.demo", "page.html", story=story, **words))
    return page


def look(folder: Path, story: Story, small: Predictor, after: Predictor | None = None) -> Story:
    """Draw the held-out frames as both networks see them, the second one once it has learned."""
    seen = {"before": (story.before, small)}
    if after is not None and story.after is not None:
        seen["after"] = (story.after, after)
    files = [found.frame for found in list(seen.values())[-1][0].frames]  # the folder has moved
    frames = {
        name: [
            measured_frame(replace(found, frame=file), network, result.protocol)
            for found, file in zip(result.frames, files, strict=True)
        ]
        for name, (result, network) in seen.items()
    }
    names = [found.frame.name for found in story.before.frames]
    first = [i for i, name in enumerate(names) if name.split("/")[0] == names[0].split("/")[0]]
    last = list(frames)[-1]
    busiest = max(range(len(names)), key=lambda i: _moving_share(frames["before"][i]))
    others = [i for i in range(len(names)) if i != busiest]
    chosen = [busiest, *(others[i] for i in spread(len(others), EXAMPLES - 1))]
    examples: list[tuple[str, dict[str, str]]] = []
    for number, i in enumerate(chosen):
        pictures = draw_frame({name: found[i] for name, found in frames.items()})
        examples.append((names[i], _store(folder, f"{number:02d}", pictures)))
    hero = frames[last][busiest]
    _write_hero(folder, hero)
    film = _write_film(folder, {name: [found[i] for i in first] for name, found in frames.items()})
    return replace(
        story, size=hero.truth.shape, count=len(first), film=film, cloud=point_cloud(hero),
        examples=examples,
    )  # fmt: skip


def _moving_share(frame: MeasuredFrame) -> float:
    """Share of movers; those that fill the view or hide at its edge show little."""
    return 0.0 if frame.moving is None else min(0.15, float(frame.moving.mean()))


def draw_frame(seen: Mapping[str, MeasuredFrame]) -> dict[str, UInt8[np.ndarray, "h w 3"]]:
    """Pictures of one frame as each network sees it; depths share their colors."""
    (frame, *_) = seen.values()
    near, far = depth_range(frame.truth) or (1.0, 2.0)
    pictures = {"frame": frame.image, "truth": colorize(frame.truth, near=near, far=far)}
    if frame.moving is not None:
        gray = frame.image.mean(-1, keepdims=True).repeat(3, -1)
        gray[frame.moving] = 0.4 * gray[frame.moving] + 0.6 * np.array(MOVER)
        pictures["moving"] = gray.astype(np.uint8)
    for name, one in seen.items():
        pictures[name] = colorize(one.prediction, near=near, far=far)
        pictures[f"{name}_error"] = colorize_error(one.prediction, one.truth)
    return {kind: pictures[kind] for kind in CAPTIONS if kind in pictures}


def lesson_pictures(folder: Path, labels: Path) -> list[dict[str, str]]:
    """A frame of each part of the films: what the network said, and what it is to say."""
    frames = [(scene, i) for scene in read_scenes(labels, "train") for i in range(len(scene))]
    shown: list[dict[str, str]] = []
    for number, index in enumerate(spread(len(frames), EXAMPLES)):
        scene, i = frames[index]
        assert scene.depth is not None  # the labels
        image, file = scene.images[i], scene.depth[i]
        assert file is not None
        said = folder / "data" / scene.name / "pseudo_depth" / f"{image.stem}.png"
        corrected = read_depth(file, scene.depth_units_per_metre)
        depths = {"label": read_pseudo_depth(said), "corrected": corrected}
        pictures = {"frame": read_image(image)}
        pictures |= {kind: colorize(depth) for kind, depth in depths.items()}
        shown.append(_store(folder, f"lesson_{number}", pictures))
    return shown


def _store(
    folder: Path, prefix: str, pictures: Mapping[str, UInt8[np.ndarray, "_ _ 3"]]
) -> dict[str, str]:
    """Write pictures, all as wide; their files, named relative to the page."""
    size = size_of_width(next(iter(pictures.values())).shape, WIDTH)
    files = {kind: f"{FOLDER}/{prefix}_{kind}.png" for kind in pictures}
    for kind, picture in pictures.items():
        write_png(folder / files[kind], resize(picture, size))
    return files


def _write_hero(folder: Path, frame: MeasuredFrame) -> None:
    """A frame that turns into its depth from left to right."""
    size = size_of_width(frame.truth.shape, HERO_WIDTH)
    near, far = depth_range(frame.prediction) or (1.0, 2.0)
    colors = resize(colorize(frame.prediction, near=near, far=far), size)
    share = np.linspace(-1.5, 2.5, size[1]).clip(0, 1)[None, :, None]
    mixed = (1 - share) * resize(frame.image, size) + share * colors
    write_png(folder / FOLDER / "hero.png", mixed.round().astype(np.uint8))


def _write_film(folder: Path, seen: Mapping[str, Sequence[MeasuredFrame]]) -> dict[str, str]:
    """Sheets of all frames, one below the other: the frame, each network's depth, the truth."""
    (frames, *_) = seen.values()
    near, far = depth_range(np.concatenate([frame.truth for frame in frames])) or (1.0, 2.0)
    sheets = {"frame": [frame.image for frame in frames]}
    for name, found in seen.items():
        sheets[name] = [colorize(one.prediction, near=near, far=far) for one in found]
    sheets["truth"] = [colorize(frame.truth, near=near, far=far) for frame in frames]
    files = {kind: f"{FOLDER}/film_{kind}.webp" for kind in sheets}
    for kind, pictures in sheets.items():
        size = size_of_width(pictures[0].shape, WIDTH)
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
    shown = (depth < far) & ~_jumps(depth)
    points = np.stack([x, y, depth], axis=-1)[shown] / far * 1000
    values = np.concatenate([points.round(), frame.image[shown]], axis=1).astype("<i2")
    return base64.b64encode(values.tobytes()).decode("ascii")


def _jumps(depth: Float[np.ndarray, "h w"]) -> np.ndarray:
    """True where a neighbor to the right or below is a quarter nearer or farther."""
    steps = [np.abs(np.diff(np.log(depth), axis=axis, append=np.nan)) for axis in (0, 1)]
    return np.nan_to_num(np.fmax(*steps)) > 0.25
