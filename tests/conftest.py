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


def pytest_addoption(parser):
    parser.addoption(
        "--may-skip", help="markers, with commas: a test without one of them that is skipped fails"
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    report = yield
    may = item.config.getoption("--may-skip")
    allowed = not may or any(item.get_closest_marker(name) for name in may.split(","))
    if report.skipped and not allowed and not hasattr(report, "wasxfail"):
        report.outcome, report.longrepr = "failed", f"skipped: {report.longrepr[2]}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    report = yield
    if collector.config.getoption("--may-skip") and report.skipped:
        report.outcome, report.longrepr = "failed", f"skipped: {report.longrepr[2]}"
    return report
