"""A run as a file of YAML describes it; every fault has a line."""

from pathlib import Path

import yaml
from pydantic import ValidationError

from ssmde.config.section import describe
from ssmde.config.tree import Config, load_config
from ssmde.io import read_text


def read_config(file: Path) -> Config:
    """The run a YAML file describes.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no YAML, a key is unknown or a value is wrong; every fault has a line.
    """
    text = read_text(file)
    try:
        return load_config(text)
    except ValidationError as error:
        faults = [describe(fault, Config) for fault in error.errors(include_url=False)]
    except (yaml.YAMLError, RecursionError) as error:
        faults = [f"no YAML: {' '.join(str(error).split())}"]
    except ValueError as error:
        faults = [str(error)]
    if len(faults) == 1:
        raise ValueError(f"{file}: {faults[0]}")
    raise ValueError("\n  ".join([f"{file}: {len(faults)} faults", *faults]))
