"""The alarm: a source that loses more than its share of documents fails the stage, with ten pairs to look at."""

import hashlib
from collections.abc import Callable, Iterable, Mapping

import yaml

from pipelines.spine.errors import CorpusmillError
from pipelines.spine.ledger import Ledger
from pipelines.spine.shards import open_parquet, read_batches
from pipelines.spine.units import Unit

DEFAULT = "default"
SHOWN_PAIRS, SHOWN_CHARS = 10, 70


def judge_losses(
    limits: Mapping[str, int], units: Iterable[Unit], drop_lists: Callable[[Unit], str | None]
) -> Callable[[Ledger, Mapping[str, Ledger]], None]:
    """A check that no source loses more than its limit's share of documents.

    Args:
        limits: percent by source, and ``default``.
        units: of this run.
        drop_lists: where a unit's drop list lies; None: it has none.
    """
    units = list(units)

    def judge(total: Ledger, by_source: Mapping[str, Ledger]) -> None:
        for source, ledger in sorted(by_source.items()):
            limit, lost = limits.get(source, limits[DEFAULT]), sum(ledger.reasons.values())
            if 100 * lost <= limit * ledger.taken:
                continue
            allowed = -(-100 * lost // ledger.taken)
            mine = [unit for unit in units if unit.source == source]
            raise CorpusmillError(
                f"deduplication would drop {lost:,} of {ledger.taken:,} documents: {_in_words(ledger)}",
                where=f"source {source}",
                expected=f"at most {limit} %",
                got="\n".join([f"{100 * lost / ledger.taken:.1f} %; some of the pairs:", *_examples(mine, drop_lists)]),
                hint=f"if these are copies, allow it: dedup.max_dropped_percent: {_flow({**limits, source: allowed})} in "
                "params.yaml; "
                "if not, raise dedup.threshold or take the template out of the texts",
            )

    return judge


def _flow(limits: Mapping[str, int]) -> str:
    """The limits as one line of YAML."""
    return yaml.safe_dump(
        dict(limits), default_flow_style=True, sort_keys=False, allow_unicode=True, width=10_000
    ).strip()


def _in_words(ledger: Ledger) -> str:
    return ", ".join(f"{reason.partition('.')[2]} {number:,}" for reason, number in sorted(ledger.reasons.items()))


def _examples(units: Iterable[Unit], drop_lists: Callable[[Unit], str | None]) -> list[str]:
    """Ten drops, drawn by a hash of the ids, each with its kept document and the beginning of the dropped text."""
    drawn: list[tuple[bytes, dict, Unit]] = []
    for unit in units:
        path = drop_lists(unit)
        rows = [row for batch in read_batches(path) for row in batch.to_pylist()] if path else []
        keyed = [(hashlib.blake2b(row["doc_id"].encode(), digest_size=8).digest(), row, unit) for row in rows]
        drawn = sorted([*drawn, *keyed], key=lambda one: one[0])[:SHOWN_PAIRS]
    lines = []
    for _, row, unit in drawn:
        lines.append(f"    {row['doc_id']} for {row['kept_id']}  ({row['measure']} {row['similarity']:.3f})")
        lines.append(f"      {_beginning(unit.inputs[-1].path, row['doc_id'])}")
    return lines


def _beginning(path: str, doc_id: str) -> str:
    """The first characters of a document's text, in one line."""
    with open_parquet(path) as file:
        for group in range(file.num_row_groups):
            ids = file.read_row_group(group, columns=["doc_id"])["doc_id"].to_pylist()
            if doc_id in ids:
                text = file.read_row_group(group, columns=["text"])["text"][ids.index(doc_id)].as_py()
                return " ".join(text[: 4 * SHOWN_CHARS].split())[:SHOWN_CHARS]
    return ""
