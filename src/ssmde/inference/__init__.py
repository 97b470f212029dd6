"""Depth of images, videos and cameras by trained weights: `predict_files`, `Predictor`, `load`."""

from ssmde.inference.camera import CameraSpec
from ssmde.inference.input import ImageLike
from ssmde.inference.loading import MotionPredictor, find_weights, from_pretrained, load
from ssmde.inference.predict import Summary, predict_files
from ssmde.inference.predictor import ModelInfo, PredictedFrame, Prediction, Predictor
from ssmde.inference.writers import FORMATS, WriterOptions, write_frame

__all__ = [
    "FORMATS", "CameraSpec", "ImageLike", "ModelInfo", "MotionPredictor",
    "PredictedFrame", "Prediction", "Predictor", "Summary", "WriterOptions",
    "find_weights", "from_pretrained", "load", "predict_files", "write_frame",
]  # fmt: skip
