"""How the camera moved in a video, found in its own frames: `ssmde track`."""

from ssmde.tracking.scenes import Tracked, TrackedScenes, track

__all__ = ["Tracked", "TrackedScenes", "track"]
