"""What the head of a weights file of this project says."""

from pathlib import Path

import yaml

from ssmde.config import Config, load_config

WEIGHTS_FORMAT, WEIGHTS_VERSION = "ssmde-depth", "1"
"""What the head of a weights file says about itself."""


def stored_config(file: Path, metadata: dict[str, str]) -> Config:
    """The configuration in the head of a weights file.

    Raises:
        ValueError: If it is none of this project, or of another version of it.
    """
    kind, version = metadata.get("format"), metadata.get("version")
    if kind != WEIGHTS_FORMAT or "config" not in metadata:
        raise ValueError(
            f"{file}: holds no depth network of this project (format {kind!r} instead of "
            f"{WEIGHTS_FORMAT!r}); give weights written by `ssmde train`"
        )
    if version != WEIGHTS_VERSION:
        raise ValueError(
            f"{file}: is of format version {version}, this package reads version "
            f"{WEIGHTS_VERSION}; install the ssmde that wrote it"
        )
    try:
        return load_config(metadata["config"], stored=True)
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{file}: its stored configuration cannot be read: {reason}") from error
