"""Which outputs of a prediction are done, which may be made, which are the user's."""

import hashlib
import os
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path

import torch

from ssmde.outputs import digest_of, done_or_free, identity, mark_of, sweep
from ssmde.prediction.engines import EngineNetwork
from ssmde.prediction.formats import FORMATS, FilmFormat, FrameFormat
from ssmde.prediction.pipeline import Wishes
from ssmde.prediction.predictor import Predictor
from ssmde.prediction.shot import Style


@dataclass(frozen=True, kw_only=True, slots=True)
class Marks:
    """Marks of the files that one network makes in one way."""

    way: str
    """Digest of the network and the options."""
    overwrite: bool = False
    """Files that were made of something else may be replaced."""

    def of(self, source: Path | str, *, max_frames: int | None = None) -> str:
        """The mark of what is made of an image or a video."""
        return mark_of(way=self.way, source=identity(source), max_frames=max_frames)

    def of_all(self, images: dict[str, Path | str]) -> str:
        """The mark of what is made of all these images."""
        return mark_of(way=self.way, sources=[identity(image) for image in images.values()])

    def done(self, paths: Iterable[Path], mark: str) -> bool:
        """As `ssmde.outputs.done_or_free`."""
        return done_or_free(paths, mark, overwrite=self.overwrite)


def marks_of(
    predictor: Predictor, wishes: Wishes, style: Style, *, live: bool, overwrite: bool
) -> Marks:
    """Marks for what a predictor makes; of a camera nothing is ever done twice."""
    way = mark_of(
        network=network_mark(predictor),
        wishes=asdict(replace(wishes, batch_size=1)),
        style=asdict(style),
        now=[time.time_ns(), os.getpid()] if live else None,
    )
    return Marks(way=way, overwrite=overwrite)


def network_mark(predictor: Predictor) -> str:
    """Digest of all that decides what a predictor says: layers, weights, sizes, unit."""
    network, content = predictor.network, hashlib.sha256()
    if isinstance(network, EngineNetwork):
        file = Path(predictor.source)
        parts = [f for f in (file, file.with_suffix(".bin")) if f.is_file()]
        content.update("".join(map(digest_of, parts)).encode())
    else:
        content.update(f"{type(network).__qualname__} {network}".encode())
        for name, tensor in network.state_dict().items():
            values = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
            content.update(name.encode() + values.numpy().tobytes())
    facts = asdict(replace(predictor.facts, source=""))
    return mark_of(network=content.hexdigest(), facts=facts, sizes=predictor.more_sizes)


def unfinished(
    marks: Marks, files: Mapping[str, Sequence[Path]], images: Mapping[str, Path | str]
) -> list[str]:
    """Names of the images whose files are not all there; killed parts beside them are removed.

    Args:
        marks: Of the files.
        files: By the name of the output of each image.
        images: By the same name.

    Raises:
        FileExistsError: If a file may not be replaced, also one that is an input.
    """
    inputs = {os.path.realpath(image) for image in images.values() if isinstance(image, Path)}
    for name in images:
        for path in files[name]:
            if os.path.realpath(path) in inputs:
                raise FileExistsError(f"{path}: is an input itself: choose another folder")
    left = [name for name in images if not marks.done(files[name], marks.of(images[name]))]
    places: dict[Path, set[str]] = {}
    for path in chain.from_iterable(files.values()):
        places.setdefault(path.parent, set()).add(path.name)
    for folder, names in places.items():
        sweep(folder, names.__contains__)
    return left


def video_is_done(
    marks: Marks,
    out: Path,
    name: str,
    formats: Sequence[str],
    *,
    source: Path | str,
    frames: int | None,
    max_frames: int | None,
) -> bool:
    """Whether all files of a video are there; parts of killed runs beside them are removed.

    Args:
        marks: Of the files.
        out: Folder of the files; it need not exist.
        name: Of the video's outputs.
        formats: Keys of `FORMATS`.
        source: What they are made of.
        frames: How many frames there will be; None if nobody knows.
        max_frames: As asked for.

    Raises:
        FileExistsError: If a file may not be replaced.
    """
    kinds = [FORMATS[key] for key in formats]
    films = [out / f"{name}{k.suffix}" for k in kinds if isinstance(k, FilmFormat)]
    suffixes = [k.suffix for k in kinds if isinstance(k, FrameFormat)]
    numbered = re.compile(
        f"{re.escape(name)}_([0-9]{{6,}})({'|'.join(map(re.escape, suffixes))})", re.DOTALL
    )

    def is_frame(file: str) -> bool:
        found = numbered.fullmatch(file) if suffixes else None
        return found is not None and (frames is None or int(found[1]) < frames)

    there = [path for path in sorted(out.iterdir()) if is_frame(path.name)] if out.is_dir() else []
    done = marks.done(films, marks.of(source, max_frames=max_frames))
    done = marks.done(there, marks.of(source)) and done
    film_names = {path.name for path in films}
    sweep(out, lambda file: file in film_names or is_frame(file))
    return done and (not suffixes or (bool(frames) and len(there) == frames * len(suffixes)))
