"""Begin where another run ended: trained weights as the first weights of both networks."""

from pathlib import Path

from torch import nn

from ssmde.models.load import load_weights_into, read_weights
from ssmde.weights import RELEASED, known_names, released_weights

WEIGHTS_IN_A_RUN = ("best.safetensors", "last.safetensors")
POSE = "pose_net."


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
    if start in RELEASED and not Path(start).exists():
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
