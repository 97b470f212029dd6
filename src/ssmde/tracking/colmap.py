"""COLMAP as `ssmde track` runs it: the parts of a film that it reconstructs, and their camera.

COLMAP (Schönberger and Frahm, CVPR 2016) with its global mapper GLOMAP (Pan et al., ECCV 2024,
https://arxiv.org/abs/2407.20219). Its pixel centers lie at a half, ours at whole numbers.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np

from ssmde.console import import_extra
from ssmde.data.motion import turn_degrees
from ssmde.data.scene_files import read_scene_info, write_intrinsics, write_scene_info
from ssmde.data.sequence import FrameSequence
from ssmde.outputs import adding_to, recorded
from ssmde.signals import signals_wait

FEATURES = 2000  # keypoints an image
POINTS = 200  # that each image has to see where only the camera is looked for
ROUNDS = 100  # of bundle adjustment there
OVERLAP = 12  # neighbors that an image is matched to, and then those at doubling distance
LINKED = 0.1  # of the usual number of points that the two sides of a place have in common
LEAP, LOOSE = 4.0, 0.35  # times the usual step; of the usual number of points of two neighbors
JERK, SPIN, SLACK = 3.0, 2.0, 0.75  # times the step and turn around there; of the usual points
SHARP = 3.0  # degrees that a turn is more than those around it
AROUND = 6  # steps to either side

# A focal length is asked of all frames, of every second one, and of the others, from starts below
# and above it: where the video does not tell it, each stays where it began (decision 13).
START = 0.8  # first focal length of all frames, in longer sides: 64 degrees, a phone's main camera
BELOW, ABOVE = 0.5, 1.25  # first focal lengths of the two halves: 90 and 44 degrees
FIELD_OF_VIEW = (20.0, 120.0)  # degrees across the longer side; what is outside is not believed
FEWEST = 10  # frames that have to be connected
SEEN = 15  # points that each of them has to see in the mean; COLMAP's own least for two images
AGREE = 0.1  # of the focal length: how far the three may be from each other

Points = list[tuple[Any, Any]]
"""For each frame of a part: image points (n, 2), in pixels, and their depth (n,)."""
Part = tuple[Any, Any, Points, float]
"""Indices of the frames, their camera-to-world matrices, points, median error in pixels."""


class Pair(NamedTuple):
    """Verified matches of two frames, kept by the reconstruction or not."""

    first: int  # place of the earlier frame
    second: int  # place of the later one
    before: Any  # where each sees them (m, 2), in focal lengths from the principal point,
    after: Any  # lens distortion taken out

    @property
    def motion(self) -> Any:
        """How far each moves in the image (m,)."""
        return np.linalg.norm(self.after - self.before, axis=1)


class Refined(NamedTuple):
    """What a reconstruction says about its camera."""

    frames: int  # that it connects
    seen: int  # number of times that any of its points is seen in a frame
    focal: float  # length, in pixels


def load_colmap(seed: int) -> Any:
    """Pycolmap, quiet, with these random numbers; or an ImportError."""
    with signals_wait():  # its log library prints a stack at SIGTERM and dies
        colmap = import_extra("pycolmap", "`ssmde track`", "ssmde[motion]")
    if not hasattr(colmap, "global_mapping"):
        raise ImportError(
            f"`ssmde track` needs pycolmap 4 or later, found {colmap.__version__}: "
            "pip install 'ssmde[motion]'"
        )
    # COLMAP tells each step to stderr; our bar says what matters
    colmap.logging.minloglevel = colmap.logging.Level.FATAL.value
    colmap.logging.logtostderr = sys.flags.verbose > 0
    colmap.set_random_seed(seed)
    return colmap


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Piece:
    """Frames that are solved together."""

    colmap: Any  # pycolmap
    threads: int  # of the CPU; -1 for all
    seed: int  # of the random numbers
    scene: FrameSequence
    database: Path  # for their features and matches
    advance: Callable[[str], None]  # hears of each stage that is done

    @property
    def names(self) -> list[str]:
        """Files of the frames."""
        return [file.name for file in self.scene.images]

    def fill(self, guess: float | None = None) -> None:
        """Keypoints of every frame and their matches, into a new database.

        Its camera is that of the scene; with a `guess` of the focal length it has square pixels.
        """
        reader = self.colmap.ImageReaderOptions()
        reader.camera_model, reader.camera_params = _camera(self.scene, guess)
        extraction = self.colmap.FeatureExtractionOptions()
        extraction.num_threads, extraction.use_gpu = self.threads, False
        extraction.sift.max_num_features = FEATURES
        self.colmap.extract_features(
            self.database, self.scene.images[0].parent, image_names=self.names,
            camera_mode=self.colmap.CameraMode.SINGLE,
            reader_options=reader, extraction_options=extraction,
        )  # fmt: skip
        if guess is not None:
            self.set_focal(guess, known=False)
        self.advance("features")
        matching = self.colmap.FeatureMatchingOptions()
        matching.num_threads, matching.use_gpu = self.threads, False
        pairing = self.colmap.SequentialPairingOptions()
        pairing.overlap, pairing.quadratic_overlap = OVERLAP, True
        self.colmap.match_sequential(
            self.database, matching_options=matching, pairing_options=pairing
        )
        self.advance("matches")

    def set_focal(self, focal: float, *, known: bool) -> None:
        """A focal length, in pixels, to start from; or a known one, with the inliers that fit."""
        with self.colmap.Database.open(self.database) as opened:
            for camera in opened.read_all_cameras():
                camera.params = [focal, *list(camera.params)[1:]]
                camera.has_prior_focal_length = known
                opened.update_camera(camera)
            if known:
                opened.clear_two_view_geometries()
        if known:
            options = self.colmap.GeometricVerifierOptions()
            options.num_threads = self.threads
            self.colmap.geometric_verification(self.database, verifier_options=options)

    def read_pairs(self) -> tuple[list[Pair], float]:
        """Verified matches of all pairs of frames, and the focal length, in pixels."""
        with self.colmap.Database.open(self.database) as opened:
            (camera,) = opened.read_all_cameras()
            places = {name: i for i, name in enumerate(self.names)}
            images = {image.image_id: places[image.name] for image in opened.read_all_images()}
            rays = {
                i: camera.cam_from_img(opened.read_keypoints(i)[:, :2].astype(np.float64))
                for i in images
            }
            pairs: list[Pair] = []
            for number, geometry in zip(*opened.read_two_view_geometries(), strict=True):
                ids, matches = self.colmap.pair_id_to_image_pair(number), geometry.inlier_matches
                seen = [(images[i], rays[i][matches[:, k]]) for k, i in enumerate(ids)]
                (first, before), (second, after) = sorted(seen, key=lambda one: one[0])
                pairs.append(Pair(first, second, before, after))
        return pairs, float(camera.focal_length_x)

    def reconstruct(self, names: Sequence[str], *, refine_focal: bool = False) -> list[Any]:
        """Reconstructions of the frames with these file names, largest first."""
        options = self.colmap.GlobalPipelineOptions()
        options.num_threads = options.mapper.num_threads = self.threads
        options.random_seed = options.mapper.random_seed = self.seed
        adjustment = options.mapper.bundle_adjustment
        adjustment.refine_focal_length, adjustment.refine_extra_params = refine_focal, False
        options.image_names = list(names)
        if refine_focal:  # for one number fewer points tell as much, in a fraction of the time
            options.mapper.track_required_tracks_per_view = POINTS
            options.mapper.skip_retriangulation = True
            adjustment.ceres.solver_options.max_num_iterations = ROUNDS
        with TemporaryDirectory(prefix="ssmde-map-") as scratch:
            models = self.colmap.global_mapping(self.database, scratch, scratch, options=options)
        return sorted(models.values(), key=lambda model: -model.num_reg_images())

    def refine(self, names: Sequence[str], start: float) -> Refined:
        """The largest reconstruction of these frames, its focal length refined from a start."""
        self.set_focal(start, known=False)
        for model in self.reconstruct(names, refine_focal=True):
            (camera,) = model.cameras.values()
            seen = model.compute_num_observations()
            return Refined(model.num_reg_images(), seen, float(camera.focal_length_x))
        return Refined(0, 0, float("nan"))


def _camera(scene: FrameSequence, guess: float | None) -> tuple[str, str]:
    """COLMAP's name and numbers for a camera; a known one with the distortion scene.json tells."""
    height, width = scene.image_size
    if guess is not None:
        return "SIMPLE_PINHOLE", f"{guess:.9g},{width / 2:.9g},{height / 2:.9g}"
    K = scene.intrinsics
    assert K is not None
    numbers = [K[0, 0], K[1, 1], K[0, 2] + 0.5, K[1, 2] + 0.5]
    bent = read_scene_info(scene.images[0].parent / "scene.json").get("distortion_k1k2p1p2k3")
    numbers += list(bent)[:4] if bent else []
    return ("OPENCV" if bent else "PINHOLE"), ",".join(f"{number:.9g}" for number in numbers)


