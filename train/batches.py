"""The global batch of a step, always the same for its number, and what its tokens are."""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipelines.spine.errors import CorpusmillError
from pipelines.token_shards import Row
from train.data import StepRows, TokenRows
from train.order import Order
from train.recipe import PretrainParams

if TYPE_CHECKING:
    from tokenizer.encoding import Encoder


#: The shards of the next steps are fetched while one is computed.
AHEAD_STEPS = 4


@dataclasses.dataclass(frozen=True)
class StepTokens:
    """Positions of a batch: targets that count, padding, context of continued documents; by source all together.

    Beside them the tokens that BPE dropout made and that found no place.
    """

    targets: int
    padding: int
    context: int
    by_source: dict[str, int]
    cut: int = 0


@dataclasses.dataclass(frozen=True)
class StepBatch:
    """The rows of one step.

    Attributes:
        first: number of its first sample since training began.
        indices: row numbers in the split.
        rows: what the engine takes.
    """

    step: int
    first: int
    indices: list[int]
    rows: StepRows
    tokens: StepTokens


class Batches:
    """Batch of a step, as a function of the step's number.

    Args:
        encoder: cuts texts anew where ``bpe_dropout`` asks for it, else None.
    """

    def __init__(self, rows: TokenRows, order: Order, params: PretrainParams, encoder: "Encoder | None") -> None:
        self.rows, self.order, self.params, self.encoder = rows, order, params, encoder

    def of(self, step: int) -> StepBatch:
        """The batch of a step, 1 the first.

        Raises:
            CorpusmillError: a row holds an id that the model has no embedding for.
        """
        params = self.params
        first = (step - 1) * params.rows_per_step
        indices = self.order.rows(first, params.rows_per_step).tolist()
        expect_ids(self.rows, indices)
        ahead = min(AHEAD_STEPS, params.steps - step)
        if ahead > 0 and not self.rows.all_opened:
            following = self.order.rows(first + params.rows_per_step, ahead * params.rows_per_step)
            self.rows.ahead(following.tolist())
        rows = self.rows.step_rows(indices)
        if params.bpe_dropout:
            from train.bpe_dropout import dropped_rows

            assert self.encoder is not None
            samples = range(first, first + len(indices))
            rows = dropped_rows(self.rows, indices, samples, self.encoder, params.bpe_dropout, params.seed)
        read = [rows.row(place) for place in range(len(indices))]
        return StepBatch(step, first, indices, rows, count_tokens(self.rows, indices, read, rows.num_cut))


def count_tokens(rows: TokenRows, indices: Sequence[int], read: Sequence[Row], cut: int = 0) -> StepTokens:
    """What the positions of some rows are; what is neither target nor context is padding.

    Args:
        read: those rows as they go into the model: under BPE dropout with other tokens than on disk.
        cut: tokens that found no place in their row then.
    """
    seq_len = rows.facts.seq_len
    targets = sum(row.num_trained for row in read)
    context = sum(int((row.offsets[1:] > 0).sum()) for row in read)
    by_source: dict[str, int] = {}
    for index in indices:
        source = rows.source_of(index)
        by_source[source] = by_source.get(source, 0) + seq_len
    return StepTokens(targets, len(indices) * seq_len - targets - context, context, by_source, cut)


def expect_ids(rows: TokenRows, indices: Sequence[int]) -> None:
    """Passes when every id of the rows is in the vocabulary; microseconds a row, and the rows are read anyway.

    Raises:
        CorpusmillError: one is not; names shard and row.
    """
    vocab_size = rows.facts.vocab_size
    rows.bring(indices)
    for index in indices:
        tokens = rows.tokens(index)
        if int(tokens.max()) >= vocab_size:
            shard, place = rows.place(index)
            raise CorpusmillError(
                "a token id beyond the vocabulary", where=f"{shard.place}: row {place}",
                expected=f"below {vocab_size:,}, the vocabulary that the shard names", got=int(tokens.max()),
                hint="the shard is damaged, or of another tokenizer: run `dvc repro pack`",
            )  # fmt: skip
