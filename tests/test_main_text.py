"""Main text: two readers of a page agree on where the article begins and ends."""

import pytest
from lxml.html import document_fromstring, tostring

from pipelines.readers.web.main_text import is_dense, join_pieces, trim_edges

EN = ["The council decided on Monday that the mill will be restored.", "It was built in 1912 by a miller."]
ZH = ["市政府今天宣布，这座有百年历史的老磨坊将在明年全面修复。", "磨坊建于一九一二年，一直用到战后。"]


@pytest.mark.parametrize("text", [EN, ZH])
def test_lines_around_the_text_go_when_the_second_reader_lacks_them(text):
    assert trim_edges(["News", *text, "Old links", "磨坊图片"], ["Menu", *text]) == (text, {"not_main": 3})


def test_lines_inside_the_text_stay():
    lines = [EN[0], "An inset", EN[1]]
    assert trim_edges(lines, EN) == (lines, {})


def test_spaces_and_small_differences_do_not_matter():
    assert trim_edges(EN, [EN[0].replace(" ", "  "), EN[1].replace("1912", "1912 [1]")]) == (EN, {})


def test_a_long_sentence_is_never_trimmed_away():
    sentence = "The mayor, who had opposed the plan for most of a decade, said that she had changed her mind there."
    lines = [*EN * 3, f"{sentence} It was a rather long and winding walk."]
    assert trim_edges(lines, EN) == (lines, {})
    assert trim_edges([*EN * 3, f"{sentence} And so on: more"], EN) == (EN * 3, {"not_main": 1})


def test_two_readers_of_different_parts_agree_on_nothing():
    assert trim_edges([EN[1], *ZH * 5], EN) is None


def test_pieces_of_one_article_are_joined_in_order():
    piece = '<div class="article__body"><p>{}</p><p>{}</p></div>'
    tree = document_fromstring(f"<article>{piece.format(1, 2)}<aside>ad</aside>{piece.format(3, 4)}</article>")
    join_pieces(tree)
    assert [p.text for p in tree.find(".//div").iter("p")] == ["1", "2", "3", "4"]


@pytest.mark.parametrize(
    "page",
    [
        '<div class="story"><p>1</p><p>2</p></div><div class="story"><p>3</p><p>4</p></div>',
        '<article><div class="story"><p>1</p><p>2</p></div></article>' * 2,
        '<article><div class="story"><p>1</p><p>2</p><div class="story"><p>3</p><p>4</p></div></div></article>',
        '<article><div class="teaser"><p>1</p><p>2</p></div><div class="teaser"><p>3</p><p>4</p></div></article>',
        f"<article>{'<div class=story><p>1</p><p>2</p></div>' * 60}</article>",
    ],
)
def test_what_is_not_one_article_is_left_as_it_is(page):
    tree = document_fromstring(page)
    before = tostring(tree)
    join_pieces(tree)
    assert tostring(tree) == before


@pytest.mark.parametrize(
    ("text", "dense"), [(EN[0], False), (ZH[0], True), ("製粉所", True), ("방앗간", True), ("1912", False)]
)
def test_dense_scripts_are_told_from_others(text, dense):
    assert is_dense(text) is dense


@pytest.mark.parametrize("text", ["", "..."])
def test_no_letters_are_not_dense(text):
    assert is_dense(text) is False