def find_parts(model: Any, names: Sequence[str]) -> list[Part]:
    """The parts of one reconstruction, in units of the median depth of their points."""
    places = {name: i for i, name in enumerate(names)}
    xyz = {key: point.xyz for key, point in model.points3D.items()}
    images = {places[image.name]: image for image in model.images.values() if image.has_pose}
    where = np.array(sorted(images))
    rows = [images[i].cam_from_world().matrix() for i in where.tolist()]
    T_cam_world = np.array([np.vstack([row, (0, 0, 0, 1)]) for row in rows])
    T_world_cam = np.linalg.inv(T_cam_world)
    points: Points = []
    ids: list[list[int]] = []
    for i, T in zip(where.tolist(), T_cam_world, strict=True):
        seen = [p for p in images[i].points2D if p.has_point3D()]
        ids.append([p.point3D_id for p in seen])
        # Pixel centers of COLMAP lie at a half.
        pixels = np.array([p.xy for p in seen]).reshape(-1, 2) - 0.5
        X = np.array([xyz[key] for key in ids[-1]]).reshape(-1, 3)
        points.append((pixels, X @ T[2, :3] + T[2, 3]))
    steps = np.linalg.norm(np.diff(T_world_cam[:, :3, 3], axis=0), axis=1)
    turns = [turn_degrees(b @ a.T) for a, b in pairwise(T_cam_world[:, :3, :3])]
    cuts = find_cuts([set(keys) for keys in ids], steps.tolist(), turns)
    error = float(np.median([point.error for point in model.points3D.values()]))
    parts: list[Part] = []
    for a, b in pairwise([0, *cuts, len(where)]):
        if b - a > 1:
            unit = np.median(np.concatenate([depth for _, depth in points[a:b]]))
            T_world_cam[a:b, :3, 3] /= unit
            own = [(pixels, depth / unit) for pixels, depth in points[a:b]]
            parts.append((where[a:b], T_world_cam[a:b], own, error))
    return parts


