"""`ssmde adapt`: a film in, a depth network that is right there out, never worse than before.

A network that has seen many places labels the frames of a film. Tracked points correct its labels
where the scene stands still (`data/pseudo_labels.py`), the ground bounds what moves
(`labeling/movers.py`), and it learns from them: the self-distillation of SS-MDE (Hu et al., Sensors
2024, https://doi.org/10.3390/s24134090), with the start network in the place of the teacher, its
depth in that of the LeReS pseudo-depth, and points in the place of the photometric loss. Points of
frames that it did not learn from decide in the end whether the new weights are handed out, or those
it started from. If they are, they go on with all frames.
"""

import math
import shlex
import shutil
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ssmde.adaptation import check
from ssmde.config import AffineConfig, Config, read_config
from ssmde.data.images import READABLE
from ssmde.data.scene_files import read_scene_info, write_intrinsics, write_list, write_scene_info
from ssmde.data.scene_folder import read_scene, read_scenes
from ssmde.data.sequence import from_hfov
from ssmde.data.video import VIDEO_SUFFIXES
from ssmde.inference.loading import find_weights, load
from ssmde.inference.pictures import write_png
from ssmde.io import hidden_part, read_json, write_json
from ssmde.labeling import label, write_corrected
from ssmde.models.registry import Device, choose_device, follow_start
from ssmde.outputs import done_or_free, identity, mark_of, recorded, sweep
from ssmde.preparation.results import Prepared
from ssmde.preparation.sources import find_sources
from ssmde.preparation.videos import prepare_videos
from ssmde.presets import AFFINE_INDOOR
from ssmde.tracking import track
from ssmde.weights import DEFAULT_WEIGHTS

RESULT, REPORT, PICTURE = "best.safetensors", "report.json", "before_after.png"
WORK = "work"  # folder of what can be made again
LAST = "last.safetensors"
WIDTH = 640  # pixels; wider frames are made so narrow
LEAST_MOTION = 0.01  # of the image's width, from frame to frame: a step of slow walking
FRAMES_PER_MINUTE = 24.0  # of the time given: tracking takes about a second a frame
FEWEST_FRAMES = 10  # with corrected labels; fewer teach a network nothing
# Frames that are tracked together, where a film has more than there is time for: decision 18.
WINDOW = 120
SPARSEST = 3  # every third frame at most: the next has to show the same points
ASSUMED_HFOV = 60.0  # degrees, where neither file nor film tells the camera
# Less is no gain: the labels share what tracking got wrong with the points that judge. Films that
# gained by the truth had .21 to .42; drawn streets that `small` knows had .09, and lost.
LEAST_GAIN = 0.125
# More passes over few frames learn them by heart, people first: decision 18.
FEWEST_STEPS, MOST_EPOCHS = 30, 8
BATCH, RATE, ENCODER_RATE = 8, 4e-4, 0.5
# Shares of steps and rate of what follows once the result is accepted: decision 25.
FINISH_STEPS, FINISH_RATE = 0.35, 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class Adapted:
    """What became of a film."""

    kept: Literal["adapted", "start"]  # whose weights were handed out
    why: str  # what decided
    start: str  # name or path of the weights it started from
    error_before: float | None  # see `point_error`; None if no motion can be trusted
    error_after: float | None  # the same after the training, before these frames were learned from
    frames: int  # that were learned from
    steps: int  # of training
    camera: str  # where the focal length is from
    seconds: dict[str, float]  # how long each stage took, in this process
    source: str = ""  # the film
    out: str = ""  # folder of the result

    def __str__(self) -> str:
        """What came out, for the screen."""
        whose = "adapted weights" if self.kept == "adapted" else f"the weights of {self.start}"
        following = f"next: ssmde predict {shlex.join([self.out, self.source])} depth"
        look = f"look at {Path(self.out) / PICTURE}"
        return f"camera: {self.camera}\n{whose}: {self.why}\n{look}\n{following}"


