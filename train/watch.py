"""What a person sees of a training run, and the speeds: never part of a declared output.

    <logs>/pretrain.jsonl       one object a step, an evaluation, ...; keys: ``docs/watching.md``
    <logs>/tensorboard/<run>/   the same for TensorBoard
    <logs>/samples.txt          text that the model wrote at evaluations

On a terminal one line renews itself; otherwise there is a line at each evaluation and every half a minute.
"""

import contextlib
import functools
import shutil
import statistics
import sys
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Self, TextIO

import torch

from pipelines.terminal import printable
from train.device import Peak, device_peak, memory_in_use, mfu
from train.logs import LogFiles
from train.scoring import Score

LOG_SECONDS = 30.0
DRAW_SECONDS = 0.2
#: A CPU's peak is measured no earlier: shorter runs are tests, and a fifth of a second is much for them.
MEASURE_AFTER_SECONDS = 2.0
#: Steps that the speed is taken from.
RECENT_STEPS = 50
BAR_WIDTH = 30
SAMPLE_CHARS = 100


class Pace:
    """Tokens a second of the last steps, by their median duration.

    A step is measured from the end of the one before it. What stands between is told by ``interrupt``; a checkpoint,
    of which nobody tells, is one long step among many, which a median does not see.
    """

    def __init__(self, tokens_per_step: int) -> None:
        self.tokens_per_step = tokens_per_step
        self._seconds: deque[float] = deque(maxlen=RECENT_STEPS)
        self._last: float | None = None  # the first step of a life compiles and warms up: not counted

    def step(self, now: float) -> float | None:
        """Ends a step; its duration in seconds, None where it is not known."""
        seconds = None if self._last is None else max(now - self._last, 1e-6)
        if seconds is not None:
            self._seconds.append(seconds)
        self._last = now
        return seconds

    def interrupt(self, now: float) -> None:
        """The next step begins only now."""
        if self._last is not None:
            self._last = now

    @property
    def speed(self) -> float | None:
        """Tokens a second, of all devices."""
        return self.tokens_per_step / statistics.median(self._seconds) if self._seconds else None


