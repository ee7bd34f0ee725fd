"""Who is dropped for whom: greedy by rank, never for a document that is itself dropped; in blocks of any size."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.duplicates.references import CONTAINED, DROP, JACCARD, VERIFIED
from pipelines.duplicates.survivors import Survivors, in_order, turned

Pair = tuple[int, int]
ALIKE = 100  # shingles of two documents together


def choose(rank: list[int], pairs: list[Pair], shared: list[int], block: int = 100) -> list[tuple[int, int, int]]:
    """(dropped, kept, shared) of each that goes, ascending; decided so many pairs at a time."""
    found = np.array([(*pair, count, ALIKE, JACCARD, 0) for pair, count in zip(pairs, shared, strict=True)], VERIFIED)
    return decided(rank, found, block)


def decided(rank: list[int], pairs: np.ndarray, block: int = 100) -> list[tuple[int, int, int]]:
    refs, places = np.arange(len(rank), dtype=np.uint64), np.array(rank, np.int64)
    ordered = in_order(turned(pairs, refs, places), refs, places)
    survivors = Survivors(np.array([len(rank)]))
    drops = [survivors.drops(ordered[begin : begin + block]) for begin in range(0, len(ordered), block)]
    found = np.concatenate([np.empty(0, DROP), *drops])
    return sorted(zip(found["ref"].tolist(), found["kept"].tolist(), found["shared"].tolist(), strict=True))


def test_the_document_of_better_rank_stays():
    assert choose([1, 0], [(0, 1)], [90]) == [(0, 1, 90)]


def test_a_chain_drops_its_middle_and_keeps_both_ends():
    assert choose([0, 1, 2], [(0, 1), (1, 2)], [85, 95]) == [(1, 0, 85)]


def test_a_chain_in_which_the_middle_ranks_best_drops_both_ends():
    assert choose([1, 0, 2], [(0, 1), (1, 2)], [85, 95]) == [(0, 1, 85), (2, 1, 95)]


def test_the_most_similar_kept_twin_is_named_and_of_equals_the_best_in_rank():
    assert choose([0, 1, 2], [(0, 2), (1, 2)], [80, 90]) == [(2, 1, 90)]
    assert choose([1, 0, 2], [(0, 2), (2, 1)], [90, 90]) == [(2, 1, 90)]


def test_a_dropped_twin_is_never_named_however_similar():
    pairs = [(0, 1), (1, 2), (0, 2)]
    assert choose([0, 1, 2], pairs, [80, 99, 80]) == [(1, 0, 80), (2, 0, 80)]


def test_a_document_of_many_twins_goes_once_wherever_a_block_ends():
    pairs, shared = [(0, 3), (1, 3), (2, 3), (0, 4)], [80, 81, 82, 83]
    for block in (1, 2, 3, 4):
        assert choose([0, 1, 2, 3, 4], pairs, shared, block) == [(3, 2, 82), (4, 0, 83)]


def test_repeated_pairs_drop_once():
    assert choose([0, 1], [(1, 0), (0, 1)], [90, 90], block=1) == [(1, 0, 90)]


def test_nothing_is_dropped_without_pairs():
    assert choose([0, 1], [], []) == []
    assert choose([], [], []) == []


def test_pairs_of_one_document_are_refused():
    with pytest.raises(ValueError, match="a document is paired with itself"):
        choose([0, 1], [(1, 1)], [100])


def verified(*rows: tuple[int, int, int, int, int, int]) -> np.ndarray:
    return np.array(list(rows), VERIFIED)


def test_a_contained_text_goes_only_for_one_that_is_preferred_to_it():
    inner_is_b = verified((0, 1, 50, 50, CONTAINED, 1))
    assert decided([0, 1], inner_is_b) == [(1, 0, 50)]
    assert decided([1, 0], inner_is_b) == []
    assert decided([1, 0], verified((0, 1, 50, 52, CONTAINED, 2))) == [(0, 1, 50)]


def test_an_alike_twin_is_named_before_one_that_contains_the_document():
    assert decided([0, 1, 2], verified((0, 2, 60, 60, CONTAINED, 1), (1, 2, 50, 60, JACCARD, 0))) == [(2, 1, 50)]


def test_a_contained_text_whose_container_goes_stays_unless_another_holds_it():
    chain = (0, 1, 90, 100, JACCARD, 0), (1, 2, 50, 50, CONTAINED, 1)
    assert decided([0, 1, 2], verified(*chain)) == [(1, 0, 90)]
    assert decided([0, 1, 2], verified(*chain, (0, 2, 45, 50, CONTAINED, 1))) == [(1, 0, 90), (2, 0, 45)]


def test_documents_of_several_units_are_told_apart():
    refs = np.array([0, 1, 1 << 40, 1 << 40 | 1], np.uint64)
    pairs = verified((0, 1 << 40, 90, 100, JACCARD, 0), (1, 1 << 40 | 1, 80, 100, JACCARD, 0))
    rank = np.array([0, 3, 1, 2])
    found = Survivors(np.array([2, 2])).drops(in_order(turned(pairs, refs, rank), refs, rank))
    assert found["ref"].tolist() == [1 << 40, 1]


def slow_choice(rank: list[int], scores: dict[Pair, int]) -> dict[int, int]:
    """dropped -> kept, from the definition."""
    kept: list[int] = []
    fate: dict[int, int] = {}
    for document in sorted(range(len(rank)), key=rank.__getitem__):
        twins = [twin for twin in kept if tuple(sorted((document, twin))) in scores]
        if twins:
            fate[document] = max(twins, key=lambda twin: (scores[tuple(sorted((document, twin)))], -rank[twin]))
        else:
            kept.append(document)
    return fate


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[int], dict[Pair, int]]:
    size = draw(st.integers(2, 12))
    rank = draw(st.permutations(range(size)))
    members = st.tuples(st.integers(0, size - 1), st.integers(0, size - 1))
    pairs = draw(st.sets(members.filter(lambda pair: pair[0] < pair[1]), max_size=30))
    return rank, {pair: draw(st.sampled_from([80, 85, 90, 100])) for pair in sorted(pairs)}


@given(graphs(), st.integers(1, 8))
@settings(deadline=None)
def test_the_choice_is_the_slow_one_and_keeps_its_promises(graph: tuple[list[int], dict[Pair, int]], block: int):
    rank, scores = graph
    drops = choose(rank, list(scores), list(scores.values()), block)
    fate = {document: twin for document, twin, _ in drops}
    assert len(fate) == len(drops)
    assert fate == slow_choice(rank, scores)
    for document, twin, shared in drops:
        assert scores[min(document, twin), max(document, twin)] == shared
        assert twin not in fate
        assert rank[twin] < rank[document]
    assert all(a in fate or b in fate for a, b in scores)


@given(graphs(), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_the_order_of_pairs_and_of_their_members_changes_nothing(
    graph: tuple[list[int], dict[Pair, int]], random: object
):
    rank, scores = graph
    pairs = list(scores)
    random.shuffle(pairs)
    turned_about = [pair[::-1] if random.random() < 0.5 else pair for pair in pairs]
    straight = choose(rank, list(scores), list(scores.values()))
    assert choose(rank, turned_about, [scores[pair] for pair in pairs]) == straight


def test_a_long_chain_takes_time_in_proportion():
    size = 300_000
    chain = np.zeros(size - 1, DROP)
    chain["ref"], chain["kept"] = np.arange(1, size), np.arange(size - 1)
    began = time.process_time()
    drops = Survivors(np.array([size])).drops(chain)
    assert time.process_time() - began < 5  # 0.2 s; rounds over the whole graph would need 150,000
    assert drops["ref"].tolist() == list(range(1, size, 2))
    assert drops["kept"].tolist() == list(range(0, size - 1, 2))