def adapt(
    source: Path, out: Path, *, start: str | Path = DEFAULT_WEIGHTS, minutes: int | float = 10.0,
    hfov_degrees: int | float | None = None, seed: int = 0, device: Device = "auto",
    overwrite: bool = False, show_progress: bool = True,
) -> Adapted:  # fmt: skip
    """Make a network better at the place that your own film shows, from the film alone.

    It labels the frames itself, points whose depth the camera's motion tells correct the labels,
    and it learns from them. Other frames of the film decide whether that made it better; if so, it
    learns from them as well, if not, OUT gets the weights it started from. OUT holds
    best.safetensors, which ssmde predict takes, report.json, before_after.png, and work/, from
    which the same command goes on after a stop.

    Example:
      ssmde adapt walk.mp4 here
      ssmde adapt walk.mp4 here --minutes 30 --hfov-degrees 65

    Args:
        source: Video, folder of images, or scene folders; a cam.txt beside them is their camera.
        out: Folder for the weights, a report and pictures.
        start: Weights to begin with: a released name, a file, or the folder of a run.
        minutes: About how long it may take. The film is thinned to what can be tracked in that
            time; a tenth of it is the least that is of use.
        hfov_degrees: Horizontal field of view of the upright frames. If it is neither given nor in
            the files, it is found in the film, and where that does not tell it, 60 is assumed.
        seed: Start of the random numbers.
        device: Where to compute; auto is a GPU if there is one. Tracking runs on the processor.
        overwrite: Replace the result of another film, or of other options.
        show_progress: Draw progress bars.

    Raises:
        FileExistsError: If OUT holds such a result, or files of others under these names.
        FileNotFoundError: If there is no such film, or there are no such weights.
        ImportError: If pycolmap is not installed.
        ValueError: If the film cannot be used: too short, a camera that stands still or only turns,
            or nothing that can be followed.
    """
    if not (minutes > 0 and math.isfinite(minutes)):
        raise ValueError(f"minutes must be above 0, got {minutes}")
    weights, sources = find_weights(start), _films_in(source)
    widest = max(one.size()[1] for one in find_sources(sources))
    mark = mark_of(
        sources=[identity(one) for one in sources], start=identity(weights),
        options=(minutes, hfov_degrees, seed),
    )  # fmt: skip
    results = [out / name for name in (RESULT, REPORT, PICTURE)]
    if done_or_free(results, mark, overwrite=overwrite):
        stored: dict[str, Any] = read_json(out / REPORT)
        stored |= {"source": str(source), "out": str(out)}
        return Adapted(**stored)
    sweep(out, {path.name for path in results}.__contains__)
    work = out / WORK / mark  # another film or other options have a folder of their own
    end, seconds = time.monotonic() + 60 * minutes, dict[str, float]()

    @contextmanager
    def stage(name: str) -> Generator[None]:
        begun = time.monotonic()
        left = max(0.0, end - begun) / 60
        print(f"{name}: {STAGES[name]}, {left:.1f} minutes left", flush=True)
        yield
        seconds[name] = round(time.monotonic() - begun, 1)

    with stage("prepare"):
        prepared = prepare_videos(
            sources, work / "film", least_motion=LEAST_MOTION, hfov_degrees=hfov_degrees,
            width=WIDTH if widest > WIDTH else None, show_progress=show_progress,
        )  # fmt: skip
        scenes = _windows(prepared, work / "data", round(minutes * FRAMES_PER_MINUTE))
    with stage("track"):
        camera = _track(scenes, seed, show_progress)
    with stage("label"):
        label(work / "data", source=f"ssmde:{start}", device=device, split="all",
              show_progress=show_progress)  # fmt: skip
        doubts = [check.find_doubt(scene) for scene in scenes]
        trusted = [scene for scene, doubt in zip(scenes, doubts, strict=True) if not doubt]
    before = after = load(weights, device=choose_device(device))
    found = Adapted(
        kept="start", why="", start=str(start), error_before=None, error_after=None, frames=0,
        steps=0, camera=camera, seconds=seconds, source=str(source), out=str(out),
    )  # fmt: skip
    chosen = weights
    try:
        frames = _correct(scenes, trusted, work / "learn", show_progress, PARTS[:1])
        held_out = check.find_held_out(trusted)
    except ValueError:
        if not (reason := next(filter(None, doubts), "")):
            raise
        none = np.zeros((0, 2), np.float32), np.zeros(0, np.float32)  # points
        held_out = [(image, *none) for scene in scenes for image in read_scene(scene).images]
        found = replace(found, why=f"the camera's motion cannot be trusted: {reason}")
    else:
        with stage("train"):
            config = _training(work, weights, seed, device, end - time.monotonic(), frames)
            trained = _train(config)
        with stage("check"):
            after = load(trained, device=choose_device(device))
            first, last = (check.point_error(network, held_out) for network in (before, after))
        better = last < (1 - LEAST_GAIN) * first
        points = f"{first:.3f} before, {last:.3f} after, on {len(held_out)} held-out frames"
        found = replace(
            found, kept="adapted" if better else "start", frames=frames, steps=config.train.steps,
            why=f"{'' if better else 'not clearly '}closer to points that were tracked: {points}",
            error_before=first, error_after=last,
        )  # fmt: skip
        if better:
            chosen = trained
            with stage("finish"):
                frames = _correct(scenes, trusted, work / "learn", show_progress, PARTS)
                finish = _finish(config, trained)
                finished = _train(finish)
                network = load(finished, device=choose_device(device))
            if check.point_error(network, held_out) < (1 - LEAST_GAIN) * first:  # it did not break
                steps = config.train.steps + finish.train.steps
                found = replace(found, frames=frames, steps=steps)
                chosen, after = finished, network
    with recorded(mark):
        check.hand_out(chosen, weights, out / RESULT, before, after, held_out)
        title = "after" if found.kept == "adapted" else "after, not kept"
        networks = {"before": before} | ({title: after} if found.steps else {})
        write_png(out / PICTURE, check.draw_comparison(networks, held_out))
        write_json(out / REPORT, asdict(found))
    return found


