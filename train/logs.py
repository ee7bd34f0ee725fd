"""The files that a run leaves below ``logs``: JSON lines, TensorBoard's events, samples. Keys: ``docs/watching.md``."""

import contextlib
import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from train.events import EventFile


class LogFiles:
    """When one of them cannot be written all are given up, and a line says so: a full disk of logs stops no training.

    Without TensorBoard its files are left out, and a line says how to get it.

    Args:
        logs: the folder, made when missing.
        run: the run's name among TensorBoard's.
        first: steps that an earlier life of the run has done.
        say: takes a line for the person who watches.
    """

    def __init__(self, logs: Path, run: str, first: int, say: Callable[[str], None]) -> None:
        self._logs, self._say = logs, say
        self._events: EventFile | None = None
        self._files = contextlib.ExitStack()
        self._open = True
        with self._given_up_when_refused():
            logs.mkdir(parents=True, exist_ok=True)
            # A write is a line: after a kill none is cut.
            self._json = self._files.enter_context((logs / "pretrain.jsonl").open("ab", buffering=0))
            self._samples = self._files.enter_context((logs / "samples.txt").open("ab", buffering=0))
            self._events = self._opened_events(logs / "tensorboard" / run, first)

    def entry(self, kind: str, step: int, **values: Any) -> None:
        """One line of ``pretrain.jsonl``; a number that is none is null, as JSON has no other word."""
        if self._open:
            line = json.dumps({"kind": kind, "time": round(time.time(), 3), "step": step, **_finite(values)})
            with self._given_up_when_refused():
                self._json.write(line.encode() + b"\n")

    def restart(self, first: int) -> None:
        """Says that what was logged of steps after ``first`` is void."""
        self.entry("back", first)
        if self._open and self._events:
            with self._given_up_when_refused():
                self._events.restart(first)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        if self._open and self._events:
            with self._given_up_when_refused():
                self._events.scalars(step, {name: float(value) for name, value in values.items()})

    def sample(self, step: int, text: str) -> None:
        if self._open:
            with self._given_up_when_refused():
                self._samples.write(f"--- step {step}\n{text}\n".encode(errors="replace"))
                if self._events:
                    # Four spaces: to Markdown it is code, and stays as it is.
                    self._events.text(step, "sample", "".join(f"    {line}\n" for line in text.splitlines()))

    def close(self) -> None:
        self._open = False
        self._files.close()

    def _opened_events(self, folder: Path, first: int) -> EventFile | None:
        try:
            events = EventFile(folder, first)
        except ImportError:
            self._say("pretrain: no files for TensorBoard; for them `pip install -c constraints.txt tensorboard`")
            return None
        self._files.callback(events.close)
        return events

    @contextlib.contextmanager
    def _given_up_when_refused(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.close()
            why = os.strerror(error.errno).lower() if error.errno else str(error)
            self._say(f"warning: training goes on without logs in {self._logs}: {why}")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
