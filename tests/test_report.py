"""The data card: closes across stages, shows what was left behind, survives any text and any missing stage."""

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from corpora import write_params

from pipelines import report
from pipelines.packing import pack_rows, rows_to_batches, split_documents, token_shard_schema
from pipelines.reporting import funnel, samples
from pipelines.reporting.facts import TextFacts, TextGroup, TokenFacts, octaves
from pipelines.spine.errors import CorpusmillError
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

    def write_tokens(self) -> None:
        """count to pack."""
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
            rows = pack_rows(ids, split_documents(offsets, SEQ_LEN + 1), SEQ_LEN + 1, 0, encoder.vocab_size)
            meta = {"tokenizer_sha256": encoder.sha256, "document_start_id": 0, "split": split, "source": "s"}
            meta["text_bytes"] = sum(len(texts[doc_id].encode()) for doc_id in here)
            schema = token_shard_schema(SEQ_LEN, encoder.vocab_size, meta)
            shards[f"{split}-s-0.arrow"] = pa.Table.from_batches(rows_to_batches(rows, pa.array(here), schema), schema)
            counts[split] = Ledger("tokens")
            counts[split].take(len(ids))
            counts[split].give(split, len(ids))
        self.write("pack", shards, counts)

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


@pytest.fixture
def data(tmp_path: Path) -> Path:
    stages = Stages(tmp_path / "data")
    stages.write_corpus()
    stages.write_tokens()
    stages.write_training()
    return tmp_path / "data"


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


def test_the_ledger_goes_from_records_to_splits_with_every_reason_on_the_way(data: Path) -> None:
    run(data)
    assert json.loads((data / "report/ledger.json").read_text()) == {
        "stage": "report",
        "counts": "documents",
        "in": 11,
        "out": {"train": 3, "val": 1, "test": 1},
        "reasons": {
            "extract.skipped.redirect": 2,
            "extract.quarantined.nul_character": 1,
            "clean.dropped.too_short": 1,
            "dedup.dropped.exact": 1,
            "dedup.dropped.jaccard": 1,
        },
        "apart": {},
        "by_source": {},
    }


def test_the_page_tells_the_numbers_of_every_stage(data: Path) -> None:
    seen = words_of(run(data))
    assert "11 records from wiki and 新聞 went in; 5 documents came out" in seen
    assert "redirect skipped 2 18.2 %" in seen
    assert "dropped templates navbox 12 · 定位<b> 3" in seen
    assert "near copies 1 14.3 %" in seen
    assert "260 tokens = 256 bytes + 3 merges + 1 special (<|endoftext|>)" in seen
    assert "trigram 2.000 2.500 12.2 this model 2.125" in seen
    assert "reaches 2.125 bits per byte on test; beside it, bigram 2.500, trigram 2.000." in seen
    assert "level.of 3" in seen
    assert "Not run yet" not in seen


def test_text_of_the_corpus_is_shown_and_never_becomes_markup(data: Path) -> None:
    page = run(data)
    assert "<script" not in page.lower()
    assert "&lt;/style&gt;&lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt;␇ &amp; \u202eright-to-left" in page
    assert "text holds &lt;b&gt;NUL&lt;/b&gt;" in page
    assert "a␀&lt;i&gt;\ufffd" in page
    assert page.count('<blockquote class="text" dir="auto">') == page.count("<blockquote")


def test_the_page_needs_nothing_but_itself(data: Path) -> None:
    page = run(data)
    assert not re.search(r"""(src|href)=["'](?!#)|@import|url\(|https?://""", page)
    assert str(data) not in page


def test_equal_folders_give_equal_bytes_wherever_they_lie(data: Path, tmp_path: Path) -> None:
    first = run(data)
    moved = tmp_path / "elsewhere" / "data"
    shutil.copytree(data, moved, ignore=shutil.ignore_patterns("report"))
    assert run(moved) == first
    assert (moved / "report/ledger.json").read_bytes() == (data / "report/ledger.json").read_bytes()


@pytest.mark.parametrize("last", ["fetch", "extract", "clean", "dedup", "shard", "learn", "pack", "pretrain"])
def test_stages_that_have_not_run_are_named_with_their_command(data: Path, last: str) -> None:
    names = ["fetch", "extract", "clean", "dedup", "shard", "count", "learn", "pack", "pretrain", "evaluate", "export"]
    for stage in names[names.index(last) + 1 :]:
        shutil.rmtree(data / stage)
    seen = words_of(run(data))
    assert "Not run yet" in seen
    assert "dvc repro export" in seen
    assert ("dvc repro pretrain" in seen) == (last != "pretrain")


@pytest.mark.parametrize("stage", ["extract", "clean", "dedup", "shard", "count", "learn", "pack", "pretrain"])
def test_a_stage_missing_in_the_middle_is_no_crash(data: Path, stage: str) -> None:
    shutil.rmtree(data / stage)
    assert "Lineage" in run(data)


