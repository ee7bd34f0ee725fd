"""Winnowing: what two texts share is found wherever it stands."""

import itertools

import numpy as np
import pytest
from corpora import words
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.duplicates import fingerprints
from pipelines.duplicates.fingerprints import winnow
from pipelines.duplicates.shingles import shingle_hashes


def plain(hashes: list[int], window: int) -> list[int]:
    """The definition, word for word: the smallest of every window."""
    windows = [hashes[begin : begin + window] for begin in range(max(len(hashes) - window + 1, min(len(hashes), 1)))]
    return sorted({min(one) for one in windows})


@given(st.lists(st.lists(st.integers(0, 9), max_size=20), max_size=8), st.sampled_from([1, 2, 4, 8]))
@settings(deadline=None)
def test_fingerprints_are_the_smallest_of_every_window_and_no_window_crosses_documents(
    documents: list[list[int]], window: int
) -> None:
    offsets = np.cumsum([0, *map(len, documents)])
    values, ends = winnow(np.array(list(itertools.chain(*documents)), np.uint64), offsets, window)
    found = [values[ends[number] : ends[number + 1]].tolist() for number in range(len(documents))]
    assert found == [plain(document, window) for document in documents]


def test_blocks_of_documents_give_what_one_block_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    hashes, offsets = shingle_hashes([" ".join(words(number, 40 + number)) for number in range(30)], 5)
    whole = [part.tolist() for part in winnow(hashes, offsets, 8)]
    monkeypatch.setattr(fingerprints, "BLOCK_SHINGLES", 100)
    assert [part.tolist() for part in winnow(hashes, offsets, 8)] == whole


@pytest.mark.parametrize("passage", [" ".join(words(1, 40)), "".join(chr(0x4E00 + n) for n in range(7, 900, 25))])
def test_a_passage_of_a_window_of_shingles_leaves_the_same_fingerprint_wherever_it_stands(passage: str) -> None:
    around = [" ".join(words(2, 300)), " ".join(words(3, 80))]
    hashes, offsets = shingle_hashes([f"{around[0]} {passage} {around[1]}", f"{passage} {around[1]} end"], 5)
    values, ends = winnow(hashes, offsets, 16)
    assert set(values[: ends[1]].tolist()) & set(values[ends[1] :].tolist())


def test_a_window_that_is_no_power_of_two_is_refused() -> None:
    with pytest.raises(ValueError, match="window is 12, expected a power of two"):
        winnow(np.empty(0, np.uint64), np.zeros(1, np.int64), 12)
