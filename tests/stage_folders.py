"""Folders as the stages leave them, from fetch to export, and the report that is made of them."""

import itertools
import re
from collections.abc import Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow as pa
from corpora import write_params

from pipelines import report
from pipelines.packing import PackedRows, plan_rows, rows_to_batches, token_shard_schema
from pipelines.spine.ledger import Ledger, merge
from pipelines.spine.manifest import Shard, dump, write_manifest
from pipelines.spine.schema import DOCUMENT, DROPPED, DUPLICATE, QUARANTINED
from pipelines.spine.shards import open_shard
from tokenizer.encoding import Encoder, tokenizer_json

SEQ_LEN = 16
ENGLISH = "The quick brown fox jumps over the lazy dog. "
HOSTILE = '</style><script>alert("x")</script>\x07 & \u202eright-to-left override'
TEXTS = {
    "wiki": {"1": ENGLISH * 4, "2": ENGLISH * 4, "3": "昔々、あるところに。" * 6, "4": HOSTILE, "5": ENGLISH * 2},
    "新聞": {
        "1": "天安門廣場上的人們都很高興。" * 5,
        "2": "天安門廣場上的人們都很悲傷。" * 5,
        "3": "كان يا ما كان" * 4,
    },
}
SEARCH = {
    "candidate_pairs": 5, "verified_pairs": 1, "contained_pairs": 0, "full_buckets": 0, "largest_bucket": 2,
    "pairs_capped": 0, "passes": 1, "num_bands": 20, "rows_per_band": 5, "shingle_size": 5, "max_bucket": 64,
    "threshold": 0.8, "containment_threshold": 0.9,
}  # fmt: skip
SPLIT_OF = {"wiki:1": "train", "wiki:3": "val", "wiki:5": "test", "新聞:1": "train", "新聞:3": "train"}


def rows_of(schema: pa.Schema, rows: Sequence[Sequence]) -> pa.RecordBatch:
    columns = list(zip(*rows, strict=True)) or [[] for _ in schema]
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def documents(source: str, keys: Sequence[str]) -> pa.RecordBatch:
    language = "zh" if source == "新聞" else "en"
    rows = [(f"{source}:{k}", source, language, k, "", "", "", "", "CC0", TEXTS[source][k]) for k in keys]
    return rows_of(DOCUMENT, rows)


def ledger(taken: int, given: Mapping[str, int], reasons: Mapping[str, int] | None = None) -> Ledger:
    made = Ledger("documents")
    made.take(taken)
    made.given.update(given)
    made.reasons.update(reasons or {})
    return made


