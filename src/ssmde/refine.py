"""Test-time refinement: a few training steps on the very clip that is to be predicted.

    predictor = refine("runs/photometric", "walk.mp4", steps=50)

The steps are those of stage 1, on a copy of both networks; the file of the weights stays as it is.
As in Casser et al., AAAI 2019 (https://arxiv.org/abs/1811.06152).
"""

import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from rich.console import Console
from rich.progress import track
from torch import Tensor

from ssmde.config import Config
from ssmde.data.image_motion import tile_flow
from ssmde.data.images import read_image, resize_image
from ssmde.data.video import VIDEO_SUFFIXES, read_chosen_frames, video_info
from ssmde.geometry.camera import scale_intrinsics
from ssmde.methods.teacher import Teacher, build_networks
from ssmde.models.load import load_weights_into, read_weights
from ssmde.prediction.camera import AskedCamera, find_camera, learnt_cameras
from ssmde.prediction.inputs import name_images
from ssmde.prediction.loading import find_weights, stored_config, stored_encoder
from ssmde.prediction.predictor import Predictor
from ssmde.types import Batch

LEARNING_RATE = 2e-5  # a fifth of that of the training: fine-tuning, not forgetting
BATCH = 4
RUNS, RUN_FRAMES = 20, 50
"""Of a long video so many runs of so many frames are taken, evenly spread: 250 MB at 256 x 320."""
GAPS = (1, 2, 3, 5, 8, 12)
LEAST_MOTION = 0.01
"""The gap is the first at which the picture moves so far, as a share of its width."""
PROBES = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class _Clip:
    frames: UInt8[np.ndarray, "n h w 3"]
    """At the size of the network."""
    runs: tuple[int, ...]
    """Of each frame, the run of neighbouring frames it belongs to."""
    size: tuple[int, int]
    """Size (height, width) of the frames as they were."""

    def targets(self, gap: int) -> list[int]:
        """Frames that have a neighbour on both sides at this distance."""
        inside = range(gap, len(self.frames) - gap)
        return [i for i in inside if self.runs[i - gap] == self.runs[i + gap]]


