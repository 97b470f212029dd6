"""Drawn traffic: the camera stands, then drives behind cars that are as fast as it is."""

from dataclasses import replace

import numpy as np

from ssmde.data.sequence import from_hfov
from ssmde.synthetic import DrawnClip, poses
from ssmde.synthetic.raycast import render
from ssmde.synthetic.scene import Track
from streets import LANE, car, crossings, street

STANDS = 12  # frames
SIZE = (120, 160)
PLACES = ((LANE, 0.0), (0.3 - LANE, 1.0), (LANE, 8.0))  # of the cars: metres to the right, ahead


def draw_traffic(
    cars: int, *, seed: int, distance: float, step: float, frames=44, size=SIZE
) -> DrawnClip:
    """The camera stands 12 frames, then drives `step` metres a frame; the cars keep `distance`."""
    frame = np.arange(frames + 1)
    ahead = np.cumsum(np.clip((frame - STANDS) / 6, 0, 1) * step)
    sway, height, still = np.sin(ahead / 6), np.full_like(ahead, -1.6), np.zeros_like(ahead)
    T_world_cam = poses(
        np.stack([LANE + 0.1 * sway, height, ahead], 1),
        np.stack([0.5 * np.sin(ahead / 5), still, still], 1),
    )
    rng = np.random.default_rng([seed, 0])
    at = crossings(rng, ahead[-1] + 80)
    scene = street(rng, float(ahead[-1]), at)
    for number, (x, farther) in enumerate(PLACES[:cars]):
        place = np.stack([still + x, still, ahead + distance + farther], 1)
        track = Track(times=frame / 10, positions=place, headings=still)
        body = car(np.random.default_rng([seed, 3, number]), track)
        scene = replace(scene, bodies=(*scene.bodies, body))
    K = from_hfov(size, 65.0)
    seen = [render(scene, T, K, size, i / 10) for i, T in enumerate(T_world_cam[:frames])]
    return DrawnClip(
        source="drawn: traffic", fps=10.0, images=np.stack([one.image for one in seen]),
        depth=np.stack([one.depth for one in seen]), poses=T_world_cam[:frames], intrinsics=K,
        motion_mask=np.stack([one.moving for one in seen]),
    )  # fmt: skip