def find_cuts(
    seen: Sequence[set[int]], steps: Sequence[float], turns: Sequence[float]
) -> list[int]:
    """Places k where little ties the frames from k on to those before: a cut of the film.

    Across a cut nothing tells how large the one side is beside the other. It is where the two sides
    have hardly a point in common, or where the camera leaps and few points go along, or where it
    leaps and spins and some points are lost: a sharp corner that came out wrong.

    `seen` are the numbers of the points that each frame sees, in the order of time; `steps` and
    `turns` how far the camera goes and turns, in degrees, between neighboring frames, one fewer.
    """
    if len(seen) < 2:
        return []
    places = range(1, len(seen))
    near = np.array([len(seen[k - 1] & seen[k]) for k in places])
    sides = ((seen[max(0, k - OVERLAP) : k], seen[k : k + OVERLAP]) for k in places)
    wide = np.array([len(set[int]().union(*a) & set[int]().union(*b)) for a, b in sides])
    usual = _around(turns)
    leaps = np.array(steps) > LEAP * np.median(steps)
    jerks = np.array(steps) > JERK * _around(steps)
    spins = (np.array(turns) > SPIN * usual) & (np.array(turns) > usual + SHARP)
    cut = wide < LINKED * np.median(wide)
    cut |= leaps & (near < LOOSE * np.median(near))
    cut |= jerks & spins & (near < SLACK * np.median(near))
    return (np.flatnonzero(cut) + 1).tolist()


