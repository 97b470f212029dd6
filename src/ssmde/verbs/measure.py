"""Verbs that hold a trained network against the world: scale, odometry and benchmark."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """Find how many metres a scene unit is, and store it with the weights.

    Metres come from one of: the height of the camera, its speed, its poses, or measured points.
    Then ssmde predict writes depth in metres.

    Example:
      ssmde scale runs/ss_mde data --camera-height 1.65
      ssmde scale runs/ss_mde data --poses
      ssmde scale runs/ss_mde --points points.csv
    """

    weights: Positional[Annotated[Path, arg(metavar="WEIGHTS")]]
    """Weights file, folder of a run, hf:OWNER/NAME or a released name; the last two with --out."""
    data: Positional[
        Annotated[Path | None, arg(metavar="DATA", help_behavior_hint="(not with --points)")]
    ] = None
    """Folder of scene folders, or one scene folder."""
    camera_height: Annotated[float | None, arg(metavar="M", help_behavior_hint="")] = None
    """Height of the camera over the ground it sees, in metres."""
    speed: Annotated[float | None, arg(metavar="M/S", help_behavior_hint="")] = None
    """Mean speed of the camera, in metres a second."""
    poses: bool = False
    """The scenes have poses.txt, in metres."""
    points: Annotated[Path | None, arg(metavar="FILE", help_behavior_hint="")] = None
    """Lines image,u,v,metres: pixels whose depth was measured; images lie beside FILE."""
    split: Literal["train", "val", "test", "all"] = "all"
    """Part of DATA to look at."""
    max_frames: int = 100
    """Look at most at so many frames, evenly spread."""
    out: Annotated[
        Path | None, arg(metavar="FILE", help_behavior_hint="(default: WEIGHTS itself)")
    ] = None
    """Weights file to write."""

    def run(self) -> None:
        """Find it, store it, and print it with its error bar."""
        from ssmde.evaluation import scale

        found = scale(
            self.weights,
            self.data,
            camera_height=self.camera_height,
            speed=self.speed,
            poses=self.poses,
            points=self.points,
            split=self.split,
            max_frames=self.max_frames,
            out=self.out,
        )
        print(found)


@dataclass(frozen=True, kw_only=True, slots=True)
class Odometry:
    """Measure the path of the camera, by the pose network or as tracked, against the true one.

    Prints ATE and RPE under each alignment; OUT gets odometry.json and a picture of each path.

    Example:
      ssmde odometry runs/ss_mde data
      ssmde odometry tracked data
    """

    source: Positional[Annotated[str, arg(metavar="WEIGHTS")]]
    """Weights file or folder of a run, whose pose network is asked; or the word tracked, for the
    tracked_poses.txt of the scenes."""
    data: Positional[Annotated[Path, arg(metavar="DATA")]]
    """Folder of scene folders with poses.txt, or one scene folder."""
    split: Literal["train", "val", "test", "all"] = "all"
    """Part of DATA to measure."""
    out: Path = Path("odometry")
    """Folder for the files."""

    def run(self) -> None:
        """Measure, print and write."""
        from ssmde.evaluation import odometry

        print(odometry(self.source, self.data, split=self.split, out=self.out))


@dataclass(frozen=True, kw_only=True, slots=True)
class Benchmark:
    """Measure several methods on the images of a published table, beside the published figures.

    A method is weights, a run, or a folder of predictions named like the frames: png16, npz or npy.

    Example:
      ssmde benchmark kitti data runs/ss_mde theirs=predictions/theirs
    """

    name: Positional[
        Annotated[Literal["kitti", "nyuv2", "ddad", "bonn", "tum"], arg(metavar="TABLE")]
    ]
    """Which table: kitti, nyuv2, ddad, bonn or tum."""
    data: Positional[Annotated[Path, arg(metavar="DATA")]]
    """Folder of scene folders, as ssmde prepare --dataset makes it."""
    methods: Positional[Annotated[tuple[str, ...], arg(metavar="METHOD")]]
    """PATH, or NAME=PATH."""
    split: Annotated[
        Literal["train", "val", "test", "all"] | None,
        arg(help_behavior_hint="(default: that of the table)"),
    ] = None
    """Part of DATA to measure."""
    align: Annotated[
        Literal["median", "median-dataset", "least-squares", "none"] | None,
        arg(help_behavior_hint="(default: median)"),
    ] = None
    """How the unknown scale of a prediction is found."""
    kind: Literal["depth", "disparity"] = "depth"
    """What folders of predictions hold."""
    max_frames: Annotated[int | None, arg(help_behavior_hint="(default: all)")] = None
    """Measure at most so many frames, evenly spread."""
    out: Path = Path("benchmark")
    """Folder for the files."""
    trust: bool = False
    """You made all weights yourself: open them though they can run code (.pt2), or name an encoder
    for which the Hugging Face hub has to be asked."""

    def run(self) -> None:
        """Measure, print and write."""
        from ssmde.evaluation import benchmark

        found = benchmark(
            self.name,
            self.data,
            self.methods,
            split=self.split,
            align=self.align,
            kind=self.kind,
            max_frames=self.max_frames,
            out=self.out,
            trust=self.trust,
        )
        print(found)
