"""What pretraining reads, checked before a step is computed: shards, tokenizer, enough rows."""

from pathlib import Path

from pipelines.spine import storage
from pipelines.spine.errors import CorpusmillError
from train.data import TokenRows
from train.order import Order
from train.recipe import WHERE, PretrainParams


def open_splits(pack: str, checked: bool = False) -> tuple[TokenRows, TokenRows]:
    """The rows of train and val.

    Args:
        pack: the folder.
        checked: that all shards are in their store was found out before.
    Raises:
        CorpusmillError: one has none, or they were packed in different ways.
    """
    rows, val = (TokenRows(pack, split, checked) for split in ("train", "val"))
    for what in ("seq_len", "vocab_size", "document_start_id", "tokenizer_sha256"):
        of_train, of_val = getattr(rows.facts, what), getattr(val.facts, what)
        if of_train != of_val:
            raise CorpusmillError(
                f"train and val shards have another {what}", where=pack, expected=f"{of_train}, as in train",
                got=of_val, hint="run `dvc repro pack`",
            )  # fmt: skip
    return rows, val


def expect_a_step(order: Order, params: PretrainParams) -> None:
    """Passes when an epoch fills a step: with fewer rows a batch would hold some twice.

    Raises:
        CorpusmillError: it does not.
    """
    if order.num_slots < params.rows_per_step:
        raise CorpusmillError(
            "the train rows do not fill a step", where=WHERE, expected=f"rows_per_step up to {order.num_slots}",
            got=params.rows_per_step, hint="lower rows_per_step, or pack more text",
        )  # fmt: skip


def expect_tokenizer(tokenizer: Path, rows: TokenRows) -> str:
    """The sha256 of the tokenizer's file, once it is the one that the shards were packed with.

    Raises:
        CorpusmillError: there is none, or another.
    """
    if not tokenizer.exists():
        raise CorpusmillError("no tokenizer", where=str(tokenizer), hint="run `dvc repro learn`")
    sha256 = storage.sha256_file(tokenizer)
    if sha256 != rows.facts.tokenizer_sha256:
        raise CorpusmillError(
            "the shards were packed with another tokenizer", where=rows.where,
            expected=f"{sha256[:12]} ({tokenizer})", got=rows.facts.tokenizer_sha256[:12], hint="run `dvc repro pack`",
        )  # fmt: skip
    return sha256
