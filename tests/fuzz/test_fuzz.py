"""A changed file of every kind in front of the verbs that read it; `make fuzz` does more."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_changed_file_gives_numbers_or_is_refused_by_name(tmp_path):
    # In a process of its own: it forks, and threads of other tests would not be in its children.
    words = [sys.executable, Path(__file__).with_name("run.py"), "--seeds", "1", "--rounds", "2"]
    words += ["--keep", tmp_path]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
