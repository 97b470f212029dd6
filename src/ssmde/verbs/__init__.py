"""The verbs of the command line: a record of the words each of them takes, which then runs it.

The fields are what `cli.py` makes a parser of: one without a default is a word by its place, the
docstring of a field is its help, the docstring of the record is the head of the help.
"""

from ssmde.verbs.data import Doctor, Label, Prepare, Track
from ssmde.verbs.deploy import App, Export
from ssmde.verbs.measure import Benchmark, Odometry, Scale
from ssmde.verbs.networks import Adapt, Demo, Evaluate, Predict, Train, is_first_process

__all__ = ["VERBS", "Adapt", "App", "Train", "Verb", "is_first_process"]

Verb = (
    Prepare
    | Doctor
    | Track
    | Label
    | Adapt
    | Train
    | Evaluate
    | Predict
    | Export
    | App
    | Demo
    | Scale
    | Odometry
    | Benchmark
)
VERBS: dict[str, type[Verb]] = {
    "prepare": Prepare,
    "doctor": Doctor,
    "track": Track,
    "label": Label,
    "adapt": Adapt,
    "train": Train,
    "evaluate": Evaluate,
    "predict": Predict,
    "export": Export,
    "app": App,
    "demo": Demo,
    "scale": Scale,
    "odometry": Odometry,
    "benchmark": Benchmark,
}
