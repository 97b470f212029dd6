"""Training on a visitor's film: one at a time, whose it is, how it ends."""

import json
import sys
import time

import pytest

from ssmde.app import training
from ssmde.app.guard import BusyError
from ssmde.app.training import Trainings
from ssmde.inference.loading import load
from tiny_networks import write_random_weights

SAY = "print('track: how the camera moved, 0.5 minutes left', flush=True); "


@pytest.fixture
def start(tmp_path, monkeypatch):
    """Begins a training that runs some Python in the place of `ssmde adapt`."""
    monkeypatch.setattr(training, "LOOKS_EVERY", 0.02)
    (tmp_path / "film.mp4").write_bytes(b"film")
    (tmp_path / "all").mkdir()
    run = "import pathlib, sys, time; exec(open(sys.argv.pop(1)).read())"
    command = [sys.executable, "-c", run, str(tmp_path / "code.py")]
    trainings = Trainings(tmp_path / "all", command)

    def begin(code, key="ann"):
        (tmp_path / "code.py").write_text(code)
        trainings.start(key, tmp_path / "film.mp4", "walk.mp4", "small", 1)
        return trainings.of(key)

    yield begin
    trainings.close()
    assert not list((tmp_path / "all").iterdir())


def wait(question):
    end = time.monotonic() + 60
    while not question():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_one_runs_at_a_time_and_its_visitor_alone_sees_and_stops_it(start):
    run = start(SAY + "time.sleep(60)")
    wait(lambda: run.stage() == "track: how the camera moved")
    assert 0 < run.elapsed() < 1
    with pytest.raises(BusyError, match="One film at a time"):
        start(SAY, key="bob")
    assert run.running
    run.stop()
    wait(lambda: not run.running)
    assert (run.fault, run.results()) == ("Stopped.", [])
    assert start("", key="bob").fault == ""


def test_what_came_out_is_kept_and_what_it_was_made_of_goes(start, tmp_path):
    weights = write_random_weights(tmp_path / "w.safetensors")
    report = json.dumps({"kept": "adapted", "why": "closer to points"})
    run = start(
        "film, out = map(pathlib.Path, sys.argv[1:3]); (out / 'work').mkdir(parents=True); "
        "assert film.read_bytes() == b'film'; assert sys.argv[3:] == "
        "['--start', 'small', '--minutes', '1']; (out / 'work' / 'x').write_text('x'); "
        f"(out / 'best.safetensors').write_bytes(pathlib.Path({str(weights)!r}).read_bytes()); "
        f"(out / 'report.json').write_text({report!r}); (out / 'before_after.png').write_text('')"
    )
    wait(lambda: not run.running)
    assert run.fault == ""
    names = ["best.safetensors", "report.json", "before_after.png"]
    assert [path.name for path in run.results()] == names
    assert run.outcome() == "Done: the network is better here, closer to points."
    assert load(run.results()[0]).image_size
    folder = run.results()[0].parent
    assert sorted(path.name for path in folder.iterdir()) == sorted(names)
    assert not list(folder.parent.glob("film*"))


def test_a_fault_is_told_with_the_name_of_the_film_and_without_its_path(start):
    run = start("sys.exit(f'ssmde adapt: error: {sys.argv[1]}: too short')")
    wait(lambda: not run.running)
    assert (run.fault, run.results()) == ("walk.mp4: too short", [])


@pytest.mark.parametrize(("limit", "value", "said"), [
    ("TRAINING_BYTES", 100, "GB: take a shorter film"), ("GRACE_MINUTES", -2.0, "too long"),
])  # fmt: skip
def test_one_that_takes_too_much_is_ended(start, monkeypatch, limit, value, said):
    monkeypatch.setattr(training, limit, value)
    run = start("pathlib.Path(sys.argv[1]).with_name('x').write_bytes(b'x' * 1000); time.sleep(60)")
    wait(lambda: not run.running)
    assert said in run.fault
