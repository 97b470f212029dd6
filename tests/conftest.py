"""Settings shared by all tests: reproducible, and patient with the first call into torch."""

import gc
import os
from functools import partial
from importlib.machinery import SourceFileLoader
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
from hypothesis import settings
from jaxtyping import _import_hook

# Ray's workers step back for all other work of a machine by default: on a busy one a test of
# seconds takes minutes. Read when a cluster starts.
os.environ.setdefault("RAY_worker_niceness", "0")
# No test waits for the hub, or depends on whether it answers. Read when its client is imported.
os.environ.setdefault("HF_HUB_OFFLINE", "1")


def get_code(loader, name):
    """Bytecode of a module with its checks of shapes."""
    tag = partial(_import_hook._optimized_cache_from_source, loader._typechecker.get_hash())
    with patch("importlib._bootstrap_external.cache_from_source", tag):
        return SourceFileLoader.get_code(loader, name)


# jaxtyping keeps the bytecode of what it checks apart, and by mistake also that of all which this
# imports in turn: every worker compiled torch and Lightning anew, 20 s of it.
if "exec_module" in vars(_import_hook._JaxtypingLoader):
    _import_hook._JaxtypingLoader.get_code = get_code
    del _import_hook._JaxtypingLoader.exec_module

SPREAD = ("tests/training/", "tests/test_kills.py", "tests/test_commands_of_the_pages.py")

settings.register_profile("torch", deadline=None, derandomize=True, max_examples=20)
settings.load_profile("torch")


@pytest.fixture(autouse=True)
def fixed_seed():
    torch.manual_seed(0)


@pytest.fixture(scope="module")
def cluster():
    """A Ray cluster of two workers on this machine."""
    ray = pytest.importorskip("ray")
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    options = {"include_dashboard": False, "log_to_driver": False}
    with patch.dict(os.environ, PYTHONPATH=path):  # workers import modules of the tests
        ray.init(num_cpus=2, object_store_memory=80 * 2**20, **options)
    yield ray
    ray.shutdown()


def pytest_collection_modifyitems(items):
    for item in items:
        if item.get_closest_marker("gpu") and not torch.cuda.is_available():
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Long files that share next to nothing between their tests are dealt test by test."""
    if config.getoption("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class Spread(LoadFileScheduling):
        def _split_scope(self, nodeid):
            return nodeid if nodeid.startswith(SPREAD) else super()._split_scope(nodeid)

    return Spread(config, log)


def pytest_collection_finish():
    """What is imported by now stays: not looked through at each collection, a tenth of all time."""
    gc.freeze()


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