class Stages:
    """Writes folders as the stages do, with the spine's own writers."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, stage: str, shards: Mapping[str, pa.RecordBatch | pa.Table], counts: Mapping[str, Ledger]) -> None:
        folder, entries = self.root / stage, []
        folder.mkdir(parents=True)
        for name, rows in shards.items():
            with open_shard(folder / name, rows.schema) as shard:
                for batch in rows.to_batches() if isinstance(rows, pa.Table) else [rows]:
                    shard.write(batch)
            if "/" not in name:
                entries.append(shard.published())
        kind = next(iter(counts.values())).counts if counts else "documents"
        total, by_source = merge(kind, counts.items())
        parts = {"stage": stage, **total.to_dict(), "by_source": {s: part.to_dict() for s, part in by_source.items()}}
        (folder / "ledger.json").write_text(dump(parts))
        lineage = {"stage": stage, "parents": [], "params": {"level": {"of": 3}}, "versions": {"python": "3.11"}}
        (folder / "lineage.json").write_text(dump({**lineage, "modules_sha256": "ab" * 32}))
        write_manifest(folder, entries)

    def write_corpus(self) -> None:
        """fetch to shard: 11 records, 8 documents, 1 too short, 1 exact and 1 near copy, 5 in splits."""
        facts = {"sha256": "cd" * 32, "bytes": 1000, "kind": "mediawiki", "language": "en", "licence": "CC0"}
        files = [{"source": source, **facts} for source in TEXTS]
        (self.root / "fetch").mkdir(parents=True)
        (self.root / "fetch/manifest.json").write_text(dump({"schema_version": 1, "files": files}))
        bad = rows_of(
            QUARANTINED, [("wiki-0", "record '9'", "nul_character", "text holds <b>NUL</b>", b"a\x00<i>\xff")]
        )
        extracted = ledger(8, {"documents": 5}, {"skipped.redirect": 2, "quarantined.nul_character": 1})
        extracted.tally("dropped_templates", {"navbox": 12, "定位<b>": 3})
        self.write(
            "extract",
            {**{f"{s}-0.parquet": documents(s, list(TEXTS[s])) for s in TEXTS}, "quarantined/wiki-0.parquet": bad},
            {
                "wiki": extracted,
                "新聞": ledger(3, {"documents": 3}),
            },
        )
        short = rows_of(DROPPED, [("wiki:4", "wiki", "too_short", "52 characters", "60", HOSTILE)])
        self.write(
            "clean",
            {
                "wiki-0.parquet": documents("wiki", ["1", "2", "3", "5"]),
                "新聞-0.parquet": documents("新聞", ["1", "2", "3"]),
                "dropped/wiki-0.parquet": short,
            },
            {"wiki": ledger(5, {"documents": 4}, {"dropped.too_short": 1}), "新聞": ledger(3, {"documents": 3})},
        )
        self.write(
            "dedup",
            {
                "wiki-0.parquet": rows_of(DUPLICATE, [("wiki:2", "wiki:1", 1.0, "exact")]),
                "新聞-0.parquet": rows_of(DUPLICATE, [("新聞:2", "新聞:1", 0.85, "jaccard")]),
            },
            {
                "wiki": ledger(4, {"kept": 3}, {"dropped.exact": 1}),
                "新聞": ledger(3, {"kept": 2}, {"dropped.jaccard": 1}),
            },
        )
        (self.root / "dedup/search.json").write_text(dump(SEARCH))
        self.write(
            "shard",
            {
                "train-wiki-0.parquet": documents("wiki", ["1"]),
                "val-wiki-0.parquet": documents("wiki", ["3"]),
                "test-wiki-0.parquet": documents("wiki", ["5"]),
                "train-新聞-0.parquet": documents("新聞", ["1", "3"]),
            },
            {
                "wiki": ledger(4, {"train": 1, "val": 1, "test": 1}, {"dropped.exact": 1}),
                "新聞": ledger(3, {"train": 2}, {"dropped.jaccard": 1}),
            },
        )

    def write_tokens(self, long_documents: str = "split") -> None:
        """count to pack; ``long_documents`` of train."""
        texts = {doc_id: TEXTS[doc_id.partition(":")[0]][doc_id.partition(":")[2]] for doc_id in SPLIT_OF}
        train = sum(len(texts[doc_id].encode()) for doc_id, split in SPLIT_OF.items() if split == "train")
        counted = Ledger("bytes")
        counted.take(train)
        counted.give("counted", train)
        self.write("count", {}, {"": counted})
        content = tokenizer_json([(b"t", b"h"), (b"th", b"e"), (b" ", b"the")], ["<|endoftext|>"], "gpt2")
        encoder = Encoder(content)
        self.write("learn", {}, {})
        (self.root / "learn/tokenizer.json").write_text(content)
        shards, counts = {}, {}
        for split in ("train", "val", "test"):
            here = [doc_id for doc_id in sorted(SPLIT_OF) if SPLIT_OF[doc_id] == split]
            ids, offsets = encoder.encode_documents([texts[doc_id] for doc_id in here])
            how = long_documents if split == "train" else "split"
            plan = plan_rows(offsets, SEQ_LEN + 1, "best_fit", how)
            kept_bytes = sum(map(len, (encoder.tokens[i] for i in self._kept(ids, offsets, how) if i)))
            text_bytes = sum(len(texts[doc_id].encode()) for doc_id in here)
            meta: dict[str, str | int] = {
                "tokenizer_sha256": encoder.sha256, "document_start_id": 0, "split": split, "source": "s",
                "text_bytes": kept_bytes, "strategy": "best_fit", "long_documents": how,
            }  # fmt: skip
            schema = token_shard_schema(SEQ_LEN, encoder.vocab_size, meta)
            batches = rows_to_batches(PackedRows(plan, ids.astype(np.uint16), 0), pa.array(here), schema)
            shards[f"{split}-s-0.arrow"] = pa.Table.from_batches(batches, schema)
            counts[split] = Ledger("tokens")
            counts[split].take(len(ids))
            counts[split].give(split, plan.num_tokens)
            counts[split].count("dropped.truncated", len(ids) - plan.num_tokens)
            counts[split].apart("text_bytes.truncated", text_bytes - kept_bytes)
        self.write("pack", shards, counts)

    @staticmethod
    def _kept(ids: np.ndarray, offsets: np.ndarray, long_documents: str) -> list[int]:
        """The ids that are in rows: with ``truncate`` the first row of each document."""
        if long_documents == "split":
            return ids.tolist()
        return [i for first, last in itertools.pairwise(offsets) for i in ids[first:last][: SEQ_LEN + 1].tolist()]

    def write_training(self) -> None:
        """pretrain to export."""
        for stage in ("pretrain", "evaluate", "export"):
            self.write(stage, {}, {})
        curve = [f"{step},{6 / step + 2},{0.001 * step},{1 / step},{step * 512}" for step in range(1, 101)]
        head = "step,loss,learning_rate,gradient_norm,tokens"
        (self.root / "pretrain/curve.csv").write_text("\n".join([head, *curve]) + "\n")
        (self.root / "pretrain/val.csv").write_text("step,loss,bits_per_byte\n50,2.5,2.2\n100,2.4,2.1\n")
        score = {"loss": 2.5, "perplexity": 12.18, "bits_per_byte": 2.125}
        beside = {"bigram": {**score, "bits_per_byte": 2.5}, "trigram": {**score, "bits_per_byte": 2.0}}
        metrics = {split: {**score, "baselines": beside} for split in ("val", "test")}
        (self.root / "evaluate/metrics.json").write_text(dump(metrics))
        write_manifest(self.root / "export", [Shard("model.safetensors", 1, 0, "ef" * 32)])
        (self.root / "export/model.safetensors").write_bytes(b"")

    def write_measured(self) -> None:
        """measure: two vocabularies on two groups."""
        self.write("measure", {}, {})
        group = {"source": "wiki", "language": "en", "documents": 2, "bytes": 900, "characters": 900, "words": 150}
        other = {"source": "新聞<b>", "language": "zh", "documents": 1, "bytes": 300, "characters": 100, "words": 100}
        rows = [
            {"vocabulary": name, **part, "tokens": tokens}
            for part, numbers in ((other, (200, 120)), (group, (300, 200)))
            for name, tokens in zip(("ours-260", "theirs"), numbers, strict=True)
        ]
        table = {"splits": ["val", "test"], "vocabularies": [["ours-260", 260], ["theirs", 50_000]], "rows": rows}
        (self.root / "measure/groups.json").write_text(dump(table))
        tokens = {"unused_merges": 1, "unused_bytes": 201, "rare_tokens": 7, "not_utf8_tokens": 129}
        told = {"rare_below": 10, "round_trips": {"ours-260": 1_112_064}, "vocabularies": {"ours-260": tokens}}
        (self.root / "measure/vocabulary.json").write_text(dump(told))


def run(data: Path, name: str = "report", examples: int = 3) -> str:
    """The page of ``data``, written into ``data/<name>``."""
    params = write_params(data.parent / "params.yaml", report={"examples_per_reason": examples, "example_chars": 300})
    cache = str(data.parent / "cache")
    report.main(["--input", str(data), "--output", str(data / name), "--params", str(params), "--cache", cache])
    return (data / name / "report.html").read_text(encoding="utf-8")


def words_of(page: str) -> str:
    """The page's text as a reader sees it, tags and runs of spaces removed."""
    parser = HTMLParser()
    parts: list[str] = []
    parser.handle_data = parts.append  # type: ignore[method-assign]
    parser.feed(re.sub(r"<(style|title)>.*?</\1>", "", page, flags=re.DOTALL))
    return " ".join(" ".join(parts).split())
