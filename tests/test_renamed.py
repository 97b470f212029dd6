"""Old names fail with the new one in the message, and each new one is there."""

from importlib import import_module

import pytest

import ssmde
from ssmde.renamed import RENAMED


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_an_old_module_says_where_it_is_now(old, new):
    with pytest.raises(ModuleNotFoundError, match=f"{old} is now {new}"):
        import_module(old)
    with pytest.raises(ModuleNotFoundError, match=f"{old} is now {new}"):
        import_module(f"{old}.part")
    if old.count(".") == 1 and old.partition(".")[2] not in ssmde.__all__:
        with pytest.raises(AttributeError, match=f"{old} is now {new}"):
            getattr(ssmde, old.partition(".")[2])
        with pytest.raises(ImportError, match=f"{old} is now {new}"):
            exec(f"from ssmde import {old.partition('.')[2]}")
    import_module(new)
