"""The network that comes with the package beside the one of the demo, in two drawn places."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from ssmde.console import counted
from ssmde.data.drawn import draw_clip, write_clip
from ssmde.data.scene_folder import read_scene
from ssmde.data.sequence import FrameSequence
from ssmde.demonstration.film import FOLDER
from ssmde.evaluate import evaluate_predictions
from ssmde.evaluation.result import Evaluation
from ssmde.inference.pictures import colorize, depth_range, write_png
from ssmde.inference.predictor import Predictor
from ssmde.metrics.baselines import constant_depth
from ssmde.reporting.exhibits import WIDTH, gradient, resize, see
from ssmde.weights import RELEASED

ROOM = "room"  # folder of its clip, beside the data: nothing trains on it
ROOM_FRAMES = 6
ROOM_SIZE = (128, 192)
ROOM_SEED = 900  # of the 1000 a demo seed has for itself; streets take others
CAPTIONS = {
    "frame": "frame",
    "truth": "true depth",
    "shipped": "depth of {}",
    "student": "depth of the student",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """What both networks, and a constant depth, make of one place."""

    name: str
    constant: Evaluation
    student: Evaluation
    shipped: Evaluation
    frame: str
    """The frame of the pictures, as `scene/frame`."""
    ends: tuple[float, float]
    """Metres of the brightest and of the darkest colour."""
    sources: dict[str, str]
    """File of each picture, by its name in `CAPTIONS`, named relative to the page."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shipped:
    """A released network, and how it does where it learnt and where it did not."""

    name: str
    places: tuple[Place, ...]


def draw_room(folder: Path, seed: int) -> FrameSequence:
    """A short drawn clip of a room where people walk, of the demo seed `seed`."""
    clip = draw_clip(
        "room", frames=ROOM_FRAMES, size=ROOM_SIZE, seed=1000 * seed + ROOM_SEED, movers="across"
    )
    write_clip(clip, folder)
    return read_scene(folder)


def visit(
    page: Path,
    name: str,
    sequences: Sequence[FrameSequence],
    student: Predictor,
    shipped: Predictor,
) -> Place:
    """Measure both networks on all frames of a place, and show the frame in the middle.

    Args:
        page: Folder of the page; the pictures go to a folder in it.
        name: Of the place, for readers.
        sequences: Its clips, with truth.
        student: The network of the demo.
        shipped: The network of the package.
    """
    constant = evaluate_predictions(lambda _: constant_depth(), sequences)
    ours, theirs = (evaluate_predictions(p.network_depth, sequences) for p in (student, shipped))
    middle = len(ours.frames) // 2
    seen = [
        see(result.frames[middle], predictor, result.protocol)
        for result, predictor in ((ours, student), (theirs, shipped))
    ]
    near, far = depth_range(seen[0].truth) or (1.0, 2.0)
    depths = {"truth": seen[0].truth, "shipped": seen[1].prediction, "student": seen[0].prediction}
    pictures = {kind: colorize(depth, near=near, far=far) for kind, depth in depths.items()}
    size = (round(WIDTH * seen[0].truth.shape[0] / seen[0].truth.shape[1]), WIDTH)
    sources: dict[str, str] = {}
    for kind, picture in {"frame": seen[0].image, **pictures}.items():
        sources[kind] = f"{FOLDER}/shipped_{name.replace(' ', '_')}_{kind}.png"
        write_png(page / sources[kind], resize(picture, size))
    return Place(
        name=name,
        constant=constant,
        student=ours,
        shipped=theirs,
        frame=ours.frames[middle].frame.name,
        ends=(near, far),
        sources=sources,
    )


def shipped_section(shipped: Shipped) -> str:
    """The places as HTML: a table, then pictures of each."""
    first = shipped.places[0].shipped
    p = first.protocol
    bodies = "\n".join(
        "<tbody>\n" + "\n".join(_rows(place, shipped.name)) + "\n</tbody>"
        for place in shipped.places
    )
    articles = "\n".join(_article(place, shipped.name) for place in shipped.places)
    return (
        f"<p><strong>{escape(shipped.name)}</strong> learnt from "
        f"{escape(RELEASED[shipped.name].summary)}; the student of this page has seen no room: "
        "each is measured in both. "
        "<code>ssmde predict PHOTO OUT</code> uses it where no weights are named.</p>\n"
        f'<div class="sheet"><table>\n<caption>Protocol <strong>{escape(p.name)}</strong> '
        f"({p.min_depth:g} to {p.max_depth:g} m, {'cropped' if p.crop else 'whole image'}), "
        f"alignment <strong>{escape(first.align)}</strong>.</caption>\n"
        '<thead><tr><th>place</th><th class="left">network</th><th>AbsRel</th>'
        "<th>AbsRel, moving</th><th>δ &lt; 1.25</th></tr></thead>\n"
        f"{bodies}\n</table></div>\n{articles}"
    )


def _rows(place: Place, shipped: str) -> Iterator[str]:
    who = f"{escape(place.name)}, {counted(place.shipped.n_images, 'frame')}"
    results = {
        shipped: place.shipped,
        "student of the demo": place.student,
        "one constant depth": place.constant,
    }
    for name, result in results.items():
        moving = "" if result.dynamic is None else f"{result.dynamic.abs_rel:.3f}"
        values = (f"{result.full.abs_rel:.3f}", moving, f"{result.full.d1:.3f}")
        ours = ' class="ours"' if name == shipped else ""
        cells = "".join(f"<td>{value}</td>" for value in values)
        yield (
            f'<tr{ours}><th class="who">{who}</th><th class="left">{escape(name)}</th>{cells}</tr>'
        )
        who = ""


def _article(place: Place, shipped: str) -> str:
    figures = "".join(
        f'<figure><img src="{place.sources[kind]}" alt="{words}" loading="lazy">'
        f"<figcaption>{words}</figcaption></figure>"
        for kind, caption in CAPTIONS.items()
        for words in [escape(caption.format(shipped), quote=True)]
    )
    near, far = place.ends
    return (
        f'<article class="exhibit"><header><h3>{escape(place.name)}</h3>'
        f'<span class="soft">{escape(place.frame)}, the frame in the middle</span></header>'
        f'<div class="wall four">{figures}</div><div class="legend"><div>'
        f'<span class="bar" style="background:{gradient("depth")}"></span><span class="ends">'
        f"<span>{near:.1f} m</span><span>{far:.0f} m</span></span></div></div></article>"
    )
