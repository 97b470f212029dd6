"""Settings shared by all tests: reproducible, and patient with the first call into torch."""

import os

import pytest
import torch
from hypothesis import settings

# Ray's workers step back for all other work of a machine by default: on a busy one a test of
# seconds takes minutes. Read when a cluster starts.
os.environ.setdefault("RAY_worker_niceness", "0")
# No test waits for the hub, or depends on whether it answers. Read when its client is imported.
os.environ.setdefault("HF_HUB_OFFLINE", "1")

settings.register_profile("torch", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("torch")


@pytest.fixture(autouse=True)
def fixed_seed():
    torch.manual_seed(0)


@pytest.fixture(scope="module")
def cluster():
    """A Ray cluster of two workers on this machine."""
    ray = pytest.importorskip("ray")
    ray.init(
        num_cpus=2, object_store_memory=80 * 2**20, include_dashboard=False, log_to_driver=False
    )
    yield ray
    ray.shutdown()


def pytest_collection_modifyitems(items):
    if torch.cuda.is_available():
        return
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))
