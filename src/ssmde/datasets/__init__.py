"""Public data sets: readers of their official archives, and the protocols they are measured by."""

from collections.abc import Callable, Mapping

from ssmde.console import did_you_mean
from ssmde.datasets.ddad import index_ddad
from ssmde.datasets.kitti import index_kitti_odometry, index_kitti_raw
from ssmde.datasets.nyuv2 import index_nyuv2
from ssmde.datasets.record import Archive
from ssmde.datasets.tum_bonn import index_bonn, index_tum
from ssmde.metrics.depth import Crop, Protocol

__all__ = ["DATASETS", "PROTOCOLS", "find_protocol"]

DATASETS: Mapping[str, Callable[..., Archive]] = {
    "kitti_raw": index_kitti_raw, "kitti_odometry": index_kitti_odometry, "nyuv2": index_nyuv2,
    "ddad": index_ddad, "bonn": index_bonn, "tum": index_tum,
}  # fmt: skip
"""What lies in a folder: `reader(root, lists=...)`; that of KITTI raw takes more."""
PROTOCOLS = {protocol.name: protocol for protocol in (
    Protocol(
        name="kitti", min_depth=0.1, max_depth=80.0,
        crop=Crop(top=0.40810811, bottom=0.99189189, left=0.03594771, right=0.96405229),
        note="Eigen split, crop of Garg et al., ECCV 2016; some codes start at 0.001 m",
    ),
    Protocol(
        name="nyuv2", min_depth=0.1, max_depth=10.0,
        crop=Crop(top=45.0, bottom=471.0, left=41.0, right=601.0, of=(480, 640)),
        note="654 labelled test images, crop of Eigen et al., NeurIPS 2014",
    ),
    Protocol(name="ddad", min_depth=0.1, max_depth=200.0, note="Guizilini et al., CVPR 2020"),
    Protocol(name="bonn", min_depth=0.1, max_depth=10.0, note="as SC-DepthV3, TPAMI 2023"),
    Protocol(name="tum", min_depth=0.1, max_depth=10.0, note="as SC-DepthV3, TPAMI 2023"),
    Protocol(
        name="generic", min_depth=0.1, max_depth=1000.0,
        note="own recordings: no crop, and a cap that cuts nothing a camera sees",
    ),
)}  # fmt: skip


def find_protocol(name: str) -> Protocol:
    """The protocol of that name; a ValueError names the closest one."""
    if name in PROTOCOLS:
        return PROTOCOLS[name]
    raise ValueError(f"unknown protocol {name!r}: {did_you_mean(name, PROTOCOLS)}")
