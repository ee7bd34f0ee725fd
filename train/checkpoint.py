"""Where training goes on after a kill: checkpoints outside the stage's outputs, whole or not there at all.

    <cache>/train/<fingerprint>/
      lock               held by the process that trains here
      latest             the name of the last whole checkpoint, written last
      step-000400/       what DeepSpeed saved, published by a rename; the last two are kept
      *.csv              curves, a line at a time; cut back to the checkpoint on resume (train.curves)
      snapshots/         weights of the last evaluations (train.snapshots)
      batch-step-*.json  batches whose loss was no good (train.evidence)

The fingerprint covers parameters, modules, versions, shards and tokenizer, so a change of any starts afresh in
another folder, and going back to the former values goes on in the former one.
"""

import contextlib
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from pipelines.spine import faults, storage
from pipelines.spine.errors import CorpusmillError

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
        """Where a checkpoint is written before it is published; DeepSpeed needs one place for all processes."""
        return self.folder / _SAVING

    def latest(self) -> Path | None:
        """The last whole checkpoint.

        Raises:
            CorpusmillError: the pointer names one that is not there.
        """
        pointer = self.folder / "latest"
        if not pointer.exists():
            return None
        path = self.folder / pointer.read_text(encoding="utf-8").strip()
        if not _NAME.fullmatch(path.name) or not path.is_dir():
            raise CorpusmillError(
                "the last checkpoint is gone", where=str(pointer), got=path.name,
                hint=f"delete {self.folder} to train from the start",
            )  # fmt: skip
        return path

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
        whole = sorted(path for path in self.folder.iterdir() if _NAME.fullmatch(path.name))
        for path in whole[:-KEPT]:
            shutil.rmtree(path)

    def _discard_unfinished(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self.saving)
        for path in self.folder.glob(f"{storage.TEMPORARY}*"):
            path.unlink()


def explained_save(save: Callable[[], object], where: Path) -> None:
    """Runs DeepSpeed's saving; torch reports a full disk as a RuntimeError, which becomes one clear message."""
    try:
        save()
    except (OSError, RuntimeError) as error:
        raise CorpusmillError(
            f"the checkpoint could not be saved: {error}", where=str(where),
            hint="free some space and run again: training goes on from the checkpoint before",
        ) from error  # fmt: skip


def _sync(path: Path) -> None:
    with open(path, "rb") as file:
        os.fsync(file.fileno())
