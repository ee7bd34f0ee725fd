"""Deduplication end to end: documents in -> the exact drop lists and ledger out."""

import json
from pathlib import Path

import pytest
from corpora import DEDUP, digests, read_rows, words, write_documents, write_params

from pipelines import dedup
from pipelines.duplicates.shingles import shingle_hashes
from pipelines.spine.errors import CorpusmillError

ENGLISH = words(1, 400)
CHINESE = "".join(chr(0x4E00 + int(word[1:], 16) % 3000) for word in words(2, 300))


def changed(text_words: list[str], every: int) -> str:
    """The words with each ``every``-th replaced."""
    return " ".join("changed" if index % every == 0 else word for index, word in enumerate(text_words))


def run(folder: Path, out: str, **changes: object) -> Path:
    params = write_params(folder / f"{out}.yaml", dedup={**DEDUP, **changes})
    output, cache = folder / out, folder / f"cache-{out}"
    dedup.main(["--params", str(params), "--input", str(folder / "in"), "--output", str(output), "--cache", str(cache)])
    return output


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Two units: an exact copy across them, a near copy, a far one, short texts, Chinese near copies."""
    text = " ".join(ENGLISH)
    write_documents(
        tmp_path / "in" / "a.parquet",
        [
            ("long", text + " and a little more"),
            ("copy-of-c", "same  text\nhere"),
            ("far", " ".join(words(3, 400))),
            ("zh", CHINESE),
            ("short1", "two words"),
        ],
    )
    write_documents(
        tmp_path / "in" / "b.parquet",
        [
            ("near", text),
            ("c", "same text here"),
            ("edited", changed(ENGLISH, 5)),
            ("zh-near", CHINESE[:-4]),
            ("short2", "other words"),
            ("empty1", "!!!"),
            ("empty2", "???"),
        ],
    )
    return tmp_path


def test_exact_and_near_copies_go_and_everything_else_stays(corpus: Path) -> None:
    output = run(corpus, "out")
    found = {(row["doc_id"], row["kept_id"], row["measure"]) for row in read_rows(output)}
    assert found == {
        ("s:near", "s:long", "jaccard"),
        ("s:c", "s:copy-of-c", "exact"),
        ("s:zh-near", "s:zh", "jaccard"),
    }
    ledger = json.loads((output / "ledger.json").read_text())
    assert (ledger["in"], ledger["out"], ledger["reasons"]) == (
        12, {"kept": 9}, {"dropped.exact": 1, "dropped.jaccard": 2},
    )  # fmt: skip


def test_the_similarity_written_is_the_true_jaccard_of_the_shingle_sets(corpus: Path) -> None:
    (row,) = [row for row in read_rows(run(corpus, "out")) if row["doc_id"] == "s:near"]
    text = " ".join(ENGLISH)
    hashes, offsets = shingle_hashes([text, text + " and a little more"], 5)
    a, b = (set(hashes[offsets[i] : offsets[i + 1]].tolist()) for i in (0, 1))
    assert row["similarity"] == len(a & b) / len(a | b)
    assert row["similarity"] == 396 / 400


def test_bytes_are_the_same_for_renamed_and_reordered_files_and_for_two_workers(
    corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = digests(run(corpus, "first"))
    (corpus / "in" / "a.parquet").rename(corpus / "in" / "z.parquet")
    assert digests(run(corpus, "renamed")) == first
    monkeypatch.setenv("CORPUSMILL_WORKERS", "2")
    assert digests(run(corpus, "two")) == first


def test_a_chain_does_not_delete_a_document_for_one_it_does_not_resemble(tmp_path: Path) -> None:
    base = words(4, 1000)
    first, middle, last = base[:1000], base[100:] + words(5, 95), base[200:] + words(5, 95) + words(6, 90)
    rows = [("a", " ".join(first)), ("b", " ".join(middle)), ("c", " ".join(last))]
    write_documents(tmp_path / "in" / "a.parquet", rows)
    found = [(row["doc_id"], row["kept_id"]) for row in read_rows(run(tmp_path, "out"))]
    assert found == [("s:b", "s:a")]


def test_an_exact_copy_of_a_document_that_goes_points_at_the_one_that_stays(tmp_path: Path) -> None:
    text = " ".join(ENGLISH)
    write_documents(tmp_path / "in" / "a.parquet", [("1", text), ("2", text), ("3", text + " one more line here")])
    rows = read_rows(run(tmp_path, "out"))
    assert {(row["doc_id"], row["kept_id"], row["measure"]) for row in rows} == {
        ("s:1", "s:3", "jaccard"), ("s:2", "s:3", "jaccard"),
    }  # fmt: skip


def test_a_repeated_id_goes_to_the_quarantine_with_its_text(tmp_path: Path) -> None:
    write_documents(tmp_path / "in" / "a.parquet", [("1", "the first text, which is longer"), ("2", "another")])
    write_documents(tmp_path / "in" / "b.parquet", [("1", "the second text")])
    output = run(tmp_path, "out")
    (row,) = read_rows(output)
    assert (row["doc_id"], row["kept_id"], row["measure"]) == ("s:1", "s:1", "repeated_id")
    # The unit whose name, made of its content, sorts first keeps the id.
    (bad,) = read_rows(output / "quarantined")
    assert (bad["reason"], bad["raw"]) == ("repeated_id", b"the first text, which is longer")
    assert json.loads((output / "ledger.json").read_text())["reasons"] == {"quarantined.repeated_id": 1}


def test_a_source_that_loses_too_much_fails_with_the_share_and_the_parameter(corpus: Path) -> None:
    with pytest.raises(CorpusmillError, match="would drop 3 of 12 documents") as error:
        run(corpus, "out", max_dropped_percent={"default": 20})
    assert "dedup.max_dropped_percent" in error.value.hint
    assert not (corpus / "out" / "manifest.json").exists()


@pytest.mark.parametrize(("name", "value"), [("threshold", 0.0), ("threshold", 1.5), ("num_bands", 0)])
def test_impossible_parameters_are_refused_by_name(corpus: Path, name: str, value: float) -> None:
    with pytest.raises(CorpusmillError) as error:
        run(corpus, "out", **{name: value})
    assert error.value.where == f"params.yaml: dedup.{name}"


def test_bands_that_would_miss_pairs_at_the_threshold_are_refused_with_some_that_do_not(corpus: Path) -> None:
    with pytest.raises(CorpusmillError, match=r"20 bands of 5 rows would miss pairs at the threshold 0\.6") as error:
        run(corpus, "out", threshold=0.6)
    assert error.value.got == "0.802"
    assert error.value.hint == "num_bands: 33 and rows_per_band: 3 propose it with p = 0.9997"


def test_every_pair_above_the_threshold_loses_a_member_on_real_cross_posts(shared_data: Path, tmp_path: Path) -> None:
    import gzip

    import numpy as np

    with gzip.open(shared_data / "dedup" / "20news-crossposts.jsonl.gz") as file:
        posts = [json.loads(line) for line in file][:500]
    write_documents(tmp_path / "in" / "a.parquet", [(post["id"], post["text"]) for post in posts])
    dropped = {row["doc_id"] for row in read_rows(run(tmp_path, "out"))}
    hashes, offsets = shingle_hashes([post["text"] for post in posts], 5)
    sets = [np.unique(hashes[offsets[i] : offsets[i + 1]]) for i in range(len(posts))]
    pairs = lost = 0
    for i in range(len(posts)):
        for j in range(i):
            shared = len(np.intersect1d(sets[i], sets[j], assume_unique=True))
            union = len(sets[i]) + len(sets[j]) - shared
            if union and 10 * shared >= 8 * union:
                pairs += 1
                lost += f"s:{posts[i]['id']}" in dropped or f"s:{posts[j]['id']}" in dropped
    assert pairs == 18
    assert lost == pairs
