"""Which process does what: data, tensor and pipeline parallelism, from the recipe and the number of processes."""

import dataclasses

from train.recipe import EngineParams
from train.world import World


@dataclasses.dataclass(frozen=True)
class Layout:
    """This process's place.

    Attributes:
        data_size: processes, or groups of them, that each compute their own rows of a step.
        data_rank: which of them this one is.
        tensor_rank: which share of each matrix it has.
        stage: which of the pipeline's stages it is.
    """

    data_size: int
    data_rank: int
    tensor_rank: int
    stage: int

    @classmethod
    def of(cls, params: EngineParams, world: World) -> "Layout":
        """As DeepSpeed numbers them: neighbours share matrices; the stages of a pipeline lie far apart."""
        data_size = world.size // (params.tensor_parallel * params.pipeline_stages)
        inside, tensor_rank = divmod(world.rank, params.tensor_parallel)
        stage, data_rank = divmod(inside, data_size)
        return cls(data_size, data_rank, tensor_rank, stage)

    def rows(self, num_rows: int) -> range:
        """The places of a step's rows that this process computes."""
        share = num_rows // self.data_size
        return range(self.data_rank * share, (self.data_rank + 1) * share)
