"""Where training goes on after a kill: checkpoints outside the stage's outputs, whole or not there at all.

    <cache>/train/<fingerprint>/
      lock               held by the process that trains here
      latest             the name of the last whole checkpoint, written last
      step-000400/       what Engine.save wrote, published by a rename; the last two are kept
      *.csv              curves, a line at a time; cut back to the checkpoint on resume (train.curves)
      stop               put there by a person: the run saves and ends (train.stop)
      snapshots/, best/  weights of the last evaluations, and of the best one (train.snapshots)
      batch-step-*.json  batches whose loss was no good (train.evidence)

The fingerprint covers parameters, modules, versions, shards and tokenizer, so a change of any starts afresh in
another folder, and going back to the former values goes on in the former one. It leaves out ``engine`` and the number
of processes: a checkpoint can be read under every layout (train/training_state.py).
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pipelines.spine import faults, storage
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.lineage import modules_digest
from pipelines.spine.params import to_jsonable

KEPT = 2
_NAME = re.compile(r"step-(\d{9})")
_SAVING = "saving"


class CheckpointFolder:
    """The checkpoints of one recipe on one corpus.

    Every process may read; the one with ``leads`` alone creates, renames and deletes.
    """

    def __init__(self, folder: Path, leads: bool) -> None:
        self.folder = folder
        self.leads = leads
        if leads:
            folder.mkdir(parents=True, exist_ok=True)
            self._discard_unfinished()

    @property
    def saving(self) -> Path:
        """Where all processes write a checkpoint before it is published."""
        return self.folder / _SAVING

    def latest(self) -> Path | None:
        """The last whole checkpoint; the one before it where somebody deleted it.

        Raises:
            CorpusmillError: the pointer names one that is not there, and there is none before it.
        """
        pointer = self.folder / "latest"
        if not pointer.exists():
            return None
        name = pointer.read_text(encoding="utf-8").strip()
        # What lies behind the pointer was renamed by a life that died before it wrote the pointer: done again.
        found = self.before(int(number[1]) + 1) if (number := _NAME.fullmatch(name)) else None
        if found is None:
            raise CorpusmillError(
                "the last checkpoint is gone", where=str(pointer), got=name,
                hint=f"delete {self.folder} to train from the start",
            )  # fmt: skip
        return found

    def before(self, step: int) -> Path | None:
        """The last checkpoint of a step below ``step``; only whole ones have these names."""
        whole = [path for path in self._whole() if _step_of(path) < step]
        return whole[-1] if whole else None

    @property
    def oldest_step(self) -> int:
        """The step of the first checkpoint that is kept."""
        return min(map(_step_of, self._whole()))

    def go_back(self, step: int) -> Path | None:
        """Makes the last checkpoint at or before ``step`` the latest one; None: there is none, and nothing changed.

        The pointer first: a run that dies here goes on from that checkpoint, meets the same loss and goes back again.
        """
        earlier = self.before(step + 1)
        if earlier is None:
            return None
        storage.write_text(self.folder / "latest", earlier.name + "\n")
        faults.reach("pretrain:rollback")
        self.drop_later(earlier)
        return earlier

    def drop_later(self, latest: Path) -> None:
        """Deletes the checkpoints after the latest one: of another course, they would count among the last that are kept."""
        for path in self._whole():
            if _step_of(path) > _step_of(latest):
                shutil.rmtree(path)

    def publish(self, step: int) -> None:
        """Makes what was saved the latest checkpoint; until the pointer is written the one before it stands.

        Raises:
            CorpusmillError: the disk is full, or refuses.
        """
        target = self.folder / f"step-{step:09d}"
        try:
            for path in sorted(self.saving.rglob("*")):
                if path.is_file():
                    _sync(path)
            faults.reach("pretrain:saving")
            if target.exists():
                shutil.rmtree(target)  # an earlier life died between the rename and the pointer
            os.replace(self.saving, target)
        except OSError as error:
            raise storage.explained(error, target) from error
        storage.write_text(self.folder / "latest", target.name + "\n")
        faults.reach("pretrain:saved")
        self._keep_last()

    def _keep_last(self) -> None:
        for path in self._whole()[:-KEPT]:
            shutil.rmtree(path)

    def _whole(self) -> list[Path]:
        return sorted(path for path in self.folder.iterdir() if _NAME.fullmatch(path.name) and path.is_dir())

    def _discard_unfinished(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self.saving)
        for path in self.folder.glob(f"{storage.TEMPORARY}*"):
            path.unlink()


def _step_of(path: Path) -> int:
    return int(path.name.partition("-")[2])


def run_fingerprint(params: Any, versions: Mapping[str, str], module: str, inputs: Iterable[str]) -> str:
    """What a run's checkpoint folder is named after: a digest of all that shapes its result.

    How it is computed shapes nothing but rounding, so ``params.engine`` and the number of processes stay out: a run
    may go on under another layout. The contents of ``inputs`` (digests of shards and tokenizer) come in.
    """
    shaping = {name: value for name, value in to_jsonable(params).items() if name != "engine"}
    parts = [shaping, dict(versions), modules_digest(module), list(inputs)]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def _sync(path: Path) -> None:
    with open(path, "rb") as file:
        os.fsync(file.fileno())
