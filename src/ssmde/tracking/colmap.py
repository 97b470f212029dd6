"""COLMAP as `ssmde track` uses it: features, matches, and its global mapper.

COLMAP (Schönberger and Frahm, CVPR 2016) with its global mapper GLOMAP (Pan et al., ECCV 2024,
https://arxiv.org/abs/2407.20219). Its pixel centers lie at a half, ours at whole numbers.

This is the only module that knows pycolmap.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np

from ssmde.console import import_extra
from ssmde.data.scene_files import read_scene_info
from ssmde.data.sequence import FrameSequence
from ssmde.signals import signals_wait

FEATURES = 2000  # keypoints an image
POINTS = 200  # that each image has to see where only the camera is looked for
ROUNDS = 100  # of bundle adjustment there
OVERLAP = 12  # neighbors that an image is matched to, and then those at doubling distance


@dataclass(frozen=True, kw_only=True, slots=True)
class Colmap:
    """pycolmap, and how it is to compute."""

    module: Any  # pycolmap
    threads: int  # of the CPU; -1 for all
    seed: int  # of the random numbers


class Seen(NamedTuple):
    """A frame of a reconstruction."""

    T_cam_world: Any  # 4 x 4
    ids: Any  # numbers of the points it sees (n,)
    pixels: Any  # where it sees them (n, 2)
    depth: Any  # of them (n,), in the unit of the reconstruction


class Pair(NamedTuple):
    """Verified matches of two frames, kept by the reconstruction or not.

    Where a frame sees them (m, 2) is in multiples of the focal length from the principal point,
    lens distortion taken out.
    """

    first: int  # place of the earlier frame
    second: int  # place of the later one
    before: Any  # where the earlier one sees them
    after: Any  # where the later one does

    @property
    def motion(self) -> Any:
        """How far each moves in the image (m,)."""
        return np.linalg.norm(self.after - self.before, axis=1)


class Refined(NamedTuple):
    """What a reconstruction says about its camera."""

    frames: int  # that it connects
    seen: int  # number of times that any of its points is seen in a frame
    focal: float  # length, in pixels


def load_colmap(threads: int, seed: int) -> Colmap:
    """Pycolmap, quiet, with these threads (0: all) and random numbers; or an ImportError."""
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
    return Colmap(module=colmap, threads=threads or -1, seed=seed)


def find_features(
    colmap: Colmap, database: Path, scene: FrameSequence, guess: float | None = None
) -> None:
    """Keypoints of every frame, into a new database that also holds the camera.

    The camera is that of the scene; with a `guess` of the focal length, in pixels, it is one of
    square pixels with the principal point in the middle.
    """
    reader = colmap.module.ImageReaderOptions()
    height, width = scene.image_size
    reader.camera_model, reader.camera_params = (
        _known_camera(scene)
        if guess is None
        else ("SIMPLE_PINHOLE", f"{guess:.9g},{width / 2:.9g},{height / 2:.9g}")
    )
    extraction = colmap.module.FeatureExtractionOptions()
    extraction.num_threads, extraction.use_gpu = colmap.threads, False
    extraction.sift.max_num_features = FEATURES
    colmap.module.extract_features(
        database, scene.images[0].parent, image_names=[file.name for file in scene.images],
        camera_mode=colmap.module.CameraMode.SINGLE,
        reader_options=reader, extraction_options=extraction,
    )  # fmt: skip
    if guess is not None:
        guess_focal(colmap, database, guess)


def match_features(colmap: Colmap, database: Path) -> None:
    """Match the keypoints of every frame with those of its neighbors in time."""
    matching = colmap.module.FeatureMatchingOptions()
    matching.num_threads, matching.use_gpu = colmap.threads, False
    pairing = colmap.module.SequentialPairingOptions()
    pairing.overlap, pairing.quadratic_overlap = OVERLAP, True
    colmap.module.match_sequential(database, matching_options=matching, pairing_options=pairing)


def read_pairs(colmap: Colmap, database: Path, names: Sequence[str]) -> tuple[list[Pair], float]:
    """Verified matches of all pairs of these frames, and the focal length, in pixels."""
    with colmap.module.Database.open(database) as opened:
        (camera,) = opened.read_all_cameras()
        images = {image.image_id: image.name for image in opened.read_all_images()}
        places = {name: i for i, name in enumerate(names)}
        rays = {
            i: camera.cam_from_img(opened.read_keypoints(i)[:, :2].astype(np.float64))
            for i in images
        }
        pairs: list[Pair] = []
        for number, geometry in zip(*opened.read_two_view_geometries(), strict=True):
            ids, matches = colmap.module.pair_id_to_image_pair(number), geometry.inlier_matches
            seen = [(places[images[i]], rays[i][matches[:, k]]) for k, i in enumerate(ids)]
            (first, before), (second, after) = sorted(seen, key=lambda one: one[0])
            pairs.append(Pair(first, second, before, after))
    return pairs, float(camera.focal_length_x)


def guess_focal(colmap: Colmap, database: Path, focal: float) -> None:
    """Give the camera of a database another focal length, in pixels, to start from."""
    with colmap.module.Database.open(database) as opened:
        _set_focal(opened, focal, known=False)


def fix_focal(colmap: Colmap, database: Path, focal: float) -> None:
    """Let the focal length of a database be known, in pixels, and find the inliers that fit it."""
    with colmap.module.Database.open(database) as opened:
        _set_focal(opened, focal, known=True)
        opened.clear_two_view_geometries()
    options = colmap.module.GeometricVerifierOptions()
    options.num_threads = colmap.threads
    colmap.module.geometric_verification(database, verifier_options=options)


def map_frames(
    colmap: Colmap, database: Path, names: Sequence[str] = (), *, refine_focal: bool = False
) -> list[Any]:
    """Reconstructions of the frames with these file names, of all by default; largest first."""
    options = colmap.module.GlobalPipelineOptions()
    options.num_threads = options.mapper.num_threads = colmap.threads
    options.random_seed = options.mapper.random_seed = colmap.seed
    options.mapper.bundle_adjustment.refine_focal_length = refine_focal
    options.mapper.bundle_adjustment.refine_extra_params = False
    options.image_names = list(names)
    if refine_focal:  # one number is asked for: fewer points tell it as well, in a fraction of time
        options.mapper.track_required_tracks_per_view = POINTS
        options.mapper.skip_retriangulation = True
        ceres = options.mapper.bundle_adjustment.ceres.solver_options
        ceres.max_num_iterations = ROUNDS
    with TemporaryDirectory(prefix="ssmde-map-") as scratch:
        models = colmap.module.global_mapping(database, scratch, scratch, options=options)
    return sorted(models.values(), key=lambda model: -model.num_reg_images())


def read_refined(model: Any) -> Refined:
    """How large a reconstruction is, and the focal length of its camera."""
    (camera,) = model.cameras.values()
    seen = model.compute_num_observations()
    return Refined(model.num_reg_images(), seen, float(camera.focal_length_x))


def read_frames(model: Any, names: Sequence[str]) -> tuple[dict[int, Seen], float]:
    """The frames of a reconstruction by their place in `names`, and its median error in pixels."""
    points = {key: point.xyz for key, point in model.points3D.items()}
    places = {name: i for i, name in enumerate(names)}
    frames: dict[int, Seen] = {}
    for image in model.images.values():
        if not image.has_pose:
            continue
        T = np.vstack([image.cam_from_world().matrix(), (0, 0, 0, 1)])
        seen = [p for p in image.points2D if p.has_point3D()]
        ids = np.array([p.point3D_id for p in seen], dtype=np.int64)
        xyz = np.array([points[i] for i in ids.tolist()]).reshape(-1, 3)
        pixels = np.array([p.xy for p in seen]).reshape(-1, 2) - 0.5
        frames[places[image.name]] = Seen(T, ids, pixels, xyz @ T[2, :3] + T[2, 3])
    error = float(np.median([point.error for point in model.points3D.values()]))
    return frames, error


def _set_focal(opened: Any, focal: float, *, known: bool) -> None:
    for camera in opened.read_all_cameras():
        camera.params = [focal, *list(camera.params)[1:]]
        camera.has_prior_focal_length = known
        opened.update_camera(camera)


def _known_camera(scene: FrameSequence) -> tuple[str, str]:
    """COLMAP's name and numbers for the camera of a scene."""
    K = scene.intrinsics
    assert K is not None
    numbers = [K[0, 0], K[1, 1], K[0, 2] + 0.5, K[1, 2] + 0.5]
    bent = read_scene_info(scene.images[0].parent / "scene.json").get("distortion_k1k2p1p2k3")
    numbers += list(bent)[:4] if bent else []
    return ("OPENCV" if bent else "PINHOLE"), ",".join(f"{number:.9g}" for number in numbers)
