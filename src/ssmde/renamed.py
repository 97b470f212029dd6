"""Modules that have another name now: `from OLD import name` fails and says the new one."""

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import NoReturn

RENAMED = {
    "ssmde.adapt": "ssmde.adaptation",
    "ssmde.application": "ssmde.app",
    "ssmde.benchmark": "ssmde.evaluation",
    "ssmde.benchmarking": "ssmde.evaluation",
    "ssmde.data.archives": "ssmde.datasets",
    "ssmde.data.decoding": "ssmde.data.video",
    "ssmde.data.degrade": "ssmde.data.augment",
    "ssmde.data.drawing": "ssmde.synthetic",
    "ssmde.data.drawn": "ssmde.synthetic",
    "ssmde.data.files": "ssmde.data.scene_folder",
    "ssmde.data.grey": "ssmde.data.images",
    "ssmde.data.high_range": "ssmde.data.video",
    "ssmde.data.image_motion": "ssmde.data.motion",
    "ssmde.data.jpeg": "ssmde.data.images",
    "ssmde.data.label_fit": "ssmde.data.pseudo_labels",
    "ssmde.data.npz": "ssmde.data.images",
    "ssmde.data.opening": "ssmde.data.images",
    "ssmde.data.pack": "ssmde.data.shards",
    "ssmde.data.pseudo_depth": "ssmde.data.pseudo_labels",
    "ssmde.data.sampler": "ssmde.data.dataset",
    "ssmde.data.store": "ssmde.data.shards",
    "ssmde.data.truth": "ssmde.data.dataset",
    "ssmde.data.views": "ssmde.data.motion",
    "ssmde.data.whole_frames": "ssmde.data.augment",
    "ssmde.datasets.kitti_calibration": "ssmde.datasets.kitti",
    "ssmde.datasets.lists": "ssmde.datasets.record",
    "ssmde.datasets.nyuv2_files": "ssmde.datasets.nyuv2",
    "ssmde.demo.report": "ssmde.demo.run",
    "ssmde.demonstration": "ssmde.demo",
    "ssmde.diagnosis.findings": "ssmde.diagnosis",
    "ssmde.doctor": "ssmde.diagnosis",
    "ssmde.evaluate": "ssmde.evaluation",
    "ssmde.evaluation.details": "ssmde.evaluation.report",
    "ssmde.evaluation.published": "ssmde.evaluation.benchmarks",
    "ssmde.evaluation.result": "ssmde.evaluation",
    "ssmde.export": "ssmde.exporting",
    "ssmde.exporting.parity": "ssmde.exporting.to_file",
    "ssmde.geometry.pose": "ssmde.geometry.camera",
    "ssmde.geometry.surface": "ssmde.geometry.camera",
    "ssmde.inference.pipeline": "ssmde.inference.camera",
    "ssmde.label": "ssmde.labeling",
    "ssmde.labeling.corrected": "ssmde.labeling",
    "ssmde.labelling": "ssmde.labeling",
    "ssmde.losses.consistency": "ssmde.losses.photometric",
    "ssmde.losses.distillation": "ssmde.losses.alignment",
    "ssmde.losses.normals": "ssmde.losses.pairs",
    "ssmde.losses.ranking": "ssmde.losses.pairs",
    "ssmde.methods.comparison": "ssmde.methods.self_supervised",
    "ssmde.methods.grounding": "ssmde.geometry.ground",
    "ssmde.methods.pseudo_depth": "ssmde.methods.self_supervised",
    "ssmde.methods.quantile": "ssmde.methods.mask_filter",
    "ssmde.metrics.alignment": "ssmde.metrics",
    "ssmde.metrics.baselines": "ssmde.evaluation",
    "ssmde.metrics.distance": "ssmde.metrics",
    "ssmde.metrics.protocol": "ssmde.metrics.depth",
    "ssmde.metrics.regions": "ssmde.metrics",
    "ssmde.models.decoder": "ssmde.models.depth_net",
    "ssmde.models.device": "ssmde.models.registry",
    "ssmde.models.encoder": "ssmde.models.registry",
    "ssmde.models.leres_checkpoint": "ssmde.models.leres",
    "ssmde.models.light_decoder": "ssmde.models.depth_net",
    "ssmde.models.load": "ssmde.models.checkpoint",
    "ssmde.models.metric_scale": "ssmde.models.checkpoint",
    "ssmde.models.start": "ssmde.models.registry",
    "ssmde.models.stored": "ssmde.models.checkpoint",
    "ssmde.net": "ssmde.models.hub",
    "ssmde.odometry": "ssmde.evaluation",
    "ssmde.pictures": "ssmde.inference.pictures",
    "ssmde.predict": "ssmde.inference",
    "ssmde.prediction": "ssmde.inference",
    "ssmde.preparation.storing": "ssmde.preparation.videos",
    "ssmde.prepare": "ssmde.preparation",
    "ssmde.reporting.examples": "ssmde.reporting.report",
    "ssmde.scale": "ssmde.evaluation",
    "ssmde.scaling": "ssmde.evaluation",
    "ssmde.stages": "ssmde.training",
    "ssmde.synthetic.rooms": "ssmde.synthetic.places",
    "ssmde.synthetic.streets": "ssmde.synthetic.places",
    "ssmde.track": "ssmde.tracking",
    "ssmde.tracking.camera": "ssmde.tracking.colmap",
    "ssmde.tracking.parts": "ssmde.tracking.colmap",
    "ssmde.train": "ssmde.training",
    "ssmde.training.both_stages": "ssmde.training.run",
    "ssmde.training.compilation": "ssmde.training.module",
    "ssmde.training.loader": "ssmde.training.module",
    "ssmde.training.optimizer": "ssmde.training.module",
    "ssmde.training.single_stage": "ssmde.training.run",
    "ssmde.trajectories": "ssmde.evaluation",
}
"""Old name to new."""


def new_name(old: str) -> str | None:
    """What took the place of a module, or of the package it was in; None if it was none."""
    known = [name for name in RENAMED if old == name or old.startswith(f"{name}.")]
    return RENAMED[max(known, key=len)] if known else None


class _RenamedModule(ModuleType):
    """What an old name imports: nothing but the word of what took its place, on first use."""

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):  # Python and its tools look at every module
            raise AttributeError(name)
        raise ImportError(f"{self.__name__} is now {new_name(self.__name__)}: import that")

    def __call__(self, *words: object, **options: object) -> NoReturn:
        """`import ssmde.prepare` hides the function `ssmde.prepare`."""
        raise ImportError(f"{self.__name__} is now {new_name(self.__name__)}: import that")


class _RenamedFinder(MetaPathFinder, Loader):
    """Asked last, for modules that nothing else found."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        known = new_name(fullname) is not None
        return ModuleSpec(fullname, self, is_package=True) if known else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _RenamedModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """There is nothing to run."""


sys.meta_path.append(_RenamedFinder())