STAGES = {
    "prepare": "frames that move and are sharp",
    "track": "how the camera moved, and points that stand still",
    "label": "the start network's depth, corrected by the points",
    "train": "the network learns from the corrected labels",
    "check": "does it agree with points of frames it did not learn from?",
    "finish": "it does, and learns from these frames as well",
}
# Of a window: what is learned from first, and what judges that, by the ending of its folder.
PARTS = (("", (0.0, 1 - check.HELD_OUT)), ("-end", (1 - check.HELD_OUT, 1.0)))


def _windows(prepared: Prepared, root: Path, most: int) -> list[Path]:
    """Scene folders of as many frames as there is time for, below `root`."""
    films = [read_scene(folder) for folder in prepared.scenes]
    share = max(FEWEST_FRAMES, most) / sum(map(len, films))
    names: list[str] = []
    for film in films:
        for number, frames in enumerate(choose_windows(len(film), round(share * len(film)))):
            names.append(f"{film.name}-{number}")
            target = root / names[-1]
            if target.exists():
                continue
            part = hidden_part(target)
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
            for i in frames:
                shutil.copyfile(film.images[i], part / film.images[i].name)
            if film.intrinsics is not None:
                write_intrinsics(part, film.intrinsics)
            part.rename(target)
    write_list(root, "train", names)
    return [root / name for name in names]


def _films_in(source: Path) -> list[Path]:
    """The scene folders in a folder that lists some or holds no film itself; else the source."""
    inside = list(source.iterdir()) if source.is_dir() else []
    listed = any(file.name in ("train.txt", "val.txt") for file in inside)
    films = {file.suffix.lower() for file in inside} & {*READABLE, *VIDEO_SUFFIXES}
    if listed or (not films and any(file.is_dir() for file in inside)):
        part = "train" if listed else "all"
        return [scene.images[0].parent for scene in read_scenes(source, part)]
    return [source]


def choose_windows(frames: int, most: int) -> list[range]:
    """Which frames of a film are used: all, every second or third, or windows spread over it."""
    step = max(1, min(SPARSEST, round(frames / max(1, most))))
    thinned = len(range(0, frames, step))
    if thinned <= most:
        return [range(0, frames, step)]
    windows = max(1, round(most / WINDOW))
    length = min(most, thinned) // windows * step
    starts = np.linspace(0, frames - length, windows).round().astype(int).tolist()
    return [range(start, start + length, step) for start in starts]


