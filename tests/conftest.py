"""Fixtures that several test files share."""

import contextlib
import functools
import os
import sys
from pathlib import Path

import pytest

# Before torch is loaded: two test processes on two cores, each with threads that wait for one another by spinning, took
# 0.9 s of CPU and 6 s of clock for a step of 64 tokens that one thread computes in 0.03 s. Stages set their own number.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def pytest_collection_finish() -> None:
    """After the tests' imports, of which Beam may be one."""
    if "apache_beam" in sys.modules:
        import quick_beam

        quick_beam.quicken(worker_python)


_servers = contextlib.ExitStack()


@functools.cache
def worker_python() -> Path:
    """The Python of Beam's local workers, whose server starts when a test first asks for several."""
    from warm_python import FOR_WORKERS, warm_python

    return _servers.enter_context(warm_python(FOR_WORKERS))


def pytest_unconfigure() -> None:
    _servers.close()


@pytest.fixture(scope="session")
def beam_worker() -> Path:
    """A Python for Beam's workers that has imported Beam."""
    return worker_python()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real corpora beside the checkout; tests that need it skip where it is missing."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"real corpora are not there: no folder {folder.parent.name}/{folder.name} beside the checkout")
    return folder
