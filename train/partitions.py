"""Where the numbers of each parameter lie in this process, and how to bring a whole tensor together from all of them.

Every layout keeps fp32 numbers in *partitions*, the tensors that the optimizer moves: without ZeRO the parameters
themselves, with ZeRO one flat tensor a group that holds this process's share. A *slice* says which part of a
parameter lies where. Checkpoints, weights, norms by layer and Muon need whole tensors under our names; they ask here,
so nothing else knows the layout.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


@dataclasses.dataclass(frozen=True)
class Slice:
    """The part of one parameter that this process keeps.

    Attributes:
        name: the parameter's, as in our model.
        parameter: what the model computes with.
        shape: of the whole parameter.
        local_shape: of the part that this process's tensor-parallel rank has; ``shape`` where nothing is split.
        split: the dimension that tensor parallelism cuts, or None.
        partition: the fp32 tensor that the optimizer moves; None where this process has no part of the parameter.
        start: first number of the part in the flattened partition.
        offset: first number of the part in the flattened local parameter.
        length: numbers in the part.
    """

    name: str
    parameter: nn.Parameter
    shape: torch.Size
    local_shape: torch.Size
    split: int | None
    partition: Tensor | None
    start: int
    offset: int
    length: int

    def of(self, values: Tensor) -> Tensor:
        """The slice's numbers, flat, of a tensor that is shaped like the partition: gradient, momentum, ..."""
        return values.reshape(-1)[self.start : self.start + self.length]

    def fill(self, values: Tensor, own: Tensor) -> None:
        """Puts numbers into the slice's place in such a tensor, which is contiguous."""
        values.data.view(-1)[self.start : self.start + self.length].copy_(own)


class Partitions:
    """All slices of this process, in the order of the model's parameters, and the processes that hold the others.

    Attributes:
        data_group: the processes over which ZeRO splits partitions; None where each process has all numbers.
        tensor_group: the processes that split matrices; None without tensor parallelism.
    """

    def __init__(
        self,
        slices: Iterable[Slice],
        device: torch.device,
        data_group: Any | None,
        tensor_group: Any | None,
    ) -> None:
        self.slices = tuple(slices)
        self.device, self.data_group, self.tensor_group = device, data_group, tensor_group
        self._by_partition: dict[int, list[Slice]] = {}
        for part in self.slices:
            if part.partition is not None:
                self._by_partition.setdefault(id(part.partition), []).append(part)

    def slices_of(self, partition: Tensor) -> list[Slice]:
        """What lies in a partition, in the order of the model's parameters."""
        return self._by_partition.get(id(partition), [])

    def whole(self, part: Slice, values: Tensor | None) -> Tensor:
        """The whole tensor, fp32; every process of the two groups calls this together, for the same parameter.

        Args:
            part: which parameter.
            values: shaped like the partition; None where this process has no part.
        """
        if self.data_group is None:
            assert values is not None
            local = part.of(values.detach()).view(part.local_shape)
        else:
            found = torch.zeros(part.local_shape.numel(), dtype=torch.float32, device=self.device)
            if values is not None and part.length:
                found[part.offset : part.offset + part.length] = part.of(values.detach())
            # Summed as integers: all but one process bring zeros, and -0.0 keeps its sign.
            dist.all_reduce(found.view(torch.int32), group=self.data_group)
            local = found.view(part.local_shape)
        if part.split is None or self.tensor_group is None:
            return local
        local = local.to(self.device).contiguous()
        parts = [torch.empty_like(local) for _ in range(dist.get_world_size(self.tensor_group))]
        dist.all_gather(parts, local, group=self.tensor_group)
        return torch.cat(parts, dim=part.split)

    def own(self, part: Slice, whole: Tensor) -> Tensor:
        """The numbers of a whole tensor that belong into this process's slice, flat."""
        return self.local(part, whole).reshape(-1)[part.offset : part.offset + part.length]

    def local(self, part: Slice, whole: Tensor) -> Tensor:
        """The tensor-parallel share of a whole tensor."""
        if part.split is None or self.tensor_group is None:
            return whole
        return whole.chunk(dist.get_world_size(self.tensor_group), part.split)[dist.get_rank(self.tensor_group)]

    def norms(self, squares: Mapping[str, Tensor]) -> dict[str, float]:
        """2-norm of each parameter's whole gradient from the sum of squares over this process's slice."""
        names = [part.name for part in self.slices]
        sums = torch.tensor([float(squares.get(name, 0.0)) for name in names], dtype=torch.float64, device=self.device)
        if self.data_group is not None:
            dist.all_reduce(sums, group=self.data_group)
        if self.tensor_group is not None:
            cut = torch.tensor([part.split is not None for part in self.slices], device=self.device)
            shared = torch.where(cut, sums, 0.0)
            dist.all_reduce(shared, group=self.tensor_group)
            sums = torch.where(cut, shared, sums)
        return dict(zip(names, sums.sqrt().tolist(), strict=True))


