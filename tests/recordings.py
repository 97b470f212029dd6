"""Real recordings and published lists, where a machine has them."""

import os
from pathlib import Path

import pytest

DATA = Path(os.environ.get("SSMDE_DATA", Path(__file__).parents[1] / "../shared/data"))
ABSENT = pytest.mark.skipif(not DATA.is_dir(), reason=f"not found: {DATA}; set SSMDE_DATA")


def needs_data(test):
    return pytest.mark.recordings(ABSENT(test))
