"""The order with source weights: shares of an epoch, rows shown equally often, steps alike from any start, places."""

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from token_shards import KEY, write_tokenizer, write_unit

from pipelines.pack import PackParams
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.manifest import write_manifest
from tokenizer.encoding import Encoder
from train.order import Order, share_of, source_seed
from train.permutation import place_of, row_at, sample

ROOT = Path(__file__).parents[1]
DOCS = (ROOT / "docs" / "order.md").read_text(encoding="utf-8")
#: The worked example of the module and of docs/order.md: rows 0 1 2 are a's, 3 4 5 6 are b's.
EXAMPLE = Order(0, (("a", 3), ("b", 4)), {"a": 2.0, "b": 0.5})
#: Sources in several shards, one of them between another's, and one weight for each way of rounding.
MIXED = Order(7, (("a", 4), ("b", 9), ("a", 3), ("c", 0), ("d", 5), ("e", 6)), {"a": 1.5, "b": 0.3, "d": 0.0})


def epoch(order: Order, number: int) -> list[int]:
    return [order.row(number * order.num_slots + k) for k in range(order.num_slots)]


def orders() -> st.SearchStrategy[Order]:
    sources = st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 12)), min_size=1, max_size=6)
    weights = st.dictionaries(st.sampled_from("abc"), st.sampled_from([0.1, 0.25, 0.5, 1.0, 1.3, 2.0, 3.7]))

    def build(seed: int, shards: list[tuple[str, int]], chosen: dict[str, float]) -> Order:
        here = {source for source, _ in shards}
        return Order(seed, tuple(shards), {source: weight for source, weight in chosen.items() if source in here})

    return st.builds(build, st.integers(0, 2**64 - 1), sources, weights)


def test_the_worked_example_is_this() -> None:
    assert EXAMPLE.num_slots == 8
    assert epoch(EXAMPLE, 0) == [4, 2, 1, 0, 1, 3, 2, 0]
    assert epoch(EXAMPLE, 1) == [0, 6, 1, 0, 5, 1, 2, 2]
    assert (EXAMPLE.places(2, 0), EXAMPLE.places(4, 0), EXAMPLE.places(4, 1)) == ([1, 6], [0], [])


def test_with_all_weights_one_the_order_is_the_permutation_of_all_rows() -> None:
    for weights in ({}, {"a": 1.0, "b": 1.0}):
        order = Order(5, (("a", 30), ("a", 11), ("b", 29)), weights)
        assert order.rows(0, 210).tolist() == [sample(5, index, 70) for index in range(210)]
        assert sorted(epoch(order, 2)) == list(range(70))


@pytest.mark.parametrize(
    ("weight", "num_rows", "share"),
    [
        (1.0, 7, 7), (0.5, 7, 4), (0.5, 8, 4), (0.25, 10, 3), (2.0, 7, 14), (0.0, 7, 0), (1e-9, 7, 1),
        (0.35, 10, 4),  # 3.5, a half: up; the binary fraction next to 0.35 lies below it
        (1.1, 5, 6), (2.675, 100, 268), (0.285, 100, 29), (1e-05, 10**6, 10),
    ],
)  # fmt: skip
def test_a_share_is_the_decimal_weight_times_the_rows_with_a_half_rounded_up(weight, num_rows, share) -> None:
    assert share_of(weight, num_rows) == share


def test_sources_have_their_shares_in_every_epoch() -> None:
    source_of = [source for source, rows in MIXED.shards for _ in range(rows)]
    for number in range(5):
        counts = Counter(source_of[row] for row in epoch(MIXED, number))
        assert counts == {"a": 11, "b": 3, "e": 6}  # 1.5 * 7 = 10.5, 0.3 * 9 = 2.7, 1 * 6


def test_a_weight_of_a_half_shows_every_row_once_in_two_epochs_and_two_shows_it_twice_in_one() -> None:
    order = Order(3, (("half", 10), ("double", 6)), {"half": 0.5, "double": 2.0})
    for first in range(0, 6, 2):
        one, other = epoch(order, first), epoch(order, first + 1)
        assert sorted(row for row in one + other if row < 10) == list(range(10))
        assert sorted(row for row in one if row >= 10) == sorted([*range(10, 16)] * 2)
    assert len({frozenset(row for row in epoch(order, number) if row < 10) for number in range(0, 12, 2)}) > 3


@settings(max_examples=80, deadline=None)
@given(order=orders(), epochs=st.integers(1, 7))
def test_after_any_epoch_the_rows_of_a_source_were_shown_equally_often_give_or_take_one(
    order: Order, epochs: int
) -> None:
    counts = Counter(order.rows(0, epochs * order.num_slots).tolist())
    first = 0
    shown: dict[str, list[int]] = {}
    for source, num_rows in order.shards:
        shown.setdefault(source, []).extend(counts[row] for row in range(first, first + num_rows))
        first += num_rows
    for source, times in shown.items():
        assert max(times) - min(times) <= 1
        assert sum(times) == epochs * share_of(order.weights.get(source, 1.0), len(times))


@settings(max_examples=80, deadline=None)
@given(order=orders(), start=st.integers(0, 2**40), count=st.integers(0, 90))
def test_many_rows_at_once_are_the_single_ones_from_any_start(order: Order, start: int, count: int) -> None:
    rows = order.rows(start, count)
    assert rows.dtype == np.int64
    assert rows.tolist() == [order.row(start + index) for index in range(count)]


