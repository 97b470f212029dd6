"""Old names fail with the new one in the message, and each new one is there."""

from importlib import import_module
from importlib.util import find_spec

import pytest

import ssmde
from ssmde.renamed import RENAMED


def test_an_old_module_says_where_it_is_now():
    for old, new in RENAMED.items():
        for name in (old, f"{old}.part"):
            with pytest.raises(ImportError, match=f"{old} is now {new}: import that"):
                import_module(name)
        parent, _, child = old.rpartition(".")
        if parent == "ssmde" and child not in ssmde.__all__:
            with pytest.raises(AttributeError, match=f"{old} is now {new}"):
                getattr(ssmde, child)
            with pytest.raises(ImportError, match=f"{old} is now {new}"):
                exec(f"from ssmde import {child}")
        assert find_spec(new)