def test_a_funnel_that_does_not_close_names_both_numbers_and_writes_nothing(data: Path) -> None:
    counts = json.loads((data / "clean/ledger.json").read_text())
    counts["in"] += 2
    counts["reasons"]["dropped.too_short"] += 2
    (data / "clean/ledger.json").write_text(dump(counts))
    with pytest.raises(CorpusmillError) as caught:
        run(data)
    assert caught.value.message == (
        "the funnel does not close: 8 documents that extract gave, 10 documents that clean took"
    )
    assert "dvc repro clean" in caught.value.hint
    assert not (data / "report").exists()


def test_token_shards_of_another_text_do_not_close(data: Path) -> None:
    shard = json.loads((data / "count/ledger.json").read_text())
    shard["in"] -= 1
    shard["out"]["counted"] -= 1
    (data / "count/ledger.json").write_text(dump(shard))
    with pytest.raises(CorpusmillError, match=r"bytes of train text in shard, 4.. bytes that count took"):
        run(data)


def test_evidence_that_was_lost_does_not_close(data: Path) -> None:
    with open_shard(data / "clean/dropped/wiki-0.parquet", DROPPED) as shard:
        shard.write(rows_of(DROPPED, [(f"wiki:{n}", "wiki", "too_short", "", "", "") for n in range(2)]))
    with pytest.raises(CorpusmillError, match=r"1 dropped.too_short by clean, 2 of them kept as evidence in clean"):
        run(data)


def test_a_folder_without_stages_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with pytest.raises(CorpusmillError) as caught:
        run(tmp_path / "data")
    assert caught.value.message == "no stage has run here"


def test_a_parent_that_is_another_one_now_is_said(data: Path) -> None:
    lineage = json.loads((data / "clean/lineage.json").read_text())
    lineage["parents"] = [{"stage": "extract", "manifest_sha256": "00" * 32}]
    (data / "clean/lineage.json").write_text(dump(lineage))
    assert "from extract 00000000 is another one now" in words_of(run(data))


def test_examples_are_drawn_by_id_and_not_by_place(tmp_path: Path) -> None:
    rows = [(f"wiki:{n}", "wiki", "too_short", "9", "10", f"text {n}") for n in range(50)]
    shown = []
    for name, order in (("a", rows), ("b", rows[::-1])):
        with open_shard(tmp_path / f"{name}.parquet", DROPPED) as shard:
            shard.write(rows_of(DROPPED, order))
        evidence = samples.read_evidence([tmp_path / f"{name}.parquet"], "dropped", 3, 300)
        assert evidence.rows == {"dropped.too_short": 50}
        shown.append([example.text for example in evidence.examples["dropped.too_short"]])
    assert shown[0] == shown[1]
    assert len(shown[0]) == 3
    assert shown[0] != ["text 0", "text 1", "text 2"]


def test_an_excerpt_never_ends_inside_a_composed_character() -> None:
    assert samples.excerpt("e\u0301e\u0301e\u0301", 3) == "e\u0301…"
    assert samples.excerpt("👩\u200d👩\u200d👧 family", 2) == "…"
    assert samples.excerpt("日本語", 3) == "日本語"


def test_a_pair_is_shown_from_shortly_before_its_first_difference() -> None:
    left, right = "x" * 500 + "天安門很大", "x" * 500 + "天安門不大"
    dropped, kept = samples.compare(left, right, 300)
    assert [text for text, differs in dropped if differs] == ["很"]
    assert [text for text, differs in kept if differs] == ["不"]
    assert dropped[0] == ("…" + "x" * 57 + "天安門", False)


def test_lengths_are_counted_by_powers_of_two() -> None:
    assert octaves(np.array([1, 2, 3, 9]), np.array([4])) == (["1", "2", "4", "8"], [[1, 2, 0, 1], [0, 0, 1, 0]])
    assert octaves(np.array([], np.int64)) == ([], [[]])


def test_quantiles_are_lengths_of_documents_that_are_there() -> None:
    facts = TextFacts({TextGroup("train", "s", "zh"): np.array([30, 10, 20])})
    assert facts.quantiles == [10, 20, 20]


def test_places_of_rows_are_text_starts_context_and_padding() -> None:
    assert TokenFacts(row_len=17, rows=3, text=40, starts=2, context=4).padding == 5


def test_what_dedup_decided_leaves_once() -> None:
    counts = {
        "dedup": funnel.Counts(ledger(4, {"kept": 3}, {"quarantined.repeated_id": 1}), {}),
        "shard": funnel.Counts(ledger(4, {"train": 2}, {"dropped.repeated_id": 1, "dropped.contaminated": 1}), {}),
    }
    whole = funnel.whole_ledger(counts)
    whole.check("whole")
    assert whole.reasons == {"dedup.quarantined.repeated_id": 1, "shard.dropped.contaminated": 1}
    funnel.expect_closed(funnel.document_checks(counts))