@settings(max_examples=50, deadline=None)
@given(order=orders(), number=st.integers(0, 2**30))
def test_the_places_of_a_row_are_where_the_epoch_shows_it(order: Order, number: int) -> None:
    shown = epoch(order, number)
    for row in range(sum(rows for _, rows in order.shards)):
        assert order.places(row, number) == [k for k, other in enumerate(shown) if other == row]


def test_large_epochs_are_answered_at_once_and_inverted() -> None:
    order = Order(2**64 - 1, (("web", 10**12), ("wiki", 10**9)), {"web": 0.3, "wiki": 2.5})
    assert order.num_slots == 302_500_000_000
    for index in (0, 1, order.num_slots - 1, order.num_slots, 10**15):
        number, place = divmod(index, order.num_slots)
        assert place in order.places(order.row(index), number)
        assert order.rows(index, 1).tolist() == [order.row(index)]
    assert [order.row(index) for index in (0, 10**15)] == [157951965660, 848644260350]


def test_what_a_source_draws_depends_on_its_name_and_not_on_the_others() -> None:
    alone = Order(1, (("news", 50),), {"news": 0.2})
    beside = Order(1, (("news", 50), ("wiki", 80)), {"news": 0.2})
    for number in range(6):
        assert sorted(epoch(alone, number)) == sorted(row for row in epoch(beside, number) if row < 50)
    assert source_seed(1, "news") != source_seed(1, "wiki")


def test_no_weight_and_no_place_in_the_shards_moves_the_sources_draws_when_a_shard_is_cut_in_two() -> None:
    whole, cut = (Order(1, shards, {"a": 0.4}) for shards in ((("a", 50),), (("a", 20), ("a", 30))))
    assert whole.rows(0, 100).tolist() == cut.rows(0, 100).tolist()


@pytest.mark.parametrize("weight", [-0.5, float("nan"), float("inf")])
def test_what_is_no_weight_is_refused(weight: float) -> None:
    with pytest.raises(CorpusmillError, match="no weight of a source") as caught:
        Order(0, (("a", 3),), {"a": weight})
    assert caught.value.where == "params.yaml: pretrain.source_weights.a"


def test_a_source_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(CorpusmillError, match="no train rows of source wikipedia") as caught:
        Order(0, (("wiki", 3), ("news", 2), ("wiki", 1)), {"wikipedia": 2.0})
    assert caught.value.expected == "wiki | news"


@pytest.mark.parametrize(("weights", "got"), [({"a": 0.0}, "0"), ({"a": 1e30}, "3e+30"), ({"a": 1e308}, "3e+308")])
def test_an_epoch_without_rows_or_with_too_many_is_refused(weights: dict[str, float], got: str) -> None:
    with pytest.raises(CorpusmillError, match="an epoch without rows, or with too many") as caught:
        Order(0, (("a", 3),), weights)
    assert caught.value.got == got


def test_a_row_or_place_that_is_not_there_is_refused() -> None:
    for row in (-1, 7):
        with pytest.raises(ValueError, match=f"row {row} of 7 rows"):
            EXAMPLE.places(row, 0)


def test_the_first_lines_of_the_docs_run_on_the_sources_of_the_sample(tmp_path: Path) -> None:
    code = DOCS.split("```python\n")[1].split("```")[0].replace("data/pack", str(tmp_path))
    samples = [source["name"] for source in yaml.safe_load((ROOT / "params.yaml").read_text())["fetch"]["sources"]]
    encoder, params = Encoder(write_tokenizer(tmp_path / "tokenizer.json")), PackParams(1, "best_fit", "split")
    shards = [write_unit(tmp_path, f"train-{s}-{KEY}", [("1", "x" * 3000)], encoder, params, s) for s in samples[:2]]
    write_manifest(tmp_path, shards)
    ran: dict = {}
    exec(code, ran)
    assert ran["order"].num_slots == 6000 + 1500
    assert ran["order"].row(123_456) in range(6000)


def test_the_program_in_the_docs_gives_the_same_rows() -> None:
    program: dict = {}
    exec(DOCS.split("## The same as a program\n```python\n")[1].split("```")[0], program)
    for order in (
        EXAMPLE,
        MIXED,
        Order(2**64 - 1, (("日本語", 40), ("web", 300), ("日本語", 2)), {"日本語": 0.1, "web": 0.01}),
    ):
        weights = {source: str(weight) for source, weight in order.weights.items()}
        described = [program["row"](order.seed, order.shards, weights, index) for index in range(200)]
        assert order.rows(0, 200).tolist() == described


def test_the_worked_example_in_the_docs_is_right() -> None:
    lines = table("| epoch |")
    assert len(lines) == 3
    for number, slots, rows in lines:
        assert [row_at(0, int(number), k, 8) for k in range(8)] == [int(slot) for slot in slots.split()]
        assert epoch(EXAMPLE, int(number)) == [int(row) for row in rows.split()]


def test_the_tables_in_the_docs_are_right() -> None:
    lines = table("| seed | epoch |")
    assert len(lines) == 14
    for line in lines:
        seed, number, k, num_rows, row = map(int, line)
        assert row_at(seed, number, k, num_rows) == row
        assert place_of(seed, number, row, num_rows) == k
    lines = table("| seed | sources |")
    assert len(lines) == 18
    for seed, sources, index, row in lines:
        parts = [re.fullmatch(r"(\w+): (\d+) x ([\d.]+)", part) for part in sources.split(", ")]
        shards = tuple((part[1], int(part[2])) for part in parts if part)
        order = Order(int(seed), shards, {part[1]: float(part[3]) for part in parts if part})
        assert order.row(int(index)) == int(row)


def table(head: str) -> list[list[str]]:
    """The cells of the lines of a table in docs/order.md."""
    lines = DOCS[DOCS.index(head) :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
