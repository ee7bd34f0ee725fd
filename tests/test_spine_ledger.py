"""The ledger: in = out + reasons, or the stage fails with both sums."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.spine.errors import CorpusmillError
from pipelines.spine.ledger import Ledger, merge


def made(taken: int, given: dict[str, int], reasons: dict[str, int], apart: dict[str, int] | None = None) -> Ledger:
    ledger = Ledger("documents")
    ledger.take(taken)
    for name, number in given.items():
        ledger.give(name, number)
    for name, number in reasons.items():
        ledger.count(name, number)
    for name, number in (apart or {}).items():
        ledger.apart(name, number)
    return ledger


def test_206_pages_are_106_documents_and_100_redirects() -> None:
    made(206, {"documents": 106}, {"skipped.redirect": 100}).check("extract")


@pytest.mark.parametrize(("given_out", "lost", "both"), [(1_000, 205, "1,205"), (1_000, 207, "1,207")])
def test_a_sum_that_does_not_close_raises_with_both_sums(given_out: int, lost: int, both: str) -> None:
    with pytest.raises(CorpusmillError) as caught:
        made(1_206, {"documents": given_out}, {"dropped.short": lost}).check("clean: enwiki-3fa91c04be77")
    assert str(caught.value) == (
        f"clean: enwiki-3fa91c04be77: the ledger does not close: 1,206 documents in, 1,000 out, {lost} under a reason\n"
        f"  expected: 1,206\n  got: {both}\n"
        "  hint: this is a fault of the stage, not of your data: please report it with this ledger"
    )


def test_what_is_counted_apart_is_no_part_of_the_sum() -> None:
    made(10, {"tokens": 10}, {}, {"padding": 7}).check("pack")


def test_the_document_is_sorted_and_leaves_zeros_out() -> None:
    ledger = made(3, {"val": 0, "train": 2}, {"exact": 1, "a": 0}, {"padding": 5})
    document = ledger.to_dict()
    assert document == {
        "counts": "documents", "in": 3, "out": {"train": 2}, "reasons": {"exact": 1}, "apart": {"padding": 5},
    }  # fmt: skip
    assert Ledger.from_dict(document).to_dict() == document


def test_numbers_of_numpy_are_written_as_plain_numbers() -> None:
    numpy = pytest.importorskip("numpy")
    ledger = made(numpy.int64(2), {"kept": numpy.int32(1)}, {"exact": numpy.uint8(1)})
    assert [type(ledger.taken), type(ledger.given["kept"]), type(ledger.reasons["exact"])] == [int, int, int]


def test_parts_are_summed_in_total_and_by_source() -> None:
    parts = [
        ("zhwiki", made(2, {"documents": 2}, {})),
        ("enwiki", made(3, {"documents": 1}, {"skipped.redirect": 2})),
        ("zhwiki", made(5, {"documents": 4}, {"skipped.redirect": 1}, {"lines": 9})),
    ]
    total, by_source = merge("documents", parts)
    assert total.to_dict() == made(10, {"documents": 7}, {"skipped.redirect": 3}, {"lines": 9}).to_dict()
    assert by_source["zhwiki"].to_dict() == made(7, {"documents": 6}, {"skipped.redirect": 1}, {"lines": 9}).to_dict()
    assert by_source["enwiki"].to_dict() == made(3, {"documents": 1}, {"skipped.redirect": 2}).to_dict()


COUNTS = st.dictionaries(st.sampled_from("abc"), st.integers(0, 9))


@given(st.lists(st.tuples(st.sampled_from("xyz"), COUNTS, COUNTS), max_size=6), st.randoms())
def test_the_order_of_the_parts_does_not_matter_and_closed_parts_close(parts: list, random) -> None:
    ledgers = [(s, made(sum(g.values()) + sum(r.values()), g, r)) for s, g, r in parts]
    total, by_source = merge("documents", ledgers)
    total.check("total")
    for ledger in by_source.values():
        ledger.check("source")
    random.shuffle(ledgers)
    again, _ = merge("documents", ledgers)
    assert again.to_dict() == total.to_dict()