def find_slices(
    engine: Any, names: Mapping[int, str], shapes: Mapping[str, torch.Size], tensor_parallel: int
) -> list[Slice]:
    """The slices of a started DeepSpeed engine.

    Args:
        engine: DeepSpeed's.
        names: id of a parameter -> its name in our model.
        shapes: name -> whole shape.
        tensor_parallel: processes that share a matrix.
    Raises:
        RuntimeError: DeepSpeed cut a parameter in a way that is not known here.
    """
    found = []
    for parameter in engine.module.parameters():
        name = names[id(parameter)]
        local = torch.Size(getattr(parameter, "ds_shape", parameter.shape))
        split = _split_dimension(name, shapes[name], local, tensor_parallel)
        place = _place(engine, parameter)
        found.append(Slice(name, parameter, shapes[name], local, split, *place))
    return found


def _split_dimension(name: str, whole: torch.Size, local: torch.Size, parts: int) -> int | None:
    if whole == local:
        return None
    different = [dimension for dimension, (a, b) in enumerate(zip(whole, local, strict=True)) if a != b]
    if len(different) != 1 or local[different[0]] * parts != whole[different[0]]:
        raise RuntimeError(f"{name}: {tuple(whole)} was cut into {tuple(local)}")
    return different[0]


def _place(engine: Any, parameter: nn.Parameter) -> tuple[Tensor | None, int, int, int]:
    """(partition, start, offset, length) of a parameter by ZeRO stage."""
    stage = engine.zero_optimization_stage()
    if stage == 0:
        parameter.data = parameter.data.contiguous()  # a matrix cut by columns is a view
        return parameter, 0, 0, parameter.numel()
    if stage == 3:
        group, start, padded = engine.optimizer.grad_position[engine.optimizer.get_param_id(parameter)]
        offset = dist.get_rank(engine.optimizer.dp_process_group) * padded
        length = max(0, min(padded, parameter.ds_numel - offset))  # type: ignore[attr-defined]
        return engine.optimizer.fp32_partitioned_groups_flat[group], start, min(offset, parameter.ds_numel), length  # type: ignore[attr-defined]
    mapping = parameter._hp_mapping  # type: ignore[attr-defined]
    if mapping is None:
        return None, 0, 0, 0
    partition = engine.basic_optimizer.param_groups[mapping.param_group_index]["params"][0]
    local, flat = mapping.lp_fragment_address, mapping.hp_fragment_address
    return partition, flat.start, local.start, flat.numel


def show_to_model(engine: Any) -> None:
    """Copies the partitions into what the model computes with, as the end of each of DeepSpeed's steps does."""
    stage = engine.zero_optimization_stage()
    if stage in (1, 2):
        engine.optimizer.update_lp_params()
    elif stage == 3:
        optimizer = engine.optimizer
        optimizer._partition_all_parameters()
        for group in range(len(optimizer.fp16_groups)):
            optimizer._reassign_or_swap_out_partitioned_parameters(group)
        if len(optimizer.persistent_parameters) > 0:
            optimizer.persistent_parameters[0].all_gather(optimizer.persistent_parameters)
