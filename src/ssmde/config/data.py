"""Where the frames come from, how a snippet is cut and how it is varied."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ssmde.config.section import Section, refuse

MOST_SIDE = 8192  # pixels; trained networks work at up to about 1,000
MOST = {"zoom": 16, "workers": 1024}  # beyond, a typing error


@dataclass(frozen=True, kw_only=True, slots=True)
class DataConfig(Section):
    """Where the frames come from, how a snippet is cut and how it is varied."""

    root: Path = Path("data")
    """Folder of scene folders."""
    image_size: tuple[int, int] = (256, 320)
    """Training size (height, width), in pixels; multiples of 32."""
    more_sizes: tuple[tuple[int, int], ...] = ()
    """Further training sizes: batches have `image_size` and these in turn. For a network that is to
    be right at any aspect ratio."""
    frame_gaps: tuple[int, ...] = (1,)
    """Distance of the two sources from the target, in stored frames; with several, each snippet
    draws one."""
    scene_gaps: tuple[tuple[str, int], ...] = ()
    """Gaps of single scenes in place of `frame_gaps`, as pairs of scene and gap: recordings differ
    in frame rate and pace. A scene may come several times."""
    poses: Literal["none", "tracked", "file"] = "none"
    """Motion of the camera that comes with the frames: none, what `ssmde track` found in the video,
    or the poses.txt of the scenes, as a robot or a phone measures it."""
    least_baseline: float = 0.0
    """With poses: the camera moved at least so far from the target to either source. In the unit of
    the poses; that of tracked ones is the median depth of the scene."""
    flip: float = 0.5
    """Probability that a snippet is mirrored left to right."""
    zoom: float = 1.15
    """Largest zoom of the random zoom-and-crop; 1 turns it off."""
    keep_proportions: bool = False
    """The zoom cuts a window of the proportions of the training size, to some percent; else width
    and height of the frame are cut apart, and what is left is stretched."""
    colour_jitter: float = 0.5
    """Probability that the colours of a snippet are changed."""
    brightness: float = 0.2
    """Colours are multiplied by 1 - brightness to 1 + brightness."""
    contrast: float = 0.2
    """Colours move towards or away from mid-grey by this factor."""
    saturation: float = 0.2
    """Colours move towards or away from grey by this factor."""
    hue: float = 0.05
    """Largest turn of the colour circle, as a share of it."""
    degrade: float = 0.0
    """Probability of each fault of a poor camera: exposure, white balance, grey, blur, low
    resolution, noise, JPEG. Where depth is measured; between frames of a video they would hide the
    motion."""
    scene_weights: tuple[tuple[str, float], ...] = ()
    """Shares of the snippets, as pairs of a pattern of scene names (`room_*`) and a weight; the
    first pattern that fits counts. A scene that fits none has its number of snippets. For sources
    of very different size. Where depth is measured."""
    augment_on: Literal["loader", "device"] = "loader"
    """Who zooms, cuts and mirrors the images: the processes that read them, or the device that
    trains, which then gets whole frames; for packed data and few processors beside a GPU. Colours
    are changed on the device in either case."""
    workers: int = 2
    """Processes that read frames; 0 reads in the main process."""

    def __post_init__(self) -> None:
        """Refuse values that cannot make a snippet."""
        Section.__post_init__(self)
        for size in (self.image_size, *self.more_sizes):
            refuse(max(size) > MOST_SIDE, f"data: a side is at most {MOST_SIDE} pixels, got {size}")
        for name, most in MOST.items():
            value = getattr(self, name)
            refuse(value > most, f"data.{name} must be at most {most}, got {value}")
        refuse(
            any(side < 32 or side % 32 for side in self.image_size),
            f"data.image_size must be multiples of 32, got {self.image_size}",
        )
        refuse(
            any(side < 32 or side % 32 for size in self.more_sizes for side in size),
            f"data.more_sizes must be multiples of 32, got {self.more_sizes}",
        )
        refuse(
            bool(self.more_sizes) and self.augment_on == "device",
            "data.more_sizes needs data.augment_on loader",
        )
        refuse(
            any(not 0 < weight < math.inf for _, weight in self.scene_weights),
            f"data.scene_weights must be positive numbers, got {self.scene_weights}",
        )
        refuse(not 0 <= self.degrade <= 1, f"data.degrade is a probability, got {self.degrade}")
        refuse(
            not self.frame_gaps or any(gap < 1 for gap in self.frame_gaps),
            f"data.frame_gaps must be whole numbers of at least 1, got {self.frame_gaps}",
        )
        refuse(
            any(gap < 1 for _, gap in self.scene_gaps),
            f"data.scene_gaps must be whole numbers of at least 1, got {self.scene_gaps}",
        )
        refuse(
            not self.least_baseline >= 0 or (self.least_baseline > 0 and self.poses == "none"),
            f"data.least_baseline must be at least 0, and needs data.poses tracked or file; got "
            f"{self.least_baseline} with data.poses {self.poses}",
        )
        refuse(not 0 <= self.flip <= 1, f"data.flip is a probability, got {self.flip}")
        refuse(
            not 0 <= self.colour_jitter <= 1,
            f"data.colour_jitter is a probability, got {self.colour_jitter}",
        )
        refuse(self.zoom < 1, f"data.zoom must be at least 1, got {self.zoom}")
        refuse(self.workers < 0, f"data.workers must be at least 0, got {self.workers}")
        for name in ("brightness", "contrast", "saturation"):
            value = getattr(self, name)
            refuse(not 0 <= value < 1, f"data.{name} must be in [0, 1), got {value}")
        refuse(not 0 <= self.hue <= 0.5, f"data.hue must be in [0, 0.5], got {self.hue}")
