"""An import under an old name fails with the new one."""

import importlib

import pytest

from ssmde.renamed import RENAMED


@pytest.mark.parametrize("name", RENAMED)
def test_an_old_name_says_the_new_one(name):
    with pytest.raises(ModuleNotFoundError, match=f"{name} is now {RENAMED[name].split()[0]}"):
        importlib.import_module(name)
    importlib.import_module(RENAMED[name].split()[0])
