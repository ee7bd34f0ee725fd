"""The fast engines give the reference's ids, on every code point too; where they would not, the reference encodes."""

import functools
import itertools
import json
import tracemalloc
import unicodedata
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from corpora import pre_token_counts, words
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.spine.errors import CorpusmillError
from tokenizer import encoding, engines, unassigned
from tokenizer.bpe import learn_merges
from tokenizer.encoding import Encoder, tokenizer_json
from tokenizer.engines import Engine, Gigatoken, fastest, reference
from tokenizer.patterns import PATTERNS
from tokenizer.unassigned import texts_with_unassigned

TEXTS = [
    " ".join(words(1, 400)), "the cat's hat, THE CAT'S 2026 hats and 1234567\n\n  of the\tcat\r\n",
    "我们在2026年，见面。東京タワーへ", "", " ", "हिन्दी ไทยไม้ e\u0301 👨‍👩‍👧‍👦 🏴 \u00a0\u3000x \x85 \x1c",
    "<|endoftext|> ſ's Ⅷ² ½ ٣٤ ǅ ʰa",
    "Слово, и ещё слово.", "x" * 300,
]  # fmt: skip
KNOWN = ("gpt2", "cl100k-1", "cl100k-3", "o200k-3")
#: Contexts in which it shows to which class a code point belongs.
CONTEXTS = ("a{}a 1{}1 .{}. {} {} \n{}\n{}a", "{}'s A{}A{}a {}1 \r\n")


@functools.cache
def document(pattern: str) -> dict:
    merges = learn_merges(pre_token_counts(TEXTS, pattern), 150)
    return json.loads(tokenizer_json(merges, ["<|endoftext|>"], pattern))


@functools.cache
def engine_pair(pattern: str) -> tuple[Engine, Engine]:
    checked = reference(document(pattern))
    return fastest(document(pattern), checked), checked


def ids_of(engine: Engine, texts: list[str]) -> list[list[int]]:
    ids, offsets = engine(pa.array(texts, pa.string()))
    assert ids.dtype == np.uint32
    assert (offsets.dtype, offsets[0], offsets[-1], len(offsets)) == (np.int64, 0, len(ids), len(texts) + 1)
    return [ids[a:b].tolist() for a, b in itertools.pairwise(offsets)]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_fast_engine_is_gigatoken_where_it_knows_the_pattern(pattern: str) -> None:
    fast, checked = engine_pair(pattern)
    assert isinstance(fast, Gigatoken) == (pattern in KNOWN)
    assert fast is not checked


@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_same_ids_and_empty_texts_stay_empty(pattern: str) -> None:
    fast, checked = engine_pair(pattern)
    assert ids_of(fast, TEXTS) == ids_of(checked, TEXTS)
    for texts in ([], [""], ["", "a", ""]):
        assert ids_of(fast, texts) == ids_of(checked, texts)


@pytest.mark.parametrize("pattern", PATTERNS)
@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.text() | st.text(st.sampled_from("the cat'sſ猫は,.我 \n\r\t<|>1９\u3000\u200d🏴\u0301\u0378")), max_size=3
    )
)
def test_the_same_ids_on_any_texts(pattern: str, texts: list[str]) -> None:
    fast, checked = engine_pair(pattern)
    assert ids_of(fast, texts) == ids_of(checked, texts)


@pytest.mark.parametrize("pattern", KNOWN)
def test_the_same_ids_around_every_kind_of_code_point(pattern: str) -> None:
    # All that are assigned, and of each long run of one category (Han, Hangul, private use) every 64th.
    fast, checked = engine_pair(pattern)
    categories = [unicodedata.category(chr(code)) for code in range(0x110000)]
    chosen = [
        chr(code)
        for code, category in enumerate(categories)
        if category not in ("Cn", "Cs")
        and (code % 64 == 0 or len({*categories[max(code - 64, 0) : code + 64]} - {"Cn"}) > 1)
    ]
    assert len(chosen) > 20_000
    for context in CONTEXTS:
        texts = pa.array([context.replace("{}", char) for char in chosen])
        for found, expected in zip(fast(texts), checked(texts), strict=True):
            np.testing.assert_array_equal(found, expected)


def test_unassigned_code_points_are_found_in_their_texts() -> None:
    texts = ["a", "\u0378", "漢字。", "", "é\U0001fbff\u0378", "🏴", "x\U000e0080", "ऄ\u0984", "\uffff"]
    assert texts_with_unassigned(*engines.text_buffer(pa.array(texts))).tolist() == [1, 4, 6, 7, 8]


@settings(max_examples=100, deadline=None)
@given(texts=st.lists(st.text(st.characters(codec="utf-8", max_codepoint=0xEFFFF)), max_size=4), size=st.integers(1, 9))
def test_unassigned_code_points_are_found_wherever_blocks_end(texts: list[str], size: int) -> None:
    expected = [n for n, text in enumerate(texts) if any(unicodedata.category(char) == "Cn" for char in text)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(unassigned, "_BLOCK", size)
        assert texts_with_unassigned(*engines.text_buffer(pa.array(texts, pa.string()))).tolist() == expected


def test_the_search_for_unassigned_code_points_takes_little_memory_in_a_long_text() -> None:
    data, offsets = engines.text_buffer(pa.array(["ภาษาไทย" * 200_000]))  # 4 MB
    texts_with_unassigned(*engines.text_buffer(pa.array(["ภ"])))  # makes the table
    tracemalloc.start()
    assert not len(texts_with_unassigned(data, offsets))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 32e6


def test_of_a_long_text_with_an_unassigned_code_point_only_a_piece_goes_to_the_reference() -> None:
    checked, sizes = reference(document("gpt2")), []

    def watched(texts: pa.Array) -> tuple[np.ndarray, np.ndarray]:
        sizes.extend(len(text) for text in texts.to_pylist())
        return checked(texts)

    text = " ".join(words(3, 150_000))  # 1 MB
    texts = pa.array(["", text[:500_000] + "\u0378" + text[500_000:], "", text, "a \u0378"])
    ids, offsets = fastest(document("gpt2"), watched)(texts)
    assert max(sizes) < 100_000
    assert len(sizes) == 2
    expected, places = checked(texts)
    np.testing.assert_array_equal(ids, expected)
    np.testing.assert_array_equal(offsets, places)


@pytest.mark.parametrize("pattern", KNOWN)
@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(st.sampled_from("the cat's猫は,.我 \n\r\t19\u3000\u0301\u0378"), max_size=60), max_size=4))
def test_pieces_of_texts_have_the_ids_of_the_whole(pattern: str, texts: list[str]) -> None:
    fast, checked = engine_pair(pattern)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engines, "PIECE_BYTES", 6)
        assert ids_of(fast, texts) == ids_of(checked, texts)


