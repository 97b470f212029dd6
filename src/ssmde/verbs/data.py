"""Verbs that make data ready: prepare, doctor, track and label."""

import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

# Options of `prepare` by what they are for.
OF_VIDEO = ("step", "least_motion", "fewest_frames", "intrinsics", "hfov_degrees", "name")
OF_ARCHIVES = ("train_list", "val_list", "test_list", "improved", "truth")
OF_PACKING = ("size", "codec")
OF_FRAMES = ("width", "quality")
OF_ALL = ("source", "out", "overwrite")


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepare:
    """Turn a video, images, or the official archive of a data set into scene folders.

    Of a video the frames that move and are sharp are kept, and cuts split it: the scenes become
    OUT/NAME or OUT/NAME-1, OUT/NAME-2 ... Without a known camera they have no cam.txt.
    With --pack scene folders become shards near training size, for fast or far away reading.

    Example:
      ssmde prepare walk.mp4 data --hfov-degrees 65 --width 640
      ssmde prepare kitti data --dataset kitti_raw --test-list eigen_test.txt
      ssmde prepare data packed --pack --size 256 320
    """

    source: Positional[Annotated[Path, arg(metavar="SOURCE")]]
    """Video, image, folder of either, or quoted pattern such as 'shots/*.jpg'; with --dataset the
    folder the archives were unpacked to, with --pack the folder of scene folders."""
    out: Positional[Annotated[Path, arg(metavar="OUT")]]
    """Data folder; each scene becomes a folder in it, or with --pack a part of shards."""
    step: Annotated[int | None, arg(help_behavior_hint="(default: chosen by motion)")] = None
    """Take every so many-th frame, moved or not."""
    least_motion: float = 0.005
    """The image moves so far from one kept frame to the next, as a share of its width."""
    fewest_frames: int = 10
    """A scene with fewer is dropped."""
    intrinsics: Annotated[
        tuple[float, float, float, float] | None,
        arg(metavar="FX FY CX CY", help_behavior_hint="(default: from the file, or unknown)"),
    ] = None
    """Focal lengths and principal point, in pixels of the upright frames of SOURCE."""
    hfov_degrees: Annotated[
        float | None, arg(help_behavior_hint="(default: from the file, or unknown)")
    ] = None
    """Instead: horizontal field of view of the upright frames."""
    width: Annotated[int | None, arg(help_behavior_hint="(default: as they are)")] = None
    """Resize the frames to this width, in pixels; their shape stays."""
    name: Annotated[str | None, arg(help_behavior_hint="(default: that of SOURCE)")] = None
    """Name of the scene."""
    quality: int = 95
    """JPEG quality, 1 to 100."""
    overwrite: bool = False
    """Replace scenes or shards that ssmde made of something else; files of yours stay."""
    dataset: Annotated[
        Literal["kitti_raw", "kitti_odometry", "nyuv2", "ddad", "bonn", "tum"] | None,
        arg(help_behavior_hint="(default: none, SOURCE is your own)"),
    ] = None
    """SOURCE holds this data set, as its official archives unpack."""
    train_list: Annotated[
        Path | None, arg(metavar="FILE", help_behavior_hint="(with --dataset)")
    ] = None
    """Published list of what is for training."""
    val_list: Annotated[Path | None, arg(metavar="FILE", help_behavior_hint="(with --dataset)")] = (
        None
    )
    """The same for validation."""
    test_list: Annotated[
        Path | None, arg(metavar="FILE", help_behavior_hint="(with --dataset)")
    ] = None
    """The same for testing."""
    improved: Annotated[
        Path | None, arg(metavar="FOLDER", help_behavior_hint="(for kitti_raw)")
    ] = None
    """Folder data_depth_annotated, whose depth takes the place of the scans."""
    truth: Annotated[
        Literal["eigen", "camera"], arg(help_behavior_hint="(for kitti_raw, default: eigen)")
    ] = "eigen"
    """Depth of scans as the published evaluation has it, or exact for the camera."""
    pack: bool = False
    """SOURCE holds scene folders: pack them."""
    size: Annotated[
        tuple[int, int] | None,
        arg(metavar="HEIGHT WIDTH", help_behavior_hint="(with --pack)"),
    ] = None
    """Size of the packed training frames, in pixels: that of the training."""
    codec: Annotated[
        Literal["raw", "jpeg"], arg(help_behavior_hint="(with --pack, default: raw)")
    ] = "raw"
    """Packed frames: exact and fastest, or a tenth of the size."""

    def run(self) -> None:
        """Write the scenes and say where they are, and what was left out."""
        given = [f.name for f in fields(self) if getattr(self, f.name) != f.default]
        if self.pack:
            self._pack(given)
            return
        refused = OF_VIDEO if self.dataset else OF_ARCHIVES
        for name in given:
            option = f"--{name.replace('_', '-')}"
            if name in OF_PACKING:
                raise ValueError(f"{option} does not go without --pack")
            if name in refused:
                raise ValueError(
                    f"{option} does not go with{'' if self.dataset else 'out'} --dataset"
                )
        both = {name: getattr(self, name) for name in (*OF_ALL, *OF_FRAMES)}
        if self.dataset is None:
            from ssmde.preparation import prepare

            print(prepare(**both, **{name: getattr(self, name) for name in OF_VIDEO}))
            return
        from ssmde.preparation import prepare_dataset
        from ssmde.preparation.archives import report

        paths = {"train": self.train_list, "val": self.val_list, "test": self.test_list}
        written = prepare_dataset(
            self.dataset,
            **both,
            lists={part: path for part, path in paths.items() if path is not None},
            improved=self.improved,
            truth=self.truth,
        )
        print(report(written))

    def _pack(self, given: list[str]) -> None:
        """Pack scene folders and say what became of them."""
        for name in given:
            if name not in ("pack", *OF_ALL, *OF_PACKING):
                raise ValueError(f"--{name.replace('_', '-')} does not go with --pack")
        if self.size is None:
            raise ValueError("--pack needs --size HEIGHT WIDTH: data.image_size of the training")
        from ssmde.preparation import pack

        packed = pack(
            self.source, self.out, size=self.size, codec=self.codec, overwrite=self.overwrite
        )
        print(packed)
        for reason in packed.skipped:
            print(f"skipped: {reason}", file=sys.stderr)
