"""Everything that measures: depth errors, published tables, camera paths, metres."""

from ssmde.evaluation.accuracy import constant_depth, evaluate, evaluate_predictions
from ssmde.evaluation.benchmarks import benchmark
from ssmde.evaluation.camera_path import odometry
from ssmde.evaluation.frames import frames_with_truth
from ssmde.evaluation.metres import scale
from ssmde.evaluation.report import Evaluation, FrameResult

__all__ = [
    "Evaluation", "FrameResult", "benchmark", "constant_depth", "evaluate", "evaluate_predictions",
    "frames_with_truth", "odometry", "scale",
]  # fmt: skip