def test_a_slice_of_a_column_is_encoded_alone() -> None:
    column = pa.array(["zero", *TEXTS, "four"])
    for pattern in ("gpt2", "cjk-3"):
        fast, checked = engine_pair(pattern)
        for found, expected in zip(fast(column.slice(2, 4)), checked(pa.array(TEXTS[1:5])), strict=True):
            np.testing.assert_array_equal(found, expected)


def test_the_engine_forgets_its_cache_when_the_process_has_grown_and_goes_on_alike(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fast = fastest(document("gpt2"), reference(document("gpt2")))
    first = ids_of(fast, TEXTS)
    before = fast._backend  # type: ignore[attr-defined]
    monkeypatch.setattr(engines, "LOOK_AFTER", 10)
    assert ids_of(fast, TEXTS) == first
    assert fast._backend is before  # type: ignore[attr-defined]
    monkeypatch.setattr(engines, "RENEW_GROWTH", -(1 << 40))
    assert ids_of(fast, TEXTS) == first
    assert fast._backend is not before  # type: ignore[attr-defined]


def test_what_the_process_holds_is_seen_to_grow_and_to_shrink() -> None:
    assert 10_000_000 < engines.resident_bytes() < 1 << 36
    held = np.ones(1 << 23)
    grown = engines.resident_bytes()
    del held
    assert grown - engines.resident_bytes() > 50_000_000


def test_a_variable_chooses_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    checked = reference(document("gpt2"))
    monkeypatch.setenv("CORPUSMILL_ENGINE", "tokenizers")
    assert fastest(document("gpt2"), checked) is checked


def test_a_foreign_pattern_goes_to_the_reference() -> None:
    foreign = {**document("gpt2"), "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "[aeiou]+"},
               "behavior": "Isolated", "invert": False}}  # fmt: skip
    checked = reference(foreign)
    assert fastest(foreign, checked) is checked


@pytest.mark.parametrize(
    ("changes", "fast"),
    [
        ({"normalizer": {"type": "NFC"}}, False),
        ({"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True}}, False),
        ({"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}}, True),
        ({"truncation": {"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0}}, True),
        ({"padding": {"strategy": {"Fixed": 900}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0,
                      "pad_type_id": 0, "pad_token": "x"}}, True),
        ({"model": {**document("gpt2")["model"], "dropout": 0.5}}, True),
    ],
)  # fmt: skip
def test_tokenizers_of_others_are_encoded_whole_and_never_raise_a_false_alarm(changes: dict, fast: bool) -> None:
    foreign = {**document("gpt2"), **changes}
    encoder = Encoder(json.dumps(foreign))
    assert isinstance(encoder._engine, Gigatoken) == fast
    texts = ["the cafe\u0301 of the cat " * 40, "", "the"]
    ids, offsets = encoder.encode_batch(texts)
    expected, places = reference(foreign)(pa.array(texts))
    np.testing.assert_array_equal(ids, expected)
    np.testing.assert_array_equal(offsets, places)
    if fast:
        assert [encoder.decode(ids[a:b]) for a, b in itertools.pairwise(offsets)] == texts


@pytest.mark.parametrize("text", ["the cat.", "的见", "the cat and the hat " * 50, "the cat " * 6000])
def test_of_texts_of_any_length_16_kb_are_compared(text: str) -> None:
    encoder = Encoder(json.dumps(document("gpt2")))
    checked, compared = encoder._reference, []

    def watched(texts: pa.Array) -> tuple[np.ndarray, np.ndarray]:
        compared.extend(len(text.encode()) for text in texts.to_pylist())
        return checked(texts)

    assert isinstance(encoder._engine, Gigatoken)
    encoder._reference = watched
    encoder.encode_batch([text] * (200_000 // len(text.encode())))
    assert min(8000, 2 * 256 * len(text.encode())) * 0.9 < sum(compared) < 20_000


@pytest.mark.parametrize("text", ["the cat", "the " * 9000, "的" * 50_000, " ".join(words(5, 6000))])
def test_an_engine_that_errs_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(document("gpt2")))

    def wrong(texts: pa.Array) -> tuple[np.ndarray, np.ndarray]:
        ids, offsets = reference(document("gpt2"))(texts)
        pair = np.roll(ids, 1)
        return pair, offsets

    monkeypatch.setattr(encoding, "fastest", lambda *_: wrong)
    if len(set(text)) == 1:  # a run of one character without a border near is not compared, and says nothing
        Encoder(path).encode_batch([text])
        return
    with pytest.raises(CorpusmillError, match="CORPUSMILL_ENGINE=tokenizers"):
        Encoder(path).encode_batch([text])
