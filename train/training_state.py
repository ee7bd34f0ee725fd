"""What training needs to go on, written so that any layout can read it: whole fp32 tensors under our names.

    weight/<name>                        the fp32 weights, which bf16 and fp16 training keep beside the model's
    momentum/<name>, mean/.., square/..  the optimizer's
    ema/<name>                           the running average of the weights
    index.json                           the optimizer's step, the loss scale, what it was made for, the loop's state

Each process gathers one tensor at a time and writes every n-th, so that memory is one tensor and writing is shared.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from pipelines.spine import faults, storage
from pipelines.spine.errors import CorpusmillError
from train.optimizer import MuonWithAdamW
from train.partitions import Partitions, Slice
from train.tensor_files import TensorFile, TensorReader, TensorWriter, check_file, open_tensors, read_index, write_index
from train.world import World, agree

#: What DeepSpeed's dynamic loss scaler counts.
SCALER = ("cur_scale", "cur_iter", "last_overflow_iter", "cur_hysteresis")


class TrainingState:
    """Weights and optimizer of this process, as tensors by kind and name.

    Args:
        partitions: where they lie.
        optimizer: ours.
        scaler: DeepSpeed's loss scaler, under fp16; else None.
        writer: (this process's number, how many) among those that hold the same parameters.
        elsewhere: names of parameters that another pipeline stage writes.
    """

    def __init__(
        self,
        partitions: Partitions,
        optimizer: MuonWithAdamW,
        scaler: Any | None,
        writer: tuple[int, int],
        elsewhere: frozenset[str] = frozenset(),
    ) -> None:
        self.partitions, self.optimizer, self.scaler = partitions, optimizer, scaler
        self.writer, self.elsewhere = writer, elsewhere
        self._groups = {name: group for group in optimizer.param_groups for name in group["names"]}
        for part in partitions.slices:
            if part.partition is not None:
                state = optimizer.prepare(part.partition, self._groups[part.name])
                _begin(state, part.partition)

    def kinds(self, part: Slice) -> tuple[str, ...]:
        """Names of the tensors that a parameter has."""
        return ("weight", *self.optimizer.kinds_of(self._groups[part.name]))

    def values(self, part: Slice, kind: str) -> Tensor | None:
        """The tensor shaped like the parameter's partition; None where this process has no part."""
        if part.partition is None:
            return None
        found: Tensor = part.partition if kind == "weight" else self.optimizer.state[part.partition][kind]
        return found

    def wholes(self, kind: str) -> Iterator[tuple[str, Tensor]]:
        """(name, whole tensor) of one kind, of the parameters that this process's stage answers for."""
        for part in self.partitions.slices:
            if part.name not in self.elsewhere:
                yield part.name, self.partitions.whole(part, self.values(part, kind))

    @property
    def step(self) -> int:
        """Updates that the optimizer has made."""
        return max((int(state["step"]) for state in self.optimizer.state.values()), default=0)

    def write(self, folder: Path, world: World, facts: Mapping[str, Any]) -> None:
        """Writes all tensors and the index; every process calls it.

        Raises:
            CorpusmillError: the disk is full, or refuses.
        """
        turns = [(part, kind) for part in self.partitions.slices if part.name not in self.elsewhere
                 for kind in self.kinds(part)]  # fmt: skip
        number, writers = self.writer
        shapes = {f"{kind}/{part.name}": part.shape for part, kind in turns[number::writers]}
        path, file, error, written = folder / f"part-{world.rank:05}.safetensors", None, None, None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file = TensorWriter(path, shapes)
        except OSError as failure:
            error = failure
        for turn, (part, kind) in enumerate(turns):
            # Also after an error: the others need this process's part of their tensors.
            whole = self.partitions.whole(part, self.values(part, kind))
            if turn % writers == number and file is not None and error is None:
                try:
                    file.add(whole)
                except OSError as failure:
                    error = failure
            faults.reach("pretrain:writing")
        if file is not None and error is None:
            try:
                written = file.close()
            except OSError as failure:
                error = failure
        if file is not None and error is not None:
            file.abandon()
        agree(None if error is None else _not_saved(error, path))
        files: list[TensorFile | None] = [None] * world.size
        dist.all_gather_object(files, written)
        if world.leads:
            scale = {name: getattr(self.scaler, name) for name in SCALER if hasattr(self.scaler, name)}
            facts = {**facts, "optimizer_step": self.step, "loss_scaler": scale}
            write_index(folder, [entry for entry in files if entry is not None], facts)

    def read(self, folder: Path, world: World, made_for: Mapping[str, str]) -> dict[str, Any]:
        """Fills weights and optimizer from what any layout wrote; returns the index. The model sees them not yet.

        Raises:
            CorpusmillError: a file is damaged, or the checkpoint was made for something else.
        """
        error: CorpusmillError | None = None
        index: dict[str, Any] = {}
        hint = _way_back(folder)
        try:
            index = read_index(folder, hint)
            _compare(folder, index["made_for"], made_for)
            for name in sorted(index["files"])[world.rank :: world.size]:
                check_file(folder, name, index, hint)
        except CorpusmillError as failure:
            error = failure
        agree(error)
        with open_tensors(folder, index) as tensors, torch.no_grad():
            for part in self.partitions.slices:
                for kind in self.kinds(part):
                    self._fill(part, kind, tensors)
        for state in self.optimizer.state.values():
            state["step"] = index["optimizer_step"]
        if self.scaler is not None:
            for name, value in index["loss_scaler"].items():
                setattr(self.scaler, name, value)
        return index

    def _fill(self, part: Slice, kind: str, tensors: TensorReader) -> None:
        values = self.values(part, kind)
        if values is not None:
            part.fill(values, self.partitions.own(part, tensors.read(f"{kind}/{part.name}")))


def _begin(state: dict[str, Any], partition: Tensor) -> None:
    """Makes a state that of no step: some of DeepSpeed's layouts step once on zero gradients when they start."""
    state["step"] = 0
    for kind, values in state.items():
        if isinstance(values, Tensor):
            values.copy_(partition.detach()) if kind == "ema" else values.zero_()


def digest(facts: Any) -> str:
    """Hex sha256 of plain values."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _compare(folder: Path, theirs: Mapping[str, str], ours: Mapping[str, str]) -> None:
    for what in sorted(set(theirs) & set(ours)):
        if theirs[what] != ours[what]:
            raise CorpusmillError(
                f"the checkpoint was made for another {what}", where=str(folder),
                expected=f"{what} {ours[what][:12]}", got=f"{what} {theirs[what][:12]}",
                hint=f"delete {folder.parent} to train from the start, or go back to what it was made for",
            )  # fmt: skip


def _way_back(folder: Path) -> str:
    """What to do about a damaged checkpoint: the one before it still stands, where there is one."""
    others = [path.name for path in folder.parent.glob("step-*") if path.name < folder.name]
    if others:
        return f"delete {folder}, then run again: training goes on from {max(others)}, the checkpoint before it"
    return f"delete {folder.parent} to train from the start: there is no checkpoint before this one"


def _not_saved(error: OSError, path: Path) -> CorpusmillError:
    words = storage.explained(error, path)
    return CorpusmillError(
        f"the checkpoint could not be saved: {words.message}", where=str(path),
        hint="free some space and run again: training goes on from the checkpoint before",
    )  # fmt: skip
