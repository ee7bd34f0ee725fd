"""Bundles that run twice, one after the other and at the same time: the same ledgers and the same bytes.

Beam's in-process runner replays each bundle and throws away what the replay emits, as a cluster does with a late
duplicate; and a second command does the same units at the same time, into the same cache.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from corpora import digests
from dataflow_runs import STAGES, SUBMITTED, command, write_workspace
from warm_runs import PipelineRuns

TWICE = "--direct_runner_bundle_repeat=1"
#: A search of `dedup` is one process's: the second command says so and ends.
AT_ONCE = tuple(stage for stage in SUBMITTED if stage != "dedup")


@pytest.fixture(scope="module")
def flows(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The flow in ``once``, in ``twice``, and a second time in ``beside`` with the inputs and the cache of ``twice``."""
    folder = tmp_path_factory.mktemp("bundles")
    write_workspace(folder / "workspace", folder / "once", folder / "twice")
    for name in ("one", "other"):
        (folder / name).mkdir()
    here = {"CORPUSMILL_RUNNER": "", "CORPUSMILL_ROOT": "", "CORPUSMILL_WORKERS": "1"}
    with PipelineRuns(folder / "one") as one, PipelineRuns(folder / "other") as other, ThreadPoolExecutor(2) as threads:
        for stage in STAGES:
            module, *first = command(stage, folder / "workspace", folder / "once")
            _, *second = command(stage, folder / "workspace", folder / "twice")
            ended = [one.run(module, first, **here)]
            repeated = [*second, TWICE] if stage in SUBMITTED else second
            runs = [threads.submit(one.run, module, repeated, **here)]
            if stage in AT_ONCE:
                beside = [word.replace(f"/twice/{stage}", f"/beside/{stage}") for word in second]
                runs.append(threads.submit(other.run, module, beside, **here))
            for status, said in (*ended, *(run.result() for run in runs)):
                assert status == 0, f"{stage}: {said[-3000:]}"
        yield folder


@pytest.mark.parametrize("stage", SUBMITTED)
def test_bundles_that_run_twice_leave_the_ledger_and_the_bytes_of_those_that_run_once(stage: str, flows: Path) -> None:
    once = digests(flows / "once" / stage)
    assert {"ledger.json", "manifest.json"} < set(once)
    assert digests(flows / "twice" / stage) == once


@pytest.mark.parametrize("stage", AT_ONCE)
def test_two_that_do_the_same_units_at_once_leave_the_same_bytes(stage: str, flows: Path) -> None:
    assert digests(flows / "beside" / stage) == digests(flows / "once" / stage)
