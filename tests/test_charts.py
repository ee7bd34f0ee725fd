"""Charts: the numbers stand where they should, and nothing but numbers and escaped names gets into the drawing."""

import math
from xml.etree import ElementTree

import pytest

from pipelines.reporting import charts
from pipelines.reporting.charts import Series


def numbers(svg: str, shape: str, attribute: str) -> list[str]:
    """The attribute of every such shape, in order; fails when the drawing is not well-formed."""
    return [element.get(attribute, "") for element in ElementTree.fromstring(svg).iter(shape)]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1000, [0, 200, 400, 600, 800, 1000]),
        (0, 7, [0, 2, 4, 6]),
        (2.31, 3.7, [2.4, 2.6, 2.8, 3.0, 3.2, 3.4, 3.6]),
        (-1, 1, [-1, -0.5, 0, 0.5, 1]),
        (5, 5, [5]),
    ],
)
def test_ticks_are_round_numbers_inside_the_range(low: float, high: float, expected: list[float]) -> None:
    assert charts.ticks(low, high) == pytest.approx(expected)


def test_a_share_bar_fills_the_box_and_says_what_each_part_is() -> None:
    svg = charts.share_bar([("train", 3, "c0"), ("none", 0, "c1"), ("test", 1, "c2")], "by split")
    assert numbers(svg, "rect", "x") == ["0.000%", "75.000%"]
    assert numbers(svg, "rect", "width") == ["75.000%", "25.000%"]
    assert "<title>train: 3</title>" in svg


def test_a_span_bar_begins_where_the_one_before_it_ends() -> None:
    svg = charts.span_bar(50, 25, 200, "lost", "too short")
    assert (numbers(svg, "rect", "x"), numbers(svg, "rect", "width")) == (["25.000%"], ["12.500%"])


def test_a_pair_of_bars_is_a_share_of_one_whole_each() -> None:
    svg = charts.pair_bar(50, 20, 200, "zh: 50 before, 20 after")
    assert (numbers(svg, "rect", "class"), numbers(svg, "rect", "width")) == (
        ["before", "after"],
        ["25.000%", "10.000%"],
    )
    assert numbers(svg, "rect", "y") == ["0", "55%"]
    assert numbers(charts.pair_bar(0, 0, 0, "none"), "rect", "y") == []


def test_columns_stand_side_by_side_and_reach_as_high_as_their_numbers() -> None:
    svg = charts.columns(["1", "2"], [("old", "before", [4, 0]), ("new", "after", [2, 1])], "lengths")
    assert numbers(svg, "rect", "height") == ["100.00%", "0.00%", "50.00%", "25.00%"]
    assert numbers(svg, "rect", "class") == ["before", "before", "after", "after"]
    assert [float(x.rstrip("%")) for x in numbers(svg, "rect", "x")] == [4.0, 54.0, 25.0, 75.0]


def test_a_line_goes_from_edge_to_edge_and_leaves_out_what_is_no_number() -> None:
    svg = charts.lines([Series("loss", "line", [(0, 4.0), (1, math.nan), (2, 2.0)])], "loss", from_zero=False)
    (path,) = numbers(svg, "polyline", "points")
    assert path == "0,370 10000,9630"


def test_points_are_dots_with_their_values() -> None:
    svg = charts.lines([Series("val", "points", [(0, 1.0), (10, 3.0)])], "loss", from_zero=True)
    assert numbers(svg, "circle", "cx") == ["0.00%", "100.00%"]
    assert "<title>val, 10: 3</title>" in svg


def test_the_running_mean_follows_a_straight_fall_without_lag() -> None:
    fall = [(step, 10.0 - step) for step in range(8)]
    assert charts.smoothed(fall, 2)[:6] == fall[:6]


def test_a_long_line_keeps_its_ends_and_few_points() -> None:
    thin = charts.thinned([(step, float(step)) for step in range(100_000)])
    assert (len(thin), thin[0], thin[-1]) == (600, (0, 0.0), (99_999, 99_999.0))


@pytest.mark.parametrize("series", [[], [Series("loss", "line", [])], [Series("loss", "line", [(1, 2.0)])]])
def test_few_or_no_values_still_draw(series: list[Series]) -> None:
    ElementTree.fromstring(charts.lines(series, "loss"))
    ElementTree.fromstring(charts.columns([], [("none", "after", [])], "nothing"))
    ElementTree.fromstring(charts.columns(["1"], [("zero", "after", [0])], "nothing"))


def test_names_from_a_corpus_are_escaped() -> None:
    svg = charts.share_bar([('<b>"&', 1, "c0")], '"><script>')
    assert "<b>" not in svg
    assert "<script>" not in svg
    ElementTree.fromstring(svg)
