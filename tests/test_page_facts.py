"""What a page says of itself: titles, date, author, language, refresh; never guessed."""

import json

import pytest
from trafilatura import load_html

from pipelines.readers.web.facts import Facts, language_tag, page_facts


def facts(head: str, body: str = "<p>Words.</p>", lang: str = "", header: str = "") -> Facts:
    attribute = f' lang="{lang}"' if lang else ""
    return page_facts(
        load_html(f"<!DOCTYPE html><html{attribute}><head>{head}</head><body>{body}</body></html>"), header
    )


def json_ld(**fields: object) -> str:
    return f'<script type="application/ld+json">{json.dumps({"@type": "NewsArticle"} | fields)}</script>'


@pytest.mark.parametrize(
    ("head", "titles"),
    [
        ("<title> Old \n mill </title>", ("Old mill",)),
        (
            "<title>Old mill | Paper</title><meta property='og:title' content='Old mill'>",
            ("Old mill", "Old mill | Paper"),
        ),
        ("<meta property='og:title' content='  '><title>老磨坊</title>", ("老磨坊",)),
        (f"<title>{'mill ' * 101}</title>", ()),
        ("<meta name='x'>", ()),
    ],
)
def test_the_titles_are_those_the_page_gives(head, titles):
    assert facts(head).titles == titles


@pytest.mark.parametrize(
    ("head", "date"),
    [
        ("<meta property='article:published_time' content='2024-05-01T10:00:00+08:00'>", "2024-05-01T10:00:00+08:00"),
        ("<meta name='Date' content=' 2024-05-01 '><time datetime='2020-01-01'></time>", "2024-05-01"),
        (json_ld(datePublished="2024-05-01T10:00:00Z"), "2024-05-01T10:00:00Z"),
        ('<script type="application/ld+json">{"datePublished": "2024-05-01", broken</script>', "2024-05-01"),
        (
            f"{json_ld(**{'@type': 'Comment'}, datePublished='2020-01-01')}{json_ld(datePublished='2024-05-01')}",
            "2024-05-01",
        ),
        ("<meta name='date' content='May 1st'><time datetime='2024-05'></time>", "2024-05"),
        ("<meta name='date' content='0001-01-01T00:00:00Z'>", ""),
        ("<meta name='date' content='yesterday'>", ""),
        ("", ""),
    ],
)
def test_the_date_is_the_one_the_page_gives_and_never_guessed(head, date):
    assert facts(head).date == date


@pytest.mark.parametrize(
    ("head", "author"),
    [
        ("<meta name='author' content=' Ann  Lee '>", "Ann Lee"),
        ("<meta name='byl' content='By Ann Lee'>", "Ann Lee"),
        (json_ld(author={"name": "Ann Lee"}), "Ann Lee"),
        (json_ld(author=[{"name": "Ann Lee"}, "Bo Li", {"name": "ann lee"}]), "Ann Lee, Bo Li"),
        (json_ld(author={"name": ["Ann Lee", "Bo Li"]}), "Ann Lee, Bo Li"),
        (json_ld(**{"@type": "Graph", "@graph": [{"@type": "Article", "author": "王小明"}]}), "王小明"),
        (json_ld(**{"@type": "Organization"}, author="The Paper"), ""),
        ("<meta property='article:author' content='https://example.org/ann'>", ""),
        ("<meta name='author' content='ann@example.org'>", ""),
        ("<meta name='author' content='Ann Lee | May 1 | Print'>", "Ann Lee"),
        (f"<meta name='author' content='{'word ' * 20}'>", ""),
        ('<script type="application/ld+json">[[[[{"author": 7}, null, "x"</script>', ""),
        (json_ld(author=None), ""),
    ],
)  # fmt: skip
def test_the_author_is_the_one_the_page_names(head, author):
    assert facts(head).author == author


def test_the_author_may_stand_in_the_text():
    assert facts("", "<p>Von <a rel='author' href='/a'>Ann Lee</a></p>").author == "Ann Lee"
    assert facts("", "<span itemprop='author'>By Ann Lee</span>").author == "Ann Lee"


def test_deep_or_broken_json_gives_no_facts():
    assert facts(f'<script type="application/ld+json">{"[" * 100_000}</script><title>x</title>') == Facts(
        ("x",), "", "", "", ""
    )


@pytest.mark.parametrize(
    ("given", "tag"),
    [
        ("en", "en"), ("EN-us", "en-us"), ("pt_BR.UTF-8", "pt-br"), ("zh-Hant", "zh-hant"), ("zh-Hant-TW", "zh-hant-tw"),
        ("zh-CN", "zh-cn"), ("es-419", "es-419"), ("sr_Latn_RS", "sr-latn-rs"), ("de-DE-1996", "de-de"),
        ("iw", "he"), ("jp", "ja"), ("yue", "yue"), ("zh-cmn-Hans", "zh-hans"),
        ("x-default", ""), ("english", ""), ("en, fr", ""),
        ("und", ""), ("", ""), ("e", ""), ("<b>", ""), ("{{lang}}", ""),
    ],
)  # fmt: skip
def test_a_language_is_a_well_formed_tag_or_none(given, tag):
    assert language_tag(given) == tag


@pytest.mark.parametrize(
    ("page", "language"),
    [
        (facts("<meta property='og:locale' content='fr_FR'>", lang="ja"), "ja"),
        (facts("<meta http-equiv='Content-Language' content='ru'>", header="en"), "ru"),
        (facts("<meta property='og:locale' content='ar_AR'>"), "ar-ar"),
        (facts(json_ld(inLanguage="uk")), "uk"),
        (facts("", lang="none given", header="vi"), "vi"),
        (facts(""), ""),
    ],
)
def test_the_language_comes_from_the_page_and_then_from_the_server(page, language):
    assert page.language == language


@pytest.mark.parametrize(
    ("content", "target"),
    [
        ("0; url=https://e/new", "https://e/new"),
        ("5;URL='/new'", "/new"),
        ("0.5 , url = /new", "/new"),
        ("300; url=/front", ""),
        ("300", ""),
        ("soon; url=/new", ""),
    ],
)
def test_a_page_that_sends_its_reader_on_says_where(content, target):
    assert facts(f'<meta http-equiv="refresh" content="{content}">').refresh == target