def _track(scenes: Sequence[Path], seed: int, show_progress: bool) -> str:
    """Track all windows, with what the first tells of an unknown camera; where that is from."""
    first, *others = scenes
    try:
        track(first, seed=seed, show_progress=show_progress)
    except ValueError:
        if (first / "cam.txt").is_file():
            raise
        said = f"assumed, {ASSUMED_HFOV:g} degrees wide, as the film does not tell it"
        write_scene_info(first, {"camera": f"{said}: give --hfov-degrees if you know it"})
        write_intrinsics(first, from_hfov(read_scene(first).image_size, ASSUMED_HFOV))
        track(first, seed=seed, show_progress=show_progress)
    for scene in others:
        if not (scene / "cam.txt").is_file():
            shutil.copyfile(first / "cam.txt", scene / "cam.txt")
        track(scene, seed=seed, show_progress=show_progress)
    return str(read_scene_info(first / "scene.json").get("camera", "from the file, or as given"))


def _correct(
    scenes: Sequence[Path], trusted: Sequence[Path], root: Path, show_progress: bool,
    parts: Sequence[tuple[str, tuple[float, float]]],
) -> int:  # fmt: skip
    """Scene folders to learn from, of parts of all windows; how many frames they have."""
    names, corrected = list[str](), 0
    for scene, (ending, part) in product(scenes, parts):
        target = root / f"{scene.name}{ending}"
        if not target.exists():
            # Where motion cannot be trusted labels stay: what moves is often seen there alone.
            write_corrected(
                scene, target, part=part, uncorrected=scene not in trusted,
                show_progress=show_progress,
            )  # fmt: skip
        if target.exists():
            names.append(target.name)
            corrected += len(read_scene(target)) if scene in trusted else 0
    if corrected < FEWEST_FRAMES:
        films = [read_scene(scene) for scene in scenes]
        raise ValueError(
            f"only {corrected} of {sum(map(len, films))} frames see enough points whose depth the "
            f"camera's motion tells, and {FEWEST_FRAMES} are needed: film again while the camera "
            "moves sideways or forward, not only turns, past things that stand still"
        )
    write_list(root, "train", names)
    return sum(len(read_scene(root / name)) for name in names)


def _training(
    work: Path, weights: Path, seed: int, device: Device, seconds: float, frames: int
) -> Config:
    """The training, of as many steps as there is time for."""
    (film, *_) = read_scenes(work / "learn", "train")
    size = load(weights, device="cpu").size_for(film.image_size)
    preset = AFFINE_INDOOR
    data = replace(
        preset.data, root=work / "learn", image_size=size, zoom=1.5, color_jitter=0.5, workers=0
    )
    clock = replace(
        preset.train, steps=FEWEST_STEPS, batch_size=BATCH, learning_rate=RATE, warmup_steps=10,
        average=0.98, encoder_lr_multiplier=ENCODER_RATE, seed=seed, accelerator=device,
    )  # fmt: skip
    config = follow_start(replace(
        preset, name="run", output=work, data=data, train=clock,
        model=replace(preset.model, start=str(weights)),
        affine=AffineConfig(leres=0.0, log_depth=1.0, log_gradient=1.0),
    ))  # fmt: skip
    begun = work / config.name / "config.yaml"
    if begun.is_file():
        steps = read_config(begun).train.steps
    else:
        from ssmde.pace import seconds_per_step

        steps = round(0.9 * seconds / seconds_per_step(config) / (1 + FINISH_STEPS))
        steps = max(FEWEST_STEPS, min(steps, math.ceil(MOST_EPOCHS * frames / BATCH)))
    return replace(config, train=replace(config.train, steps=steps, validate_every=steps))


def _finish(config: Config, trained: Path) -> Config:
    """The training that goes on from a trained network, now with all frames."""
    steps = math.ceil(FINISH_STEPS * config.train.steps)
    return replace(
        config, name="finish", model=replace(config.model, start=str(trained)),
        train=replace(
            config.train, steps=steps, validate_every=steps, learning_rate=FINISH_RATE * RATE
        ),
    )  # fmt: skip


def _train(config: Config) -> Path:
    """Weights of a training; it is run unless it is finished, and goes on where it stopped."""
    run = config.output / config.name
    if not (run / LAST).is_file():
        from ssmde.training import train  # slow to import, and not for the help

        train(config, resume=(run / "last.ckpt").is_file())
    return run / LAST
