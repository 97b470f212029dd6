"""Every command of README and docs, run as a reader would, on a folder of small made data.

Each block of commands gets a fresh copy of it; trainings are cut to two steps. What cannot be run
here stands in `NOT_HERE`, with the reason and, where there is one, the test that holds it.
"""

import json
import re
import shlex
import shutil
from itertools import pairwise
from pathlib import Path
from runpy import run_path
from unittest.mock import patch

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

import test_from_archive_to_number as made
from films import write_mp4
from ssmde.cli import main
from ssmde.data.scene_files import write_list, write_tracked_points, write_tracked_poses
from ssmde.data.scene_folder import read_scenes
from ssmde.synthetic import DrawnClip, draw_clip, write_clip
from streets import draw_street

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
]

ROOT = Path(__file__).parents[1]
PAGES = (
    "README", "index", "quickstart", "gallery", "your-own-video", "datasets", "command-line",
    "export",
)  # fmt: skip
OTHER_PAGES = {
    "results": "needs the archives of data sets, the recordings that were measured, and days",
    "experiments": "needs the recordings that were measured, and hours",
    "training-at-scale": "needs GPUs: tests/training/test_processes.py has two processes",
}
NOT_HERE = {
    r"^pip install": "needs a package index",
    r"^make ": "are these tests; the demo is in tests/demo/test_demo.py",
    r"^ssmde demo": "takes minutes: tests/demo/test_demo.py",
    r"^ssmde app": "serves until Ctrl-C: tests/app/test_browser.py",
    r"rtsp://": "needs a camera of the network: tests/inference/test_film.py has a server",
    r"^ssmde label data( --source depth-anything-v2)?$": "by tests/labeling/test_sources.py",
    r"--source leres": "needs the weights of LeReS: tests/labeling/test_sources.py",
    r"--precision int8": "needs trained weights for its check: tests/exporting/test_to_file.py",
    r"SOURCE OUT": "is the form of a command",
}
UNTRAINED = {
    r"--camera-height": "no frame shows level ground",
    r"scale \S+ \S+ --poses": "no scale from",
}
"""What weights of two steps may be told, and why that is no fault of the page."""
SHORT = (
    "--data.image-size 32 64 --data.workers 0 --train.steps 2 --train.batch-size 1 "
    "--train.validate-every 2 --train.checkpoint-every 1 --train.threads 1 --train.accelerator cpu "
    "--train.precision fp32 "
)


def text_of(page: str) -> str:
    return (ROOT / f"{page}.md" if page == "README" else ROOT / "docs" / f"{page}.md").read_text()


def commands(page: str) -> list[list[str]]:
    """The commands of a page, block by block."""
    blocks = re.findall(r"(?ms)^```bash\n(.*?)^```", text_of(page))
    joined = [re.sub(r"\\\n\s*", "", block).splitlines() for block in blocks]
    return [[shlex.join(shlex.split(line, comments=True)) for line in lines] for lines in joined]


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    """All that the pages name, small."""
    root = tmp_path_factory.mktemp("world")
    room = draw_clip("room", frames=30, size=(120, 160), seed=3, step=0.08)
    for name in ("clips", "shots", "photos", "photos/deep"):
        (root / name).mkdir()
    for name in ("walk.mp4", "walk.mov", "drive.mp4", "clips/one.mp4", "clips/two.mp4"):
        write_mp4(root / name, room.images)
    folders = ("shots", "photos", "photos/deep")
    shots = [f"{name}/{i:06d}.jpg" for name in folders for i in range(12)]
    for name in (*shots, "room.jpg", "photo.jpg"):
        number = int(Path(name).stem) if name in shots else 0
        Image.fromarray(room.images[number]).save(root / name)
    (root / "points.csv").write_text("room.jpg,80,60,2.5\nroom.jpg,20,100,1.5\n")
    street = draw_street(frames=24, size=(48, 64), seed=1, movers="across", step=0.4)
    write_data(root, street)
    archives(root)
    words = ["train", "photometric", "--data.root", str(root / "data"), "--data.poses", "file",
             "--model.encoder", "resnet18_half"]  # fmt: skip
    assert main([*shortened(words), "--output", str(root / "runs")]) == 0
    run = root / "runs" / "photometric"
    for copy in ("runs/ss_mde", "demo/adapted"):
        shutil.copytree(run, root / copy, ignore=shutil.ignore_patterns("last.ckpt"))
    return root


@pytest.fixture(autouse=True)
def short_adaptation(monkeypatch):
    """Two steps, however many minutes there are."""
    monkeypatch.setattr("ssmde.adaptation.stages.FEWEST_STEPS", 2)
    monkeypatch.setattr("ssmde.adaptation.stages.MOST_EPOCHS", 0)
    monkeypatch.setattr("ssmde.pace.seconds_per_step", lambda config: 1.0)


def write_data(root: Path, clip: DrawnClip) -> None:
    """Data folders: tracked, with truth and poses; its labels elsewhere; a clip without truth."""
    scene = root / "data" / "street"
    write_clip(clip, scene, image_format="jpg")
    poses, frames = clip.poses.copy(), range(len(clip.poses))
    poses[:, :3, 3] /= 10
    write_tracked_poses(scene, poses, np.zeros(len(poses)), "drawn")
    rows, columns = (index.ravel()[::7] for index in np.mgrid[:48, :64])
    at = np.stack([columns, rows], axis=1).astype(np.float32)
    depth = np.where(clip.depth > 0, clip.depth, 100.0) / 10
    write_tracked_points(scene, {i: (at, depth[i][rows, columns]) for i in frames})
    for split in ("train", "val", "test"):
        write_list(root / "data", split, ["street"])
    shutil.copytree(scene / "depth", root / "labels" / "street")
    for copy in ("kitti_odom/street", "demo/data/room_1_later", "clip"):
        shutil.copytree(scene, root / copy)
    shutil.rmtree(root / "clip" / "depth")