def _around(values: Sequence[float]) -> Any:
    """The median of each value and its neighbors (n,)."""
    n = range(len(values))
    return np.array([np.median(values[max(0, k - AROUND) : k + AROUND + 1]) for k in n])


class FoundCamera(NamedTuple):
    """A camera with square pixels and the principal point in the middle, found in a video."""

    focal: float  # length, in pixels of the images
    spread: float  # how far the furthest of its estimates lies from it, relative
    frames: int  # it was found in

    def __str__(self) -> str:
        return (
            f"focal length {self.focal:.1f} pixels +- {100 * self.spread:.1f} %, "
            f"from {self.frames} frames"
        )


def find_camera(piece: Piece) -> FoundCamera | str:
    """The camera of a stretch of video, or why it tells none; that in its database is changed."""
    side, names = max(piece.scene.image_size), piece.names
    piece.fill(START * side)
    whole = piece.refine(names, START * side)
    piece.advance("camera")
    if doubt := doubt_about(whole, len(names), side):
        return doubt
    halves = ((names[::2], BELOW), (names[1::2], ABOVE))
    focals = [whole.focal, *(piece.refine(half, at * side).focal for half, at in halves)]
    if not (np.isfinite(focals).all() and max(focals) <= (1 + AGREE) * min(focals)):
        said = ", ".join("none" if np.isnan(focal) else f"{focal:.0f}" for focal in focals)
        parts = f"parts of it come to different focal lengths ({said} pixels)"
        return f"{parts}; the camera has to turn"
    focal = float(np.median(focals))
    return FoundCamera(focal, float(np.abs(np.array(focals) / focal - 1).max()), whole.frames)


def keep_camera(scene: FrameSequence, camera: FoundCamera, by: str) -> None:
    """Write a camera to the scene's cam.txt, and to scene.json where it comes from."""
    folder, (height, width) = scene.images[0].parent, scene.image_size
    note = {"camera": f"found by {by}: {camera}"}
    with adding_to(folder / "scene.json"):
        write_scene_info(folder, read_scene_info(folder / "scene.json") | note)
    focal, x, y = camera.focal, (width - 1) / 2, (height - 1) / 2
    with recorded():
        write_intrinsics(folder, np.array([[focal, 0, x], [0, focal, y], [0, 0, 1]]))


def doubt_about(whole: Refined, frames: int, side: int) -> str:
    """Why a reconstruction from so many frames tells no focal length; empty if it does."""
    if whole.frames < FEWEST:
        return f"its motion was found in {whole.frames} of {frames} frames, and {FEWEST} are needed"
    if whole.seen < SEEN * whole.frames:
        return (
            f"a frame sees {whole.seen / whole.frames:.1f} points of known depth in the mean, and "
            f"{SEEN} are needed: the camera has to move, not only to turn"
        )
    degrees = float(np.degrees(2 * np.arctan(0.5 * side / whole.focal)))
    if FIELD_OF_VIEW[0] <= degrees <= FIELD_OF_VIEW[1]:
        return ""
    focal = f"a focal length of {whole.focal:.0f} pixels"
    return f"it came to {focal}, a field of view of {degrees:.0f} degrees"
