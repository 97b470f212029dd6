"""Where networks compute."""

import pytest
import torch

from ssmde.models.device import choose_device


def test_a_device_is_taken_by_its_name():
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("meta") == torch.device("meta")
    assert choose_device(torch.device("cpu")) == torch.device("cpu")


@pytest.mark.parametrize("wanted", [None, "auto"])
@pytest.mark.parametrize(("there", "found"), [(False, "cpu"), (True, "cuda")])
def test_by_default_it_is_the_gpu_if_there_is_one(monkeypatch, wanted, there, found):
    monkeypatch.setattr("torch.cuda.is_available", lambda: there)
    assert choose_device(wanted).type == found


def test_a_gpu_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ValueError, match="device 'gpu': torch finds no CUDA device here"):
        choose_device("gpu")
