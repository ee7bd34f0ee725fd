"""What a person sees of a training run, and the speeds: never part of a declared output.

On a terminal one line that renews itself; otherwise a line at each evaluation and every half a minute. Each step's
time goes to ``logs/pretrain.jsonl``.
"""

import contextlib
import json
import sys
import time
from pathlib import Path
from typing import Any, Self, TextIO

import torch

from train.scoring import Score

LOG_SECONDS = 30.0
DRAW_SECONDS = 0.2


class Watch:
    """Reports on a run of ``steps`` steps that begins after step ``first``.

    Args:
        logs: folder of the undeclared log, made when missing; without permission nothing is logged.
        steps: the last step.
        first: steps that an earlier life of this run has done.
        tokens_per_step: positions of a step, over all processes.
        stream: where the lines go.
    """

    def __init__(
        self,
        logs: Path,
        steps: int,
        first: int,
        tokens_per_step: int,
        flops_per_token: int,
        world_size: int,
        device: torch.device,
        stream: TextIO = sys.stderr,
    ) -> None:
        self.steps, self.first, self.tokens_per_step = steps, first, tokens_per_step
        self._stream, self._live = stream, stream.isatty()
        self._start = self._drawn = time.monotonic()
        self._log: TextIO | None = None
        with contextlib.suppress(OSError):
            logs.mkdir(parents=True, exist_ok=True)
            self._log = open(logs / "pretrain.jsonl", "a", encoding="utf-8")  # noqa: SIM115 (closed by __exit__)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        if self._live:
            self._stream.write("\r\x1b[K")
        if self._log is not None:
            self._log.close()

    def say(self, text: str) -> None:
        """One line that stays."""
        self._stream.write(("\r\x1b[K" if self._live else "") + text + "\n")
        self._stream.flush()

    def step(
        self, step: int, loss: float, accuracy: float, learning_rate: float, gradient_norm: float, tokens: int
    ) -> None:
        """Draws the state after a step."""
        now = time.monotonic()
        self._write(time=time.time(), step=step, loss=loss, tokens_per_second=round(self.speed(step)))
        if now - self._drawn < (DRAW_SECONDS if self._live else LOG_SECONDS):
            return
        self._drawn = now
        if self._live:
            self._stream.write(f"\r\x1b[K{self.line(step, loss)}")
            self._stream.flush()
        else:
            self.say(self.line(step, loss))

    def evaluated(self, step: int, loss: float, val: Score) -> None:
        """Says what an evaluation on val gave."""
        self._write(time=time.time(), step=step, val_loss=val.loss, bits_per_byte=val.bits_per_byte)
        self.say(f"{self.line(step, loss)}  val {val.loss:.3f}  {val.bits_per_byte:.3f} bits a byte")

    def monitored(self, step: int, layer_norms: dict[str, float]) -> None:
        """Logs the norms of the gradients by layer."""
        self._write(time=time.time(), step=step, layer_norms=layer_norms)

    def sample(self, step: int, text: str) -> None:
        """Says and logs a continued prompt."""
        self._write(time=time.time(), step=step, sample=text)
        self.say(f"pretrain {step}/{self.steps}  sample: {text}")

    def warn(self, text: str) -> None:
        """One line that stays, of something that wants a look."""
        self.say(f"warning: {text}")

    def line(self, step: int, loss: float) -> str:
        """``pretrain 120/900  loss 4.12  12,345 tokens/s  1:02 left``."""
        left = int((self.steps - step) * self.tokens_per_step / max(self.speed(step), 1e-3))
        clock = f"{left // 60}:{left % 60:02d} left"
        return f"pretrain {step}/{self.steps}  loss {loss:.3f}  {self.speed(step):,.0f} tokens/s  {clock}"

    def speed(self, step: int) -> float:
        """Tokens a second of this life of the run, evaluations and checkpoints included."""
        return (step - self.first) * self.tokens_per_step / max(time.monotonic() - self._start, 1e-3)

    def _write(self, **values: Any) -> None:
        if self._log is not None:
            self._log.write(json.dumps(values) + "\n")
            self._log.flush()


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

    def monitored(self, step: int, layer_norms: dict[str, float]) -> None:
        pass

    def sample(self, step: int, text: str) -> None:
        pass

    def warn(self, text: str) -> None:
        pass
