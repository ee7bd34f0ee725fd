"""Live progress: workers leave small heartbeat files, the launching process draws one line from them.

Files, because a Beam runner blocks while it works and its workers may be other processes. What is drawn goes to
standard error and never into a declared output.
"""

import contextlib
import json
import os
import shutil
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.spine.units import Unit

BEAT_SECONDS = 0.5
LOG_SECONDS = 30.0


@dataclass(frozen=True)
class Heartbeat:
    """Where workers say how far they are; "" keeps them silent.

    Args:
        folder: an absolute path, empty at the start of a run.
    """

    folder: str = ""

    @contextlib.contextmanager
    def unit(self, unit: Unit) -> Iterator[Callable[[int], None]]:
        """A function that counts records of this unit, written out at most twice a second."""
        path = Path(self.folder) / f"{unit.name}.{uuid.uuid4().hex[:8]}"
        records, last = 0, time.monotonic()

        def write(done: bool) -> None:
            with contextlib.suppress(OSError):  # progress is never worth failing for
                path.write_text(json.dumps({"records": records, "bytes": unit.bytes if done else 0, "done": done}))

        def beat(number: int) -> None:
            nonlocal records, last
            records += number
            if self.folder and time.monotonic() - last >= BEAT_SECONDS:
                last = time.monotonic()
                write(False)

        yield beat
        if self.folder:
            write(True)


class Display:
    """Draws the state of a run until the block ends.

    Args:
        stage: what to call it.
        counts: what is counted: documents, tokens.
        units: the plan.
        heartbeat: where the workers write.
    """

    def __init__(self, stage: str, counts: str, units: Sequence[Unit], heartbeat: Heartbeat) -> None:
        self.stage, self.counts, self.heartbeat = stage, counts, heartbeat
        self.num_units, self.total_bytes = len(units), sum(unit.bytes for unit in units)
        self._stop = threading.Event()
        self._live = sys.stderr.isatty()

    def __enter__(self) -> "Display":
        self._start = time.monotonic()
        self._thread = threading.Thread(target=self._draw_until_stopped, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self._stop.set()
        self._thread.join()
        if self._live:
            sys.stderr.write("\r\x1b[K")
        if failure[0] is None:
            print(self.line(done=True), file=sys.stderr, flush=True)
        if self.heartbeat.folder:
            shutil.rmtree(self.heartbeat.folder, ignore_errors=True)

    def line(self, done: bool = False) -> str:
        """``clean  3/8 units  12,345 documents  8.1 MB/s  0:12 left``; of workers elsewhere, who cannot say, less."""
        seconds = max(time.monotonic() - self._start, 1e-3)
        if self.heartbeat.folder and not os.path.isdir(self.heartbeat.folder):
            return f"{self.stage:<8} {self.num_units} units elsewhere  in {seconds:.1f} s"
        records, read, finished = self._read()
        text = f"{self.stage:<8} {finished}/{self.num_units} units  {records:,} {self.counts}"
        text += f"  {read / 1e6 / seconds:.1f} MB/s"
        if done:
            # Units that the cache held leave no heartbeat.
            reused = self.num_units - finished
            return text + f"  in {seconds:.1f} s" + (f"  ({reused} units reused)" if reused > 0 else "")
        if 0 < read < self.total_bytes:
            left = int(seconds * (self.total_bytes - read) / read)
            text += f"  {left // 60}:{left % 60:02d} left"
        return text

    def _read(self) -> tuple[int, int, int]:
        records = read = finished = 0
        if not self.heartbeat.folder or not os.path.isdir(self.heartbeat.folder):
            return 0, 0, 0
        for entry in os.scandir(self.heartbeat.folder):
            with contextlib.suppress(OSError, ValueError):
                state = json.loads(Path(entry.path).read_text())
                records += state["records"]
                read += state["bytes"]
                finished += state["done"]
        return records, read, finished

    def _draw_until_stopped(self) -> None:
        last = self._start
        while not self._stop.wait(BEAT_SECONDS):
            if self._live:
                sys.stderr.write(f"\r\x1b[K{self.line()}")
                sys.stderr.flush()
            elif time.monotonic() - last >= LOG_SECONDS:
                last = time.monotonic()
                print(self.line(), file=sys.stderr, flush=True)
