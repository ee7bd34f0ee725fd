"""Who is dropped for whom: greedy by rank, never for a document that is itself dropped."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.duplicates.survivors import Drops, choose_survivors

Pair = tuple[int, int]


def choose(rank: list[int], pairs: list[Pair], similarity: list[float]) -> Drops:
    return choose_survivors(
        np.array(rank, np.int64), np.array(pairs, np.int64).reshape(-1, 2), np.array(similarity, np.float64)
    )


def rows(drops: Drops) -> list[tuple[int, int, int]]:
    """(dropped, kept, pair) of each."""
    return list(zip(drops.dropped.tolist(), drops.kept.tolist(), drops.pair.tolist(), strict=True))


def test_the_document_of_better_rank_stays():
    assert rows(choose([1, 0], [(0, 1)], [0.9])) == [(0, 1, 0)]


def test_a_chain_drops_its_middle_and_keeps_both_ends():
    assert rows(choose([0, 1, 2], [(0, 1), (1, 2)], [0.85, 0.95])) == [(1, 0, 0)]


def test_a_chain_in_which_the_middle_ranks_best_drops_both_ends():
    assert rows(choose([1, 0, 2], [(0, 1), (1, 2)], [0.85, 0.95])) == [(0, 1, 0), (2, 1, 1)]


def test_the_most_similar_kept_twin_is_named_and_of_equals_the_best_in_rank():
    assert rows(choose([0, 1, 2], [(0, 2), (1, 2)], [0.8, 0.9])) == [(2, 1, 1)]
    assert rows(choose([1, 0, 2], [(0, 2), (2, 1)], [0.9, 0.9])) == [(2, 1, 1)]


def test_a_dropped_twin_is_never_named_however_similar():
    pairs = [(0, 1), (1, 2), (0, 2)]
    assert rows(choose([0, 1, 2], pairs, [0.8, 0.99, 0.8])) == [(1, 0, 0), (2, 0, 2)]


def test_the_first_of_repeated_pairs_is_named():
    assert rows(choose([0, 1], [(1, 0), (0, 1)], [0.9, 0.9])) == [(1, 0, 0)]


def test_nothing_is_dropped_without_pairs():
    assert rows(choose([0, 1], [], [])) == []
    assert rows(choose([], [], [])) == []


def test_equal_ranks_and_pairs_of_one_document_are_refused():
    with pytest.raises(ValueError, match="two documents have the same rank"):
        choose([3, 5, 3], [(0, 1)], [0.9])
    with pytest.raises(ValueError, match="a document is paired with itself"):
        choose([0, 1], [(1, 1)], [1.0])


def slow_choice(rank: list[int], scores: dict[Pair, float]) -> dict[int, int]:
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
def graphs(draw: st.DrawFn) -> tuple[list[int], dict[Pair, float]]:
    size = draw(st.integers(2, 12))
    rank = draw(st.permutations(range(size)))
    members = st.tuples(st.integers(0, size - 1), st.integers(0, size - 1))
    pairs = draw(st.sets(members.filter(lambda pair: pair[0] < pair[1]), max_size=30))
    return rank, {pair: draw(st.sampled_from([0.8, 0.85, 0.9, 1.0])) for pair in sorted(pairs)}


@given(graphs())
@settings(deadline=None)
def test_the_choice_is_the_slow_one_and_keeps_its_promises(graph: tuple[list[int], dict[Pair, float]]):
    rank, scores = graph
    drops = choose(rank, list(scores), list(scores.values()))
    fate = dict(zip(drops.dropped.tolist(), drops.kept.tolist(), strict=True))
    assert fate == slow_choice(rank, scores)
    for document, twin, pair in rows(drops):
        assert list(scores)[pair] == tuple(sorted((document, twin)))
        assert twin not in fate
        assert rank[twin] < rank[document]
    assert all(a in fate or b in fate for a, b in scores)
    assert drops.dropped.tolist() == sorted(fate)


@given(graphs(), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_the_order_of_pairs_and_of_their_members_changes_nothing(
    graph: tuple[list[int], dict[Pair, float]], random: object
):
    rank, scores = graph
    pairs = list(scores)
    random.shuffle(pairs)
    turned = [pair[::-1] if random.random() < 0.5 else pair for pair in pairs]
    straight = choose(rank, list(scores), list(scores.values()))
    shuffled = choose(rank, turned, [scores[pair] for pair in pairs])
    assert shuffled.dropped.tolist() == straight.dropped.tolist()
    assert shuffled.kept.tolist() == straight.kept.tolist()
    assert [pairs[index] for index in shuffled.pair] == [list(scores)[index] for index in straight.pair]


def test_a_long_chain_takes_time_in_proportion():
    size = 300_000
    chain = np.stack([np.arange(size - 1), np.arange(1, size)], axis=1)
    began = time.process_time()
    drops = choose_survivors(np.arange(size), chain, np.ones(size - 1))
    assert time.process_time() - began < 5  # 0.3 s; rounds over the whole graph would need 150,000
    assert drops.dropped.tolist() == list(range(1, size, 2))
    assert drops.kept.tolist() == list(range(0, size - 1, 2))
