"""Old names fail with the new one in the message, and each new one is there."""

import sys
from importlib import import_module
from importlib.util import find_spec

import pytest

import ssmde
from ssmde.renamed import RENAMED


def test_an_old_module_says_where_it_is_now(monkeypatch):
    for old, new in RENAMED.items():
        for name in (old, f"{old}.part"):
            monkeypatch.delitem(sys.modules, name, raising=False)
            with pytest.raises(ImportError, match=f"{name} is now {new}"):
                exec(f"from {name} import anything")
        parent, _, child = old.rpartition(".")
        if parent == "ssmde" and child not in ssmde.__all__:
            monkeypatch.delattr(ssmde, child)
            with pytest.raises(AttributeError, match=f"{old} is now {new}"):
                getattr(ssmde, child)
        assert find_spec(new)


def test_a_plain_import_of_an_old_module_fails_where_it_is_used(monkeypatch):
    monkeypatch.delitem(sys.modules, "ssmde.predict", raising=False)
    module = import_module("ssmde.predict")
    with pytest.raises(ImportError, match=r"ssmde\.predict is now ssmde\.inference: import that"):
        _ = module.predict_files
    with pytest.raises(ImportError, match=r"ssmde\.predict is now ssmde\.inference: import that"):
        module("walk.mp4")
    monkeypatch.delattr(ssmde, "predict")
