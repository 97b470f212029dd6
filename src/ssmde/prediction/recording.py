"""A recording for the rerun viewer: camera, frame and depth over time."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from ssmde.data.images import whole_file
from ssmde.prediction.shot import Shot

INSTALL = "pip install 'ssmde[rerun]'"
ENTITY = "camera"
JPEG_QUALITY = 85


@contextmanager
def write_recording(
    path: Path, fps: float, sound_of: Path | None = None
) -> Generator[Callable[[Shot], None]]:
    """Function that appends a shot to a recording (.rrd): pinhole, picture, depth, confidence.

    The axes are those of the camera: x right, y down, z forward, which the viewer is told.

    Args:
        path: File to write; its folder exists.
        fps: Frames a second, for frames without a time.
        sound_of: Not used: a recording has no sound.

    Raises:
        ImportError: If the extra `rerun` is not installed.
    """
    try:
        import rerun
    except ImportError as error:
        raise ImportError(f"recordings need rerun: {INSTALL}") from error
    with whole_file(path) as part:
        recording = rerun.RecordingStream("ssmde", recording_id=path.stem)
        recording.save(str(part))
        count = 0

        def append(shot: Shot) -> None:
            nonlocal count
            recording.set_time("frame", sequence=count)
            recording.set_time("video", duration=count / fps if shot.time is None else shot.time)
            height, width = shot.depth.shape
            if shot.intrinsics is not None:
                pinhole = rerun.Pinhole(
                    image_from_camera=shot.intrinsics, width=width, height=height,
                    camera_xyz=rerun.ViewCoordinates.RDF,
                )  # fmt: skip
                recording.log(ENTITY, pinhole)
            picture = rerun.Image(shot.pixels).compress(jpeg_quality=JPEG_QUALITY)
            recording.log(f"{ENTITY}/image", picture)
            recording.log(f"{ENTITY}/depth", rerun.DepthImage(shot.depth, meter=1.0))
            if shot.confidence is not None:
                recording.log(f"{ENTITY}/confidence", rerun.Image(shot.confidence))
            count += 1

        try:
            yield append
        finally:
            recording.flush()
            recording.disconnect()