def refine(
    weights: str | Path,
    source: str | Path,
    *,
    steps: int,
    resolution: tuple[int, int] | None = None,
    camera: AskedCamera | None = None,
    learning_rate: float = LEARNING_RATE,
    max_frames: int | None = None,
    seed: int = 0,
) -> Predictor:
    """A predictor that has seen the clip: trained on it for a few steps, without any label.

    Args:
        weights: Weights file or run folder, with the pose network of the training.
        source: A video, or a folder or glob of its frames in the order of their names.
        steps: How many; 20 to 100 are of use.
        resolution: Size (height, width) the network sees, if not its training size.
        camera: What is known of the camera; else the one learnt with the weights, or a guess.
        learning_rate: Of both networks.
        max_frames: Look at the first so many frames only.
        seed: Start of every random number.

    Raises:
        FileNotFoundError: If there are no weights, or no clip.
        ValueError: If the weights hold no pose network, or the clip no three frames.
    """
    if steps < 1:
        raise ValueError(f"refine needs 1 step or more, got {steps}")
    file = find_weights(weights)
    tensors, metadata = read_weights(file)
    config = stored_config(file, metadata)
    encoder = stored_encoder(file, config, metadata)
    config = replace(config, model=replace(config.model, encoder=encoder))
    size = resolution or config.data.image_size
    clip = _read_clip(Path(source), size, max_frames)
    gap = _choose_gap(clip)
    targets = clip.targets(gap)
    if not targets:
        raise ValueError(
            f"{source}: refining needs a clip of at least {2 * gap + 1} frames, got "
            f"{len(clip.frames)}; predict without --refine"
        )
    teacher = _teacher(config, tensors, str(file))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    matrix, said = find_camera(clip.size, camera or AskedCamera(), learnt_cameras(metadata))
    print(f"refining: {len(clip.frames)} frames, every {gap} to the next; camera: {said}",
          file=sys.stderr)  # fmt: skip
    scale = size[1] / clip.size[1], size[0] / clip.size[0]
    intrinsics = scale_intrinsics(torch.from_numpy(matrix).float(), *scale)
    losses = _train(
        teacher.to(device),
        (_draw(clip, targets, gap, intrinsics, device, seed + i) for i in range(steps)),
        steps,
        learning_rate,
    )
    part = max(1, steps // 4)
    print(f"refining: loss {np.mean(losses[:part]):.4f} at first, {np.mean(losses[-part:]):.4f} at "
          "last", file=sys.stderr)  # fmt: skip
    return Predictor(
        teacher.depth_net,
        size,
        depth_range=config.model.depth_range,
        source=f"{weights}, refined {steps} steps on {source}",
        cameras=learnt_cameras(metadata),
    )


def _teacher(config: Config, tensors: dict[str, Tensor], origin: str) -> Teacher:
    """Stage 1 from stored weights, at rest but for its weights: no warm-up, no labels."""
    if not any(key.startswith("pose_net.") for key in tensors):
        raise ValueError(
            f"{origin}: holds no pose network, which refining needs; give weights that "
            "`ssmde train` wrote, or predict without --refine"
        )
    loss = replace(
        config.loss, rotation_first=0.0, upright_first=0.0, geometry_ramp=0.0, points=0.0
    )
    networks = build_networks(replace(config.model, pretrained="none"), loss)
    for network, prefix in zip(networks, ("depth_net.", "pose_net."), strict=True):
        load_weights_into(network, tensors, prefix, origin=origin)
    return Teacher(*networks, loss).eval()  # the statistics of a clip are poorer than those kept


def _train(
    teacher: Teacher, batches: Iterator[Batch], steps: int, learning_rate: float
) -> list[float]:
    optimiser = torch.optim.Adam(teacher.parameters(), lr=learning_rate)
    losses: list[float] = []
    console = Console(stderr=True)
    for batch in track(batches, "refining", total=steps, console=console, transient=True):
        loss = teacher(batch, 1.0).loss
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(teacher.parameters(), 1.0)
        optimiser.step()
        losses.append(float(loss.detach()))
    return losses


def _draw(
    clip: _Clip,
    targets: list[int],
    gap: int,
    intrinsics: Float[Tensor, "3 3"],
    device: torch.device,
    seed: int,
) -> Batch:
    """Some targets with the frame before and the frame after."""
    chosen = random.Random(seed).sample(targets, min(BATCH, len(targets)))
    views = np.stack([clip.frames[[i, i - gap, i + gap]] for i in chosen])
    images = torch.from_numpy(views).to(device).permute(0, 1, 4, 2, 3).float() / 255
    return Batch(
        target=images[:, 0],
        sources=images[:, 1:],
        intrinsics=intrinsics.to(device).expand(len(chosen), 3, 3),
    )


def _read_clip(source: Path, size: tuple[int, int], max_frames: int | None) -> _Clip:
    """The frames at the size of the network; of a long video, runs of them."""
    runs: list[int] = []
    small: list[UInt8[np.ndarray, "h w 3"]] = []
    shape = (0, 0)
    for number, pixels in islice(_frames(source), max_frames or RUNS * RUN_FRAMES):
        shape = pixels.shape[0], pixels.shape[1]
        small.append(resize_image(pixels, size))
        # A gap in the numbers starts a new run.
        runs.append(number - len(runs))
    return _Clip(frames=np.stack(small), runs=tuple(runs), size=shape)


def _frames(source: Path) -> Iterator[tuple[int, UInt8[np.ndarray, "h w 3"]]]:
    if source.suffix.lower() in VIDEO_SUFFIXES and source.is_file():
        every = max(RUN_FRAMES, video_info(source).frames // RUNS)
        for frame in read_chosen_frames(source, lambda n: n % every < RUN_FRAMES):
            yield frame.number, frame.pixels
        return
    for number, path in enumerate(name_images(source).values()):
        yield number, read_image(path)


def _choose_gap(clip: _Clip) -> int:
    """The first gap at which the picture moves enough to tell depth."""
    grey = clip.frames[..., 1]  # green is nearly brightness
    possible = [gap for gap in GAPS if clip.targets(gap)]
    for gap in possible:
        targets = clip.targets(gap)
        probes = targets[:: max(1, len(targets) // PROBES)]
        moved = [_motion(grey[i], grey[i + gap]) for i in probes]
        if np.median(moved) >= LEAST_MOTION * grey.shape[2]:
            return gap
    return possible[-1] if possible else 1


def _motion(a: UInt8[np.ndarray, "h w"], b: UInt8[np.ndarray, "h w"]) -> float:
    """Median motion of the tiles, in pixels; 0 where nothing is found again."""
    flow = tile_flow(a.astype(np.float32) / 255, b.astype(np.float32) / 255)
    moved = np.linalg.norm(flow.motion[flow.found], axis=1)
    return float(np.median(moved)) if moved.size else 0.0