def archives(root: Path) -> None:
    """Official archives and published lists, as the pages name them."""
    for name in ("kitti", "nyu"):
        (root / name).mkdir()
    lists = made.kitti_raw(root / "kitti")
    lists["train"].rename(root / "eigen_zhou_train.txt")
    shutil.copyfile(lists["test"], root / "eigen_test.txt")
    lists["test"].rename(root / "eigen_zhou_val.txt")
    made.nyuv2(root / "nyu")["test"].unlink()
    splits = {"trainNdxs": np.array([[1.0]]), "testNdxs": np.array([[2], [3]], np.uint16)}
    savemat(root / "splits.mat", splits, do_compression=True)


def shortened(words: list[str]) -> list[str]:
    """The words of a training without what makes it long."""
    kept, skip = list[str](), False
    for word in words:
        skip = f"{word} " in SHORT if word.startswith("--") else skip
        kept += [] if skip else [word]
    both_stages = any(word.startswith("ss_mde") for word in words)
    return [*kept, *SHORT.split(), *(["--student.steps", "1"] if both_stages else [])]


def predictions(folder: Path) -> None:
    """Of other people, for all that has truth."""
    for scene in read_scenes(Path("data"), "test"):
        for i in range(len(scene)):
            path = folder / f"{scene.frame_name(i)}.npy"
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, np.full(scene.image_size, 2.0, np.float32))


def fault(line: str, capsys) -> str:
    """Run it, with nothing in its way; what went wrong, or nothing."""
    word, *words = shlex.split(line)
    if line.startswith("python recipes/"):
        with patch("sys.argv", words):
            run_path(str(ROOT / words[0]), run_name="__main__")
        return ""
    if word != "ssmde":
        return f"nobody runs {line!r}: run it, or say in NOT_HERE why not"
    words = ["128" if (word, before) == ("640", "--width") else word
             for before, word in pairwise(["", *words])]  # fmt: skip
    if words[:1] == ["prepare"]:
        shutil.rmtree(words[2], ignore_errors=True)
    if words[:1] == ["train"]:
        words = shortened(words)
        name = words[words.index("--name") + 1] if "--name" in words else words[1]
        if "--resume" not in words:
            shutil.rmtree(Path("runs") / name, ignore_errors=True)
    if "theirs=predictions/theirs" in words:
        predictions(Path("predictions/theirs"))
    try:
        status = main(words)
    except SystemExit as end:
        status = end.code
    said = capsys.readouterr()
    excuses = [words for pattern, words in UNTRAINED.items() if re.search(pattern, line)]
    if status == 0 or line.startswith("ssmde doctor") or any(e in said.err for e in excuses):
        return ""
    return f"{line}\nends with {status}:\n{said.out[-2000:]}\n{said.err[-3000:]}"


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_a_page_runs(page, world, tmp_path, monkeypatch, capsys):
    absent = re.compile("|".join(NOT_HERE))
    for number, block in enumerate(commands(page)):
        lines = [line for line in block if line and not absent.search(line)]
        if not lines:
            continue
        folder = tmp_path / str(number)
        shutil.copytree(world, folder)
        monkeypatch.chdir(folder)
        for line in lines:
            assert fault(line, capsys) == ""
        monkeypatch.chdir(tmp_path)
        shutil.rmtree(folder)  # a few hundred megabytes each


@pytest.mark.parametrize("page", ["README", "quickstart"])
def test_python_of_a_page_runs(page, world, tmp_path, monkeypatch):
    shutil.copy(world / "photo.jpg", tmp_path)
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"(?ms)^```python\n(.*?)^```", text_of(page))
    assert blocks
    for block in blocks:
        exec(block, {})


def test_the_notebook_runs_from_the_first_cell_to_the_last(world, tmp_path, monkeypatch):
    shutil.copy(world / "walk.mp4", tmp_path)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    text = (ROOT / "docs" / "notebooks" / "adapt.ipynb").read_text("utf-8")
    for cell in json.loads(text)["cells"]:
        assert not cell.get("outputs"), "outputs are not stored"
        if cell["cell_type"] == "code":  # without what a shell or the notebook itself would do
            exec(re.sub(r"(?m)^[!%].*$", "", "".join(cell["source"])), names)
    assert {path.name for path in tmp_path.iterdir()} >= {"walk.mp4", "here", "depth", "depth.onnx"}
    assert np.shape(names["shown"]) == (120, 320, 3), "a frame, and its depth beside it"


def test_no_page_is_forgotten_and_no_excuse_is_left_over():
    pages = {path.stem for path in (ROOT / "docs").glob("*.md") if "```bash" in path.read_text()}
    assert pages <= {*PAGES, *OTHER_PAGES}
    lines = [line for page in PAGES for block in commands(page) for line in block]
    for pattern, reason in NOT_HERE.items():
        assert all((ROOT / name).is_file() for name in re.findall(r"tests/\S+\.py", reason)), reason
        assert any(re.search(pattern, line) for line in lines), f"nothing needs {pattern!r}"
