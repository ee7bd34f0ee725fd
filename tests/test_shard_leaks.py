"""`shard` end to end on near copies: what is left in train is too like nothing in val or test, by brute force."""

import gzip
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from corpora import digests, read_rows, shingle_sets, words, write_documents, write_params
from test_leaks import changed, hanzi, kana

from pipelines import shard
from pipelines.splitting.drawing import SPLITS, draw_parts, splits_of

PARAMS = {
    "val_per_10000": 1500, "test_per_10000": 1500, "max_eval_documents": 1000, "shingle_size": 5, "leak_threshold": 0.8,
    "leak_containment": 0.9, "min_unit_mb": 0,
}  # fmt: skip


def run(folder: Path, out: str = "out", **changes: object) -> Path:
    params = write_params(folder / f"{out}.yaml", shard={**PARAMS, **changes})
    given = ["--params", str(params), "--input", str(folder / "in"), "--cache", str(folder / f"cache-{out}")]
    shard.main([*given, "--output", str(folder / out)])
    return folder / out


def is_leak(a: set[int], b: set[int]) -> bool:
    shared, smaller = len(a & b), min(len(a), len(b))
    contained = smaller >= 8 and 10 * shared >= 9 * smaller
    return 10 * shared >= 8 * len(a | b) or contained


def leaking_pairs(folder: Path, splits: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Ids of documents of two splits that reach a threshold, from Python sets of all pairs."""
    sets: dict[str, list[tuple[str, set[int]]]] = {"train": [], "val": [], "test": []}
    for split, found in sets.items():
        for path in sorted(folder.glob(f"{split}-*.parquet")):
            rows = [(row["doc_id"], row["text"]) for row in pq.read_table(path).to_pylist()]
            sets_here = shingle_sets([text for _, text in rows], 5)
            found += [(doc_id, one) for (doc_id, _), one in zip(rows, sets_here, strict=True)]
    return [
        (one, other) for left, right in splits for one, a in sets[left] for other, b in sets[right] if is_leak(a, b)
    ]


ACROSS = (("train", "val"), ("train", "test"), ("val", "test"))


def with_copies(texts: Sequence[str], by: str) -> list[str]:
    """Each text, a near copy, a part of it, and one that differs in white space alone."""
    return [
        copy
        for text in texts
        for copy in (text, changed(text, 60, by), text[: len(text) // 2], f"{text[:40]}\n{text[40:]}")
    ]


def planted() -> list[str]:
    """Near copies in English, Chinese and Japanese, short texts, and texts without a letter."""
    english = [" ".join(words(seed, 150)) for seed in range(30)]
    made = with_copies(english, "other")
    made += with_copies([hanzi(seed, 150) for seed in range(100, 120)], "変")
    made += with_copies([kana(seed, 150) for seed in range(200, 220)], "ん")
    made += [f"{word}{end}" for word in ("yes", "no", "第一回", "😀", "!!!") for end in ("", " ", "\n", " \n", "\n\n")]
    return made


def test_no_document_of_a_split_is_too_like_one_of_another(tmp_path: Path) -> None:
    texts = planted()
    for part in range(3):
        rows = [(f"{place:03}", text) for place, text in enumerate(texts) if place % 3 == part]
        write_documents(tmp_path / "in" / f"{part}.parquet", rows)
    output = run(tmp_path)
    ledger = json.loads((output / "ledger.json").read_text())
    assert leaking_pairs(output, ACROSS) == []
    assert ledger["reasons"]["dropped.leaked"] == len(read_rows(output / "leaked")) > 50
    assert ledger["in"] == len(texts) == sum(ledger["out"].values()) + ledger["reasons"]["dropped.leaked"]
    kept = {row["doc_id"] for row in read_rows(output)}
    for row in read_rows(output / "leaked"):
        assert row["doc_id"] not in kept
        assert row["kept_id"] in kept
        assert row["split"] in ("val", "test")
        assert row["similarity"] >= (0.8 if row["measure"] == "jaccard" else 0.9)


def test_val_gives_way_to_test_and_train_to_both_but_nothing_to_what_is_gone(tmp_path: Path) -> None:
    # A chain: each is near the next and no other. The draw of each is fixed by its text.
    base = words(7, 140)
    chain = [" ".join(base[start : start + 100]) for start in (0, 8, 16)]
    found = {}
    for tail in range(400):
        rows = [(str(place), f"{text} {words(1000 + tail + place, 1)[0]}x{tail}") for place, text in enumerate(chain)]
        drawn = shard_splits([text for _, text in rows])
        found.setdefault(drawn, rows)
    write_documents(tmp_path / "in" / "a.parquet", found["train", "val", "test"])
    output = run(tmp_path)
    assert [(row["doc_id"], row["kept_id"], row["split"]) for row in read_rows(output / "leaked")] == [
        ("s:1", "s:2", "test")
    ]
    assert [row["doc_id"] for row in read_rows(output)] == ["s:2", "s:0"]  # test-..., train-...


def shard_splits(texts: Sequence[str]) -> tuple[str, ...]:
    return tuple(SPLITS[place] for place in splits_of(draw_parts(texts), 1500, 1500))


def rows_of_set(folder: Path, name: str) -> Iterator[tuple[str, str]]:
    if name.endswith(".train"):
        for line in (folder / name).read_text(encoding="utf-8").splitlines():
            key, _, text = line.partition(" ")
            yield key, text
        return
    with gzip.open(folder / name, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines):
            if number < 1000:
                row = json.loads(line)
                yield row["id"], row["text"]


@pytest.mark.parametrize(
    "name", ["20news-crossposts.jsonl.gz", "articles_100.train", "articles_1000.train", "court-zh-val.jsonl.gz"]
)
def test_nothing_leaks_in_real_corpora(name: str, shared_data: Path, tmp_path: Path) -> None:
    rows = list(rows_of_set(shared_data / "dedup", name))
    write_documents(tmp_path / "in" / "a.parquet", rows)
    output = run(tmp_path)
    assert leaking_pairs(output, ACROSS) == []
    # What was dropped was dropped for a reason: no more goes than must.
    sets = dict(zip([f"s:{key}" for key, _ in rows], shingle_sets([text for _, text in rows], 5), strict=True))
    for row in read_rows(output / "leaked"):
        assert is_leak(sets[row["doc_id"]], sets[row["kept_id"]])


@pytest.mark.parametrize("workers", ["2", "4"])
def test_the_bytes_do_not_depend_on_the_workers(workers: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = planted()
    for part in range(4):
        rows = [(f"{place:03}", text) for place, text in enumerate(texts) if place % 4 == part]
        write_documents(tmp_path / "in" / f"{part}.parquet", rows)
    monkeypatch.setenv("CORPUSMILL_WORKERS", "1")
    one = digests(run(tmp_path, "one"))
    monkeypatch.setenv("CORPUSMILL_WORKERS", workers)
    assert digests(run(tmp_path, "several")) == one
