"""What the report reads from the stages' folders, once each, and the counts that two stages must agree on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from pipelines.reporting import facts, funnel, samples
from pipelines.reporting.flow import Flow, StageFolder
from pipelines.reporting.funnel import DOCUMENT_STAGES, SPLITS, Check, Counts
from pipelines.reporting.samples import Evidence


@dataclass(frozen=True)
class Readings:
    """All that is read from the folders once and used by several sections and checks."""

    counts: Mapping[str, Counts]
    evidence: Mapping[str, Evidence]
    before: facts.TextFacts | None
    after: facts.TextFacts | None
    tokens: Mapping[str, facts.TokenFacts]
    token_counts: np.ndarray | None
    vocabulary: tuple[list[bytes], list[bool]] | None


def read_all(flow: Flow, num_examples: int, example_chars: int) -> Readings:
    """Reads ledgers, evidence, text and token shards: one pass over each."""
    counts, evidence = {}, {}
    for stage in DOCUMENT_STAGES:
        ledger = flow[stage].ledger
        if ledger is not None:
            counts[stage] = Counts(ledger, flow[stage].ledger_by_source)
        evidence[stage] = Evidence()
        for kind in ("dropped", "quarantined"):
            found = samples.read_evidence(flow[stage].evidence_paths(kind), kind, num_examples, example_chars)
            evidence[stage].rows.update(found.rows)
            evidence[stage].examples.update(found.examples)
    tokenizer = flow["learn"].path("tokenizer.json")
    vocabulary = facts.parse_tokenizer(tokenizer) if tokenizer else None
    token_counts = np.zeros(len(vocabulary[0]), np.int64) if vocabulary and flow["pack"].has_run else None
    return Readings(
        counts, evidence, _texts(flow["extract"]), _texts(flow["shard"]), _tokens(flow["pack"], token_counts),
        token_counts, vocabulary,
    )  # fmt: skip


def checks_between(flow: Flow, readings: Readings) -> list[Check]:
    """Every count that two stages made of the same thing; stages that have not run are left out."""
    return [
        *_source_checks(flow, readings),
        *funnel.document_checks(readings.counts),
        *_row_checks(flow, readings),
        *_text_checks(flow, readings),
        *_token_checks(flow, readings),
    ]


def fetched_files(flow: Flow) -> list[dict[str, Any]]:
    """The raw files, without where they lay."""
    return [{"source": "", **entry} for entry in (flow["fetch"].json("manifest.json") or {}).get("files", [])]


def _texts(stage: StageFolder) -> facts.TextFacts | None:
    if not stage.has_run:
        return None
    return facts.text_facts((shard.split if stage.name == "shard" else "", path) for shard, path in stage.shard_paths())


def _tokens(stage: StageFolder, counts: np.ndarray | None) -> dict[str, facts.TokenFacts]:
    found: dict[str, facts.TokenFacts] = {}
    if stage.has_run:
        for split in SPLITS:
            for _, path in stage.shard_paths(split):
                part = found.setdefault(split, facts.TokenFacts())
                facts.add_token_shard(part, path, counts if split == "train" else None)
    return found


def _source_checks(flow: Flow, readings: Readings) -> list[Check]:
    """Every source that was fetched is a source that was extracted; files are not counted again after that."""
    files = fetched_files(flow)
    if not files or "extract" not in readings.counts:
        return []
    fetched, extracted = {file["source"] for file in files}, set(readings.counts["extract"].by_source)
    return [Check("sources that fetch found", len(fetched), "of them in extract", len(fetched & extracted), "extract")]


def _row_checks(flow: Flow, readings: Readings) -> list[Check]:
    """Rows on disk are those that the ledgers name: documents, tokens, and the evidence of what was lost."""
    checks = []
    for stage in ("extract", "clean", "shard"):
        if stage in readings.counts:
            given = sum(readings.counts[stage].total.given.values())
            checks.append(
                Check(f"documents that {stage} gave", given, f"rows in {stage}", flow[stage].manifest.rows, stage)
            )
    for stage, counts in readings.counts.items():
        for reason, rows in sorted(readings.evidence[stage].rows.items()):
            left, right = f"{reason} by {stage}", f"of them kept as evidence in {stage}"
            checks.append(Check(left, counts.total.reasons[reason], right, rows, stage))
    if "shard" in readings.counts:
        leaked = readings.counts["shard"].total.reasons["dropped.leaked"]
        rows = sum(pq.read_metadata(path).num_rows for path in flow["shard"].evidence_paths("leaked"))
        kept = "of them kept as evidence in shard"
        checks += [Check("dropped.leaked by shard", leaked, kept, rows, "shard")] if leaked or rows else []
    return checks


def _text_checks(flow: Flow, readings: Readings) -> list[Check]:
    """The text of each split, from `shard` through `count` and `learn`, and through `pack`."""
    checks = []
    counted, learned = flow["count"].ledger, (flow["learn"].json("metrics.json") or {}).get("train_bytes")
    after = readings.after
    if after is not None and counted is not None:
        train = after.select(split="train").num_bytes
        checks.append(Check("bytes of train text in shard", train, "bytes that count took", counted.taken, "count"))
    if counted is not None and learned is not None:
        checks.append(Check("bytes that count took", counted.taken, "bytes that learn saw", learned, "learn"))
    for split, packed in readings.tokens.items() if after is not None else ():
        texts = after.select(split=split) if after is not None else facts.TextFacts()
        of = f"{split} text in"
        ledger = flow["pack"].ledger if split == "train" else None  # val and test are never truncated
        held = packed.text_bytes + (ledger.beside["text_bytes.truncated"] if ledger is not None else 0)
        checks.append(Check(f"bytes of {of} shard", texts.num_bytes, f"bytes of {of} pack", held, "pack"))
        of = f"{split} documents in"
        checks.append(Check(f"{of} shard", texts.num_documents, f"{of} pack", packed.documents, "pack"))
    return checks


def _token_checks(flow: Flow, readings: Readings) -> list[Check]:
    """Tokens: what `learn` counted by pre-tokens, what `pack` put into rows, what `evaluate` scored."""
    checks = []
    packed, learned = flow["pack"].ledger, (flow["learn"].json("metrics.json") or {}).get("train_tokens")
    scores = flow["evaluate"].json("metrics.json") or {}
    measured = (flow["measure"].json("metrics.json") or {}).get("train_tokens")
    if learned is not None and measured is not None:
        checks.append(Check("train tokens by learn", learned, "train tokens by measure", measured, "measure"))
    for split, found in readings.tokens.items():
        if packed is not None:
            given, left = packed.given[split], f"{split} tokens that pack gave"
            checks.append(Check(left, given, f"{split} tokens in rows", found.text + found.starts, "pack"))
        if split == "train" and learned is not None:
            lost = packed.reasons["dropped.truncated"] if packed is not None else 0
            checks.append(
                Check("train tokens by learn", learned, "train text tokens in pack", found.text + lost, "pack")
            )
        scored = scores[split].get("tokens") if isinstance(scores.get(split), dict) else None
        if scored is not None:
            left, right = f"{split} text tokens in pack", f"{split} tokens that evaluate scored"
            checks.append(Check(left, found.text, right, scored, "evaluate"))
    return checks
