"""The published cameras of TUM RGB-D and Bonn RGB-D Dynamic, and what turns Bonn's poses."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True, kw_only=True, slots=True)
class RgbdCamera:
    """A published calibration, in pixels of 640 x 480."""

    fx: float
    fy: float
    cx: float
    cy: float
    distortion: tuple[float, ...] = ()
    """Lens distortion k1 k2 p1 p2 k3, if the images are not free of it."""

    def matrix(self) -> Float[np.ndarray, "3 3"]:
        """Pinhole matrix, in pixels."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1]])

    def note(self) -> str:
        """What to know about the lens."""
        if not self.distortion:
            return "no lens distortion"
        numbers = " ".join(f"{number:g}" for number in self.distortion)
        return f"lens distortion k1 k2 p1 p2 k3 = {numbers} is not removed"


IMAGE_SIZE = (480, 640)  # all cameras below are for this size

# cvg.cit.tum.de/data/datasets/rgbd-dataset/file_formats, colour cameras; freiburg3 is undistorted.
TUM_CAMERAS = {
    "freiburg1": RgbdCamera(
        fx=517.3,
        fy=516.5,
        cx=318.6,
        cy=255.3,
        distortion=(0.2624, -0.9531, -0.0054, 0.0026, 1.1633),
    ),
    "freiburg2": RgbdCamera(
        fx=520.9,
        fy=521.0,
        cx=325.1,
        cy=249.7,
        distortion=(0.2312, -0.7849, -0.0033, -0.0001, 0.9172),
    ),
    "freiburg3": RgbdCamera(fx=535.4, fy=539.2, cx=320.1, cy=247.6),
}
ROS_DEFAULT = RgbdCamera(fx=525.0, fy=525.0, cx=319.5, cy=239.5)
TUM_LICENCE = "CC BY 4.0"
TUM_PAPER = "TUM RGB-D (Sturm et al., IROS 2012)"

# ipb.uni-bonn.de/data/rgbd-dynamic-dataset
BONN_CAMERA = RgbdCamera(
    fx=542.822841,
    fy=542.576870,
    cx=315.593520,
    cy=237.756098,
    distortion=(0.039903, -0.099343, -0.000730, -0.000144, 0.0),
)
BONN_LICENCE = "research use, cite"
BONN_PAPER = "Bonn RGB-D Dynamic (Palazzolo et al., IROS 2019)"
T_ROS = np.array([[-1.0, 0, 0, 0], [0, 0, 1.0, 0], [0, 1.0, 0, 0], [0, 0, 0, 1.0]])
T_MARKERS = np.array(
    [
        [1.0157, 0.1828, -0.2389, 0.0113],
        [0.0009, -0.8431, -0.6413, -0.0098],
        [-0.3009, 0.6147, -0.8085, 0.0111],
        [0.0, 0.0, 0.0, 1.0],
    ]
)
BONN_SCALE = float(np.cbrt(np.linalg.det(T_MARKERS[:3, :3])))  # 1.0593


def bonn_poses(markers: Float[np.ndarray, "n 4 4"]) -> Float[np.ndarray, "n 4 4"]:
    """Camera to world, rigid, in metres of the depth sensor, of Bonn's groundtruth.txt.

    The file holds poses of markers on the sensor in the frame of the motion capture. The site gives
    the full motion T = T_ros T_file T_ros T_m. The rotation in T_m is 1.0593 times a rotation: what
    the sensor calls 1 m is 1.0593 m of the motion capture. The rigid motion that fits the sensor's
    depth has T's rotation without that scale, and T's translation divided by it
    (https://www.ipb.uni-bonn.de/data/rgbd-dynamic-dataset).

    Args:
        markers: Poses of groundtruth.txt, in metres of the motion capture.
    """
    left, _, right = np.linalg.svd(T_MARKERS[:3, :3])
    T_marker_camera = T_MARKERS.copy()
    T_marker_camera[:3, :3] = left @ right
    poses = T_ROS @ markers @ T_ROS @ T_marker_camera
    poses[:, :3, 3] /= BONN_SCALE
    return poses


@dataclass(frozen=True, kw_only=True, slots=True)
class SequenceFacts:
    """What is known about a sequence beside its files."""

    camera: RgbdCamera
    source: str
    licence: str
    moves_markers: bool = False
    """True if the poses are those of Bonn's markers."""


def tum_facts(name: str) -> SequenceFacts:
    """What is known about a TUM sequence of this name."""
    known = [camera for key, camera in TUM_CAMERAS.items() if key in name]
    camera = known[0] if known else ROS_DEFAULT
    note = camera.note() if known else "ROS' default camera: the name says no freiburg1, 2 or 3"
    return SequenceFacts(camera=camera, source=f"{TUM_PAPER}, {name}; {note}", licence=TUM_LICENCE)


def bonn_facts(name: str) -> SequenceFacts:
    """What is known about a Bonn sequence of this name."""
    return SequenceFacts(
        camera=BONN_CAMERA,
        source=f"{BONN_PAPER}, {name}; {BONN_CAMERA.note()}",
        licence=BONN_LICENCE,
        moves_markers=True,
    )
