"""Verbs that make data ready: prepare, doctor, track and label."""

import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from ssmde.console import counted

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


@dataclass(frozen=True, kw_only=True, slots=True)
class Doctor:
    """Say what stands in the way of training on DATA, with frame numbers and the remedy.

    Ends with 1 if something does.

    Example:
      ssmde doctor data
    """

    data: Positional[Annotated[Path, arg(metavar="DATA")]]
    """Folder of scene folders, or one scene folder."""
    split: Literal["train", "val", "test", "all"] = "all"
    """Part of DATA to look at."""
    quick: bool = False
    """A few seconds: some forty frames of at most eight scenes."""

    def run(self) -> None:
        """Look, print, and end with 1 where something is blocking."""
        from ssmde.diagnosis import doctor, is_blocking, print_findings

        findings = doctor(self.data, split=self.split, quick=self.quick)
        print_findings(findings)
        if is_blocking(findings):
            raise SystemExit(1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Track:
    """Find how the camera moved in each training scene, from its own frames.

    Each scene folder gets tracked_poses.txt, which data.poses tracked reads. Hand-held video, which
    is mostly rotation, needs it. Scenes that have the file are left alone. A scene without cam.txt
    gets one, if its video tells the focal length.

    Example:
      ssmde track data
    """

    data: Positional[Annotated[Path, arg(metavar="DATA")]]
    """Folder of scene folders, or one scene folder."""
    overwrite: bool = False
    """Track scenes again that have been."""
    threads: int = 0
    """CPU threads; 0 takes all, only 1 gives the same numbers each time."""
    seed: int = 0
    """Start of the random numbers."""

    def run(self) -> None:
        """Track, and say what was found in each scene."""
        from ssmde.track import track

        found = track(self.data, overwrite=self.overwrite, threads=self.threads, seed=self.seed)
        for scene in found:
            if scene.camera:
                print(f"{scene.scene}: camera found: {scene.camera.describe()}")
            print(
                f"{scene.scene}: motion of {scene.found} of {counted(scene.frames, 'frame')} in "
                f"{counted(scene.parts, 'part')}, {scene.error:.2f} pixels off"
            )
        print("next: ssmde train PRESET --data.poses tracked" if found else "nothing to track")


@dataclass(frozen=True, kw_only=True, slots=True)
class Label:
    """Write pseudo-depth for every frame, by a network or from files.

    Each scene folder gets pseudo_depth/FRAME.png and label.json. A stopped run goes on; a source
    comes with a licence of its own, which is printed.

    Example:
      ssmde label data --source depth-anything-v2
      ssmde label data --source leres --checkpoint res101.pth
      ssmde label data --source folder:labels --kind depth
    """

    data: Positional[Annotated[Path, arg(metavar="DATA")]]
    """Folder of scene folders, or one scene folder."""
    source: str = "depth-anything-v2"
    """depth-anything-v2, depth-anything-3, midas, leres, hf:MODEL, ssmde:WEIGHTS, grounded:WEIGHTS
    (of this video alone) or folder:PATH."""
    checkpoint: Annotated[Path | None, arg(metavar="FILE", help_behavior_hint="(for leres)")] = None
    """Weights of LeReS."""
    kind: Annotated[
        Literal["depth", "disparity"] | None,
        arg(help_behavior_hint="(for folder, and for hf where the model does not tell)"),
    ] = None
    """What the labels hold."""
    batch_size: int = 8
    """Frames that are labelled at once."""
    size: Annotated[
        tuple[int, int] | None,
        arg(metavar="HEIGHT WIDTH", help_behavior_hint="(default: the network's own choice)"),
    ] = None
    """Size the network sees, in pixels."""
    split: Literal["train", "val", "test", "all"] = "train"
    """Part of DATA to label."""
    overwrite: bool = False
    """Replace labels of another source."""
    device: Literal["auto", "cpu", "gpu"] = "auto"
    """Where to compute; auto is a GPU if there is one."""
    engine: Literal["local", "ray"] = "local"
    """This process, or all processors or GPUs of a Ray cluster."""

    def run(self) -> None:
        """Label, and say what became of the frames."""
        from ssmde.labeling import label

        arguments = {f.name: getattr(self, f.name) for f in fields(self)}
        found = label(**arguments)
        print(found)
        for reason in found.skipped:
            print(f"skipped: {reason}", file=sys.stderr)