class Watch:
    """Reports on a run of ``steps`` steps that begins after step ``first``; held by the leading process alone.

    Args:
        logs: folder of the undeclared logs, made when missing; what cannot be written there is not logged.
        steps: the last step.
        first: steps that an earlier life of this run has done.
        tokens_per_step: positions of a step, over all processes.
        flops_per_token: forward and backward.
        world_size: processes, each with its device.
        device: this process's.
        stream: where the lines go.
        precision: ``fp32``, ``bf16`` or ``fp16``: which peak MFU is a share of.
        run: the run's name among TensorBoard's: the same in all lives of it.
    """

    def __init__(
        self,
        logs: Path,
        steps: int,
        first: int,
        tokens_per_step: int,
        flops_per_token: float,
        world_size: int,
        device: torch.device,
        stream: TextIO = sys.stderr,
        precision: str = "fp32",
        run: str = "run",
    ) -> None:
        self.steps, self.first, self.flops_per_token = steps, first, flops_per_token
        self.world_size, self.device, self.precision = world_size, device, precision
        self._stream, self._live = stream, stream.isatty()
        self._start = self._drawn = time.monotonic()
        self._pace = Pace(tokens_per_step)
        self._step = first
        self._files = LogFiles(logs, run, first, self.say)
        self._files.entry("start", first, run=run, steps=steps, tokens_per_step=tokens_per_step)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        if self._live:
            self._put("\r\x1b[K")
        self._files.close()

    def say(self, text: str) -> None:
        """One line that stays."""
        self._put(("\r\x1b[K" if self._live else "") + text + "\n")

    def step(
        self, step: int, loss: float, accuracy: float, learning_rate: float, gradient_norm: float, tokens: int
    ) -> None:
        """Logs a step and draws the state after it.

        Args:
            tokens: of all steps so far.
        """
        if step <= self._step:  # rolled back to a checkpoint
            self._files.restart(step - 1)
        self._step = step
        seconds = self._pace.step(time.monotonic())
        learned = {"loss": loss, "accuracy": accuracy, "learning_rate": learning_rate, "gradient_norm": gradient_norm}
        speeds = {"tokens_per_second": self._pace.speed, "mfu": self._mfu(), "memory_bytes": self._memory(step)}
        self._files.entry("step", step, **learned, tokens=tokens, seconds=seconds, **speeds)
        known = {f"speed/{name}": value for name, value in speeds.items() if value is not None}
        self._files.scalars(step, {f"train/{name}": value for name, value in learned.items()} | known)
        now = time.monotonic()
        if now - self._drawn >= (DRAW_SECONDS if self._live else LOG_SECONDS):
            self._drawn = now
            self._draw(step, loss)

    def evaluated(self, step: int, loss: float, val: Score) -> None:
        """Says what an evaluation on val gave; the time since the last step is the evaluation's."""
        scores = {"loss": val.loss, "bits_per_byte": val.bits_per_byte}
        scores |= {} if val.accuracy is None else {"accuracy": val.accuracy}
        self._files.entry("val", step, **{f"val_{name}": value for name, value in scores.items()})
        self._files.scalars(step, {f"val/{name}": value for name, value in scores.items()})
        accuracy = "" if val.accuracy is None else f"  {100 * val.accuracy:.1f} % right"
        told = f"val {val.loss:.3f}  {val.bits_per_byte:.3f} bits a byte{accuracy}"
        trained, *speeds = self._parts(step, loss)
        self.say("  ".join([f"pretrain {step}/{self.steps}", trained, told, *speeds]))
        self._pace.interrupt(time.monotonic())

    def monitored(self, step: int, layer_norms: Mapping[str, float]) -> None:
        """Logs the 2-norm of each parameter's gradient."""
        self._files.entry("layers", step, gradient_norms=dict(layer_norms))
        self._files.scalars(step, {f"gradient_norms/{name}": norm for name, norm in layer_norms.items()})
        self._pace.interrupt(time.monotonic())

    def sample(self, step: int, text: str) -> None:
        """Keeps a text that the model wrote, and shows its beginning."""
        self._files.entry("sample", step, text=text)
        self._files.sample(step, text)
        shown = printable(" ".join(text.split()))
        self.say(f"  {shown[:SAMPLE_CHARS]}{'...' if len(shown) > SAMPLE_CHARS else ''}")
        self._pace.interrupt(time.monotonic())

    def warn(self, text: str) -> None:
        """A line that stays and is logged: something that a person should look at."""
        self._files.entry("warning", self._step, text=text)
        self.say(f"warning: {text}")

    def line(self, step: int, loss: float, columns: int) -> str:
        """The state in at most so many columns; memory and MFU go first where there is no room.

        ``pretrain [####------] 360/900  loss 4.120  12,345 tokens/s  1:02 left  MFU 31 % of 0.32 TFLOP/s  0.5 GB``
        """
        parts = [f"{step}/{self.steps}", *self._parts(step, loss)]
        while len(parts) > 2 and len("  ".join(["pretrain", *parts])) > columns:
            parts.pop()
        text = "  ".join(parts)
        width = min(BAR_WIDTH, columns - len("pretrain [] ") - len(text))
        done = width * step // max(self.steps, 1)
        bar = f" [{'#' * done}{'-' * (width - done)}]" if width >= 5 else ""
        return f"pretrain{bar} {text}"[:columns]

    def _parts(self, step: int, loss: float) -> list[str]:
        """What is known, the most wanted first."""
        parts = [f"loss {loss:.3f}"]
        if speed := self._pace.speed:
            parts.append(f"{speed:,.0f} tokens/s")
        if step > self.first:
            # By the clock since the start, so that evaluations and checkpoints to come are counted like those so far.
            left = int((self.steps - step) * (time.monotonic() - self._start) / (step - self.first))
            parts.append(f"{_clock(left)} left")
        share = self._mfu()
        if share is not None:
            parts.append(f"MFU {100 * share:.0f} % of {self._peak.flops / 1e12:,.3g} TFLOP/s")
        if memory := memory_in_use(self.device, self.world_size):
            parts.append(f"{memory / 1e9:.1f} GB")
        return parts

    @functools.cached_property
    def _peak(self) -> Peak:
        """What one device could do; says so once, since a share of an unknown whole tells nothing."""
        peak = device_peak(self.device, self.precision)
        devices = f"{self.world_size} x " if self.world_size > 1 else ""
        self.say(f"pretrain: MFU is a share of {devices}{peak}")
        self._files.entry("peak", self._step, flops=peak.flops, source=peak.source, devices=self.world_size)
        self._pace.interrupt(time.monotonic())
        return peak

    def _mfu(self) -> float | None:
        speed = self._pace.speed
        early = self.device.type == "cpu" and time.monotonic() - self._start < MEASURE_AFTER_SECONDS
        if speed is None or early:
            return None
        return mfu(speed, self.flops_per_token, self._peak.flops, self.world_size)

    def _memory(self, step: int) -> int | None:
        """Bytes, at every tenth step: they are read from files of the system."""
        return memory_in_use(self.device, self.world_size) if step % 10 == 0 else None

    def _draw(self, step: int, loss: float) -> None:
        if self._live:
            # One column less than there are: some terminals wrap after the last one.
            self._put(f"\r\x1b[K{self.line(step, loss, shutil.get_terminal_size().columns - 1)}")
        else:
            self.say("  ".join([f"pretrain {step}/{self.steps}", *self._parts(step, loss)]))

    def _put(self, text: str) -> None:
        with contextlib.suppress(OSError):  # a terminal that was closed stops no training
            self._stream.write(text)
            self._stream.flush()


class Silence(Watch):
    """Reports nothing: what the processes hold that do not lead."""

    def __init__(self) -> None:
        pass

    def __exit__(self, *failure: object) -> None:
        pass

    def say(self, text: str) -> None:
        pass

    def step(
        self, step: int, loss: float, accuracy: float, learning_rate: float, gradient_norm: float, tokens: int
    ) -> None:
        pass

    def evaluated(self, step: int, loss: float, val: Score) -> None:
        pass

    def monitored(self, step: int, layer_norms: Mapping[str, float]) -> None:
        pass

    def sample(self, step: int, text: str) -> None:
        pass

    def warn(self, text: str) -> None:
        pass


def _clock(seconds: int) -> str:
    """1:02 of minutes and seconds; 3:01:02 with hours."""
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
