"""Images a second that one core reads and varies for a training.

    python benchmarks/loader.py [--snippets 150]

CPU seconds of one thread, medians; reading and the bare work beside it take turns.
"""

import argparse
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from PIL import Image

from ssmde.data.dataset import SnippetDataset
from ssmde.data.images import resize_image
from ssmde.data.scene_folder import read_scene
from ssmde.presets import PRESETS
from ssmde.synthetic import draw_clip

SIZE = (256, 320)
FRAME_SIZE = (640, 480)  # width and height of the JPEG files


def cpu_seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def time_loader(snippets: int) -> None:
    """Images a second of one core: 640 x 480 JPEG to augmented 256 x 320 snippets of three.

    "bare" is Pillow's decoding and the resizing of whole frames, which nothing can leave out that
    reads them with Pillow.
    """
    data = replace(PRESETS["consistent"].data, image_size=SIZE, color_jitter=1.0)
    with tempfile.TemporaryDirectory() as folder:
        clip = draw_clip("room", frames=24, size=(120, 160), seed=0)
        for i, image in enumerate(clip.images):
            Image.fromarray(image).resize(FRAME_SIZE).save(f"{folder}/{i:03d}.jpg", quality=92)
        Path(folder, "cam.txt").write_text("540 0 320\n0 540 240\n0 0 1\n")
        dataset = SnippetDataset([read_scene(Path(folder))], data, seed=0, augment=True)

        def bare(index: int) -> None:
            for path in dataset.sequences[0].images[index : index + 3]:
                with Image.open(path) as image:
                    resize_image(np.array(image.convert("RGB")), SIZE)

        read, plain = [], []
        for number in range(snippets):
            index = number % len(dataset)
            read.append(cpu_seconds(lambda i=index: dataset[0, i]))
            plain.append(cpu_seconds(lambda i=index: bare(i)))
    ratio = statistics.median(b / a for a, b in zip(read, plain, strict=True))
    print(
        f"loader: {3 / statistics.median(read):.0f} images/s a core (640 x 480 JPEG, augmented); "
        f"bare decoding and resizing: {3 / statistics.median(plain):.0f}; ratio {ratio:.2f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--snippets", type=int, default=150)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, Python {platform.python_version()}, {platform.machine()}")
    time_loader(asked.snippets)


if __name__ == "__main__":
    main()
