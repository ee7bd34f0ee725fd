"""References, size classes, and what is known of documents."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipelines.duplicates.answers import Known, gathered
from pipelines.duplicates.preference import Preference, priorities_of
from pipelines.duplicates.references import (
    PLACE,
    size_class,
    smallest_of,
    unit_of,
    with_sizes,
    without_sizes,
)  # fmt: skip
from pipelines.duplicates.search_steps import by_crowd, pairs_of

NUMBERS = st.lists(st.integers(0, (1 << 34) - 1), min_size=1, max_size=50)


@given(NUMBERS)
def test_a_class_ascends_with_the_number_and_its_smallest_is_at_most_an_eighth_below(numbers: list[int]) -> None:
    ascending = np.sort(np.array(numbers, np.uint64))
    classes = size_class(ascending)
    assert (np.diff(classes.astype(np.int64)) >= 0).all()
    assert int(classes.max()) <= 255
    smallest = smallest_of(classes)
    assert (smallest <= ascending.astype(np.int64)).all()
    assert (ascending.astype(np.int64) * 8 <= smallest * 9).all()
    assert (size_class(smallest) == classes).all()


def test_a_size_travels_in_a_reference_and_leaves_unit_and_row() -> None:
    refs = np.array([7, 2 << 40 | 9], np.uint64)
    sized = with_sizes(refs, np.array([20, 1000]))
    assert sized.tolist() == [18 << 32 | 7, 2 << 40 | 63 << 32 | 9]
    assert without_sizes(sized).tolist() == refs.tolist()
    assert unit_of(sized).tolist() == [0, 2]


def test_a_pair_lives_with_the_document_of_fewer_fingerprints_and_counts_the_keys_that_proposed_it() -> None:
    small, large = with_sizes(np.array([9, 3], np.uint64), np.array([10, 100])).tolist()
    keyed = np.array([(5, large), (5, small), (6, small), (6, large), (7, large)], [("key", "<u8"), ("ref", "<u8")])
    few, full = by_crowd(keyed, max_bucket=4)
    assert (len(few), len(full)) == (4, 0)
    _, pairs = pairs_of(few, np.zeros(4, np.int64), 4)
    assert pairs.tolist() == [(9, 3, 2)]
    few, full = by_crowd(np.concatenate([keyed, keyed[:1], keyed[1:2], keyed[:1]]), max_bucket=4)
    assert (set(few["key"].tolist()), set(full["key"].tolist())) == ({6}, {5})


SOURCES = ["en", "enwiki", "enwikinews", "é", "\0", "wiki"]
KEYS = ["9", "10", "007", "1000000", "9" * 30, "x", "xy", "é", "", "<urn:uuid:1>"]
DOCUMENTS = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 1 << 36), st.sampled_from(KEYS), st.sampled_from(["", ":", "else:"])),
    min_size=1, max_size=30,
)  # fmt: skip


@given(DOCUMENTS, st.sampled_from(["longest", "first_id", "source_priority"]))
def test_a_stretch_of_the_order_never_falls_as_the_place_grows(
    documents: list[tuple[int, int, str, str]], order: str
) -> None:
    records = np.zeros(len(documents), PLACE)
    records["ref"] = [unit << 40 | row for row, (unit, _, _, _) in enumerate(documents)]
    records["chars"] = [chars for _, chars, _, _ in documents]
    # Most ids begin with their source; some with another word, some with none.
    known = Known(records, [f"{other or SOURCES[unit] + ':'}{key}" for unit, _, key, other in documents])
    preference = Preference(order, priorities_of(SOURCES, ["enwiki"]), 1, tuple(sorted(SOURCES)))
    in_order = preference.coarse(known)[np.argsort(preference.rank(known))]
    assert (np.diff(in_order) >= 0).all()
    assert (in_order >= 0).all()


def test_the_order_of_equal_ids_does_not_depend_on_arrival() -> None:
    records = np.zeros(12, PLACE)
    records["ref"], records["tie"] = np.arange(12, dtype=np.uint64) << np.uint64(40), 5
    preference = Preference("first_id", (), 4, ("s",))
    rank = preference.rank(Known(records, ["s:1"] * 12))
    shuffled = np.random.default_rng(1).permutation(12)
    assert preference.rank(Known(records[shuffled], ["s:1"] * 12)).tolist() == rank[shuffled].tolist()
    assert rank.tolist() == list(range(12))


def test_answers_are_gathered_sorted_and_split_with_their_ids() -> None:
    one = Known(np.array([5, 3], np.uint64).astype([("ref", "<u8")]), ["five", "three"])
    other = Known(np.array([3, 4], np.uint64).astype([("ref", "<u8")]), ["three", "four"])
    together = gathered([one.packed(), other.packed()], one.records.dtype).distinct()
    assert (together.records["ref"].tolist(), together.ids) == ([3, 4, 5], ["three", "four", "five"])
    parts = {group: part.ids for group, part in together.by(np.array([1, 0, 1]))}
    assert parts == {0: ["four"], 1: ["three", "five"]}
