"""Public data sets: readers of their official archives, and the protocols they are measured by."""

from collections.abc import Callable
from dataclasses import dataclass

from ssmde.console import did_you_mean
from ssmde.datasets.ddad import index_ddad
from ssmde.datasets.kitti import index_kitti_odometry, index_kitti_raw
from ssmde.datasets.nyuv2 import index_nyuv2
from ssmde.datasets.record import Archive
from ssmde.datasets.tum_bonn import index_bonn, index_tum
from ssmde.metrics.depth import Crop, Protocol

__all__ = ["DATASETS", "PROTOCOLS", "Dataset", "find_protocol"]

KITTI = Protocol(
    name="kitti", min_depth=0.1, max_depth=80.0,
    crop=Crop(top=0.40810811, bottom=0.99189189, left=0.03594771, right=0.96405229),
    note="Eigen split, crop of Garg et al., ECCV 2016; some codes start at 0.001 m",
)  # fmt: skip
NYUV2 = Protocol(
    name="nyuv2", min_depth=0.1, max_depth=10.0,
    crop=Crop(top=45.0, bottom=471.0, left=41.0, right=601.0, of=(480, 640)),
    note="654 labelled test images, crop of Eigen et al., NeurIPS 2014",
)  # fmt: skip
DDAD = Protocol(name="ddad", min_depth=0.1, max_depth=200.0, note="Guizilini et al., CVPR 2020")
BONN = Protocol(name="bonn", min_depth=0.1, max_depth=10.0, note="as SC-DepthV3, TPAMI 2023")
TUM = Protocol(name="tum", min_depth=0.1, max_depth=10.0, note="as SC-DepthV3, TPAMI 2023")
GENERIC = Protocol(
    name="generic", min_depth=0.1, max_depth=1000.0,
    note="own recordings: no crop, and a cap that cuts nothing a camera sees",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Dataset:
    """A public data set."""

    index: Callable[..., Archive]
    """Reads what lies in a folder: `index(root, lists=...)`; KITTI raw takes more."""
    protocol: Protocol


DATASETS = {
    "kitti_raw": Dataset(index=index_kitti_raw, protocol=KITTI),
    "kitti_odometry": Dataset(index=index_kitti_odometry, protocol=KITTI),
    "nyuv2": Dataset(index=index_nyuv2, protocol=NYUV2),
    "ddad": Dataset(index=index_ddad, protocol=DDAD),
    "bonn": Dataset(index=index_bonn, protocol=BONN),
    "tum": Dataset(index=index_tum, protocol=TUM),
}
PROTOCOLS = {p.name: p for p in (*(d.protocol for d in DATASETS.values()), GENERIC)}


def find_protocol(name: str) -> Protocol:
    """The protocol of that name; a ValueError names the closest one."""
    if name in PROTOCOLS:
        return PROTOCOLS[name]
    raise ValueError(f"unknown protocol {name!r}: {did_you_mean(name, PROTOCOLS)}")
