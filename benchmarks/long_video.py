"""Memory of predicting a long video, and what a kill in the middle costs.

    python benchmarks/long_video.py [--frames 1000] [--kill-at 450]

Predicts a video of 160 x 120 to a side-by-side film with a network of one convolution, so that all
but the network is measured: once in one process from end to end, with its memory after every
hundred frames; and once in a process that is killed (SIGKILL) and started again. Both films must
hold every frame, and the same pixels. Memory is read from /proc: Linux only.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import av
import numpy as np
import torch
from torch import Tensor, nn

from ssmde.data.video import read_frames
from ssmde.inference import Predictor, predict_files
from ssmde.inference import predict as jobs

SIZE, FPS = (120, 160), 30.0


class OneConvolution(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Conv2d(3, 1, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        return 1 + self.layer(image).sigmoid()


def memory() -> tuple[float, float]:
    """Memory of this process now and at most, in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    kib = {line.split()[0]: int(line.split()[1]) for line in lines if line.startswith("Vm")}
    return kib["VmRSS:"] / 1024, kib["VmHWM:"] / 1024


def predict(video: Path, out: Path) -> None:
    """Predict, and print frame, memory and peak after every hundred frames."""
    written, write = 0, jobs.write_frame

    def counting(*args: object, **options: object) -> object:
        nonlocal written
        written += 1
        if written % 100 == 0:
            now, most = memory()
            print(f"frame {written} {now:.1f} {most:.1f}", flush=True)
        elif written % 10 == 0:
            print(f"frame {written}", flush=True)
        return write(*args, **options)

    jobs.write_frame = counting
    predict_files(Predictor(OneConvolution(), (64, 96)), video, out, format="video")
    print(f"cpu {time.process_time():.1f}", flush=True)


def run(video: Path, out: Path, *, kill_at: int | None = None) -> list[list[str]]:
    """What a process says that predicts; it is killed once it has done so many frames."""
    command = [sys.executable, __file__, "--child", str(video), str(out)]
    said = list[list[str]]()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for line in child.stdout:
            said.append(line.split())
            if kill_at is not None and said[-1][0] == "frame" and int(said[-1][1]) >= kill_at:
                child.kill()
                return said
    assert child.returncode == 0, child.returncode
    return said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--kill-at", type=int, default=450)
    parser.add_argument("--child", type=Path, nargs=2)
    asked = parser.parse_args()
    if asked.child:
        predict(*asked.child)
        return
    with tempfile.TemporaryDirectory() as folder:
        video, one, two = (Path(folder) / name for name in ("long.mp4", "one", "two"))
        scene = np.random.default_rng(0).integers(0, 256, (SIZE[0], 2 * SIZE[1], 3), np.uint8)
        with av.open(str(video), "w") as film:
            stream = film.add_stream("mpeg4", rate=int(FPS), options={"qscale": "3"})
            stream.height, stream.width, stream.pix_fmt = *SIZE, "yuv420p"
            for i in range(asked.frames):
                pixels = np.ascontiguousarray(scene[:, i % SIZE[1] :][:, : SIZE[1]])
                film.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
            film.mux(stream.encode(None))
        said = run(video, one)
        for words in said:
            if len(words) == 4:
                print(f"frame {words[1]}: {words[2]} MiB, at most {words[3]} MiB")
        print(f"CPU seconds: {said[-1][1]}")
        run(video, two, kill_at=asked.kill_at)
        left = sum(words[0] == "frame" for words in run(video, two)) * 10
        films = [read_frames(folder / "long_depth.mp4") for folder in (one, two)]
        same = [np.array_equal(a, b) for a, b in zip(*films, strict=True)]
        assert len(same) == asked.frames, len(same)
        assert all(same), same.index(False)
        print(
            f"killed at frame {asked.kill_at}, then {left} frames were left; both films are equal"
        )


if __name__ == "__main__":
    main()
