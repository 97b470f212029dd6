"""Begin where another run ended: trained weights as the first weights of both networks."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from ssmde.config import Config, ModelConfig
from ssmde.models.load import load_weights_into, read_metadata, read_weights
from ssmde.models.metric_scale import stored_scale
from ssmde.models.stored import stored_config
from ssmde.weights import is_released, known_names, released_weights

WEIGHTS_IN_A_RUN = ("best.safetensors", "last.safetensors")
POSE = "pose_net."


def follow_start(config: Config) -> Config:
    """The configuration with the depth network of the weights that it starts from.

    Encoder, decoder and range of depth are those of the weights: others would mean other numbers.

    Raises:
        FileNotFoundError: If there is nothing under that name.
        ValueError: If it holds no network of this project, or the configuration asks for another.
    """
    model = config.model
    if model.start == "none":
        return config
    file = _find(model.start)
    given = stored_config(file, read_metadata(file)).model
    for name in ("encoder", "depth_range"):
        asked, has, usual = (getattr(m, name) for m in (model, given, ModelConfig()))
        if asked not in (has, usual):
            raise ValueError(
                f"model.{name} is {_text(asked)}, but model.start {model.start} has {_text(has)}: "
                f"leave --model.{name.replace('_', '-')} out, or start from --model.start none"
            )
    if model.pretrained != "none":
        raise ValueError(
            f"model.pretrained {model.pretrained} cannot act: model.start {model.start} gives all "
            "weights; leave one of them out, or say --model.start none"
        )
    kept = {name: getattr(given, name) for name in ("encoder", "depth_range", "upsampling")}
    return replace(config, model=replace(model, **kept))


def say_lost_scale(config: Config) -> None:
    """Say where a start knows metres, which the training will not keep."""
    start = config.model.start
    if start == "none" or config.method == "student":  # that one starts from its teacher
        return
    scale = stored_scale(read_metadata(_find(start)), origin=start)
    if scale is not None:
        print(
            f"model.start {start} says metres ({scale}); training changes the unit of depth, so "
            "the new weights say scene units: `ssmde scale` finds their metres"
        )


def _text(value: Any) -> str:
    """As it is written on the command line."""
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def load_start(start: str, depth_net: nn.Module, pose_net: nn.Module) -> None:
    """Copy trained weights into the networks.

    The depth network must fit exactly. The pose network is taken where the weights hold one with
    the same keys and shapes; a network for single images has none.

    Args:
        start: A released name, the folder of a run (its best weights, else its last), or a file.
        depth_net: Gets the values.
        pose_net: Gets the values, or stays as it is.

    Raises:
        FileNotFoundError: If there is nothing under that name.
        ValueError: If the weights do not fit the depth network; it names the keys.
    """
    file = _find(start)
    tensors, _ = read_weights(file)
    load_weights_into(depth_net, tensors, "depth_net.", origin=f"model.start {file}")
    given = {k.removeprefix(POSE): v.shape for k, v in tensors.items() if k.startswith(POSE)}
    if given == {k: v.shape for k, v in pose_net.state_dict().items()}:
        load_weights_into(pose_net, tensors, POSE, origin=f"model.start {file}")


def _find(start: str) -> Path:
    if is_released(start):
        return released_weights(start)
    try:
        return weights_file(Path(start))
    except FileNotFoundError as error:
        raise FileNotFoundError(f"model.start {start!r}: {error}") from error


def weights_file(path: Path) -> Path:
    """The file itself, or the best weights of a run folder.

    Raises:
        FileNotFoundError: If there is nothing.
    """
    if not path.exists():
        raise FileNotFoundError(
            f"{path}: no such file or folder; give a .safetensors file, the folder of a run, "
            f"hf:OWNER/NAME, or a released name ({known_names(str(path))})"
        )
    if not path.is_dir():
        return path
    for name in WEIGHTS_IN_A_RUN:
        if (path / name).is_file():
            return path / name
    raise FileNotFoundError(
        f"{path}: holds neither {' nor '.join(WEIGHTS_IN_A_RUN)}; "
        "give the folder of a run that has validated at least once"
    )
