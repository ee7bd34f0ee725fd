"""A stage's command, with the bytes counted that enter each of its shuffles.

    python -m bench.counted_shuffles COUNTS.json pipelines.dedup --input ... --output ...

Beam's in-process runner gathers what enters a GroupByKey (a Reshuffle and a CoGroupByKey end in one too) in a buffer, as
the bytes that its coders made of keys, values and timestamps: those are counted, before anything is decoded. Side
inputs are counted too, once for each step that takes them: a cluster hands them to each of its workers.

COUNTS.json: transform -> bytes, summed over the pipelines of the stage.
"""

import importlib
import json
import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from apache_beam.runners.portability.fn_api_runner import execution

from pipelines.runner import WORKERS
from pipelines.spine.command import run_module

SIDE_INPUTS = "side inputs"


class _Counting(execution.GroupingBuffer):
    """A buffer of a GroupByKey that adds the bytes it is given to a counter."""

    counter: Counter[str]
    name: str

    def append(self, elements_data: bytes) -> None:
        self.counter[self.name] += len(elements_data)
        super().append(elements_data)


def count_shuffles() -> Counter[str]:
    """A counter of bytes by transform that all pipelines of this process feed from now on."""
    counter: Counter[str] = Counter()
    get_buffer = execution.BundleContextManager.get_buffer
    commit = execution.FnApiRunnerExecutionContext.commit_side_inputs_to_state

    def counted(self: Any, buffer_id: bytes, transform_id: str) -> Any:
        buffer: Any = get_buffer(self, buffer_id, transform_id)
        kind, name = execution.split_buffer_id(buffer_id)
        if kind == "group" and not isinstance(buffer, _Counting):
            buffer.__class__ = _Counting
            buffer.counter = counter
            buffer.name = self.execution_context.pipeline_components.transforms[name].unique_name
        return buffer

    def committed(self: Any, data_side_input: Any) -> Any:
        for buffer_id, _ in data_side_input.values():
            counter[SIDE_INPUTS] += sum(map(len, self.pcoll_buffers.get(buffer_id, ())))
        return commit(self, data_side_input)

    execution.BundleContextManager.get_buffer = counted  # type: ignore[method-assign]
    execution.FnApiRunnerExecutionContext.commit_side_inputs_to_state = committed  # type: ignore[method-assign]
    return counter


def main(argv: Sequence[str]) -> int:
    """The command; returns the stage's exit status."""
    target, module, *arguments = argv
    counter = count_shuffles()
    importlib.import_module(module)
    sys.argv = [module, *arguments]
    status = run_module(module)
    Path(target).write_text(json.dumps(dict(sorted(counter.items())), indent=1))
    return status


if __name__ == "__main__":
    os.environ[WORKERS] = "1"  # in this process
    sys.exit(main(sys.argv[1:]))
