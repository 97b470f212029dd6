"""Odometry against evo's own programs, from the files it reads."""

import numpy as np
import pytest

from ssmde.data.scene_files import write_tracked_poses
from ssmde.evaluation import odometry
from ssmde.synthetic import draw_clip, write_clip

file_interface = pytest.importorskip("evo.tools.file_interface")
main_ape = pytest.importorskip("evo.main_ape")
main_rpe = pytest.importorskip("evo.main_rpe")
metrics = pytest.importorskip("evo.core.metrics")
pytestmark = pytest.mark.slow  # `make test` does not install evo


def test_paths_have_the_errors_that_evo_finds_in_the_files(tmp_path):
    clip = draw_clip("room", frames=8, size=(32, 64), seed=2)
    scene = tmp_path / "data" / "room"
    write_clip(clip, scene)
    rng = np.random.default_rng(0)
    estimated = clip.poses.copy()
    estimated[:, :3, 3] = 0.4 * estimated[:, :3, 3] + 0.02 * rng.normal(size=(8, 3))
    write_tracked_poses(scene, estimated, np.zeros(8), "with noise")
    lines = [" ".join(f"{x:.9g}" for x in pose[:3].ravel()) for pose in estimated]
    (tmp_path / "estimated.txt").write_text("\n".join(lines) + "\n")
    true, ours = (
        file_interface.read_kitti_poses_file(path)
        for path in (scene / "poses.txt", tmp_path / "estimated.txt")
    )
    (errors,) = odometry("tracked", tmp_path / "data", out=None).paths
    part, angle = metrics.PoseRelation.translation_part, metrics.PoseRelation.rotation_angle_deg
    options = {"align": True, "correct_scale": True}
    ape = main_ape.ape(true, ours, pose_relation=part, **options)
    assert errors.ate == pytest.approx(ape.stats["rmse"], rel=1e-4)
    for relation, said in ((part, errors.rpe_translation), (angle, errors.rpe_degrees)):
        rpe = main_rpe.rpe(
            true, ours, pose_relation=relation, delta=1, delta_unit=metrics.Unit.frames,
            all_pairs=True, **options,
        )  # fmt: skip
        assert said == pytest.approx(rpe.stats["rmse"], rel=1e-3, abs=1e-4)
