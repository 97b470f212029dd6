"""The verbs of the command line: a record of the words each of them takes, which then runs it.

The fields are what `cli.py` makes a parser of: one without a default is a word by its place, the
docstring of a field is its help, the docstring of the record is the head of the help.
"""

import inspect

import tyro

from ssmde.verbs import PARSING
from ssmde.verbs.measure import Benchmark, Odometry, Scale
from ssmde.verbs.networks import Evaluate

Verb = Evaluate | Scale | Odometry | Benchmark
VERBS: dict[str, type[Verb]] = {
    "evaluate": Evaluate,
    "scale": Scale,
    "odometry": Odometry,
    "benchmark": Benchmark,
}


def read_record(verb, words):
    found = tyro.cli(
        VERBS[verb],
        args=words,
        prog=f"ssmde {verb}",
        description=inspect.getdoc(VERBS[verb]),
        config=PARSING,
    )
    return found.run
