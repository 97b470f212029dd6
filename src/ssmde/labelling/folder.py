"""The source `folder:<path>`: labels that exist already, in files of any depth format."""

from pathlib import Path

import numpy as np
from jaxtyping import Float32

from ssmde.data.images import DEPTH_SUFFIXES, ImageError, read_map
from ssmde.data.pseudo_labels import LabelInfo
from ssmde.data.sequence import FrameSequence
from ssmde.labelling.source import Asked, Source

LICENCE = "unknown: ask where the files come from"


def open_folder(asked: Asked) -> Source:
    """Files `<path>/<scene>/<frame>.png|npy|npz`, or `<path>/<frame>.*` for a single scene.

    A unit they may have is not known here, so they count as affine. 0 in them is no value.

    Raises:
        FileNotFoundError: If there is no such folder, or a scene has none in it.
        ValueError: If it is not said what the files hold.
    """
    home = Path(asked.argument)
    if not home.is_dir():
        raise FileNotFoundError(f"{home}: no such folder of labels")
    if asked.kind is None:
        raise ValueError("source 'folder' needs --kind depth or --kind disparity: what files hold")
    absent = [name for name in asked.scenes if not (home / name).is_dir()]
    if absent and len(asked.scenes) > 1:
        raise FileNotFoundError(
            f"{home / absent[0]}: no such folder; labels of several scenes lie in a folder for "
            "each, of the scene's name"
        )

    def read(scene: FrameSequence, index: int) -> Float32[np.ndarray, "h w"]:
        folder = home if absent else home / scene.name
        stem = scene.images[index].stem
        files = [folder / f"{stem}{suffix}" for suffix in DEPTH_SUFFIXES]
        file = next((file for file in files if file.is_file()), None)
        if file is None:
            raise ImageError(f"{folder / stem}: no such label ({', '.join(DEPTH_SUFFIXES)})")
        values = read_map(file, 1, image_size=scene.image_size, full_is_none=asked.kind == "depth")
        return np.where(values > 0, values, np.float32(np.nan))

    info = LabelInfo(
        source=f"folder:{asked.argument}", kind=asked.kind, affine=True, licence=LICENCE
    )
    return Source(info=info, label=list, read=read, home=home)
