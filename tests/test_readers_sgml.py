"""Reuters-21578: newswire markup in -> stories out, every broken story in the quarantine."""

import io
import tarfile

import pytest
from reading import reading

from pipelines.readers.archives.reader import read_archive
from pipelines.readers.charset import ENCODING_HINT
from pipelines.readers.records import Quarantined, Record, Skipped
from pipelines.readers.sgml import read_sgml

DOCTYPE = '<!DOCTYPE lewis SYSTEM "lewis.dtd">\n'


def story(number: int, text: str, date: str = "26-FEB-1987 15:01:01.79", kind: str = "") -> str:
    return f"""<REUTERS TOPICS="YES" LEWISSPLIT="TRAIN" OLDID="1" NEWID="{number}">
<DATE>{date}</DATE>
<TOPICS><D>cocoa</D></TOPICS>
<UNKNOWN>&#5;&#5;&#5;C T
&#22;&#22;&#1;f0704&#31;reute</UNKNOWN>
<TEXT{kind}>&#2;
{text}</TEXT>
</REUTERS>
"""


def sgml(data: str | bytes, **options: str):
    raw = data if isinstance(data, bytes) else data.encode(options.get("encoding", "utf-8"))
    return list(read_sgml(io.BytesIO(raw), reading(options=options)))


NORM = """<TITLE>MILL &lt;ML.N> SEES
HIGHER  OUTPUT</TITLE>
<AUTHOR>    By Ann Doe, Reuters</AUTHOR>
<DATELINE>    SALVADOR, Feb 26 - </DATELINE><BODY>Showers continued in the Bahia
zone, AT&amp;T said, &amp;lt; one.
    The dry period is&#127; over.
 MTH   LAST   HIGH
 Mar    ---    148
 REUTER
&#3;</BODY>"""


def test_a_story_is_its_paragraphs_with_dateline_title_author_and_date():
    assert sgml(DOCTYPE + story(1, NORM)) == [
        Record(
            key="1",
            title="MILL <ML.N> SEES HIGHER OUTPUT",
            text="SALVADOR, Feb 26 - Showers continued in the Bahia zone, AT&T said, &lt; one.\n"
            "The dry period is over.\n MTH   LAST   HIGH\n Mar    ---    148",
            date="1987-02-26T15:01:01",
            author="Ann Doe",
        )
    ]


def test_text_that_stands_between_title_and_body_is_kept():
    text = "<TITLE>GASOIL</TITLE>\n MTH LAST\n<DATELINE> Mar ---\n </DATELINE><BODY>Apr 148.00\n&#3;</BODY>"
    (item,) = sgml(story(1, text))
    assert item.text == "MTH LAST\n Mar ---\n Apr 148.00"


def test_an_unprocessed_story_is_kept_line_by_line():
    (item,) = sgml(story(2, "MONEY RATES\nmargin\n day to day  10-1/2\n Reuter\n&#3;\n", kind=' TYPE="UNPROC"'))
    assert (item.title, item.text) == ("", "MONEY RATES\nmargin\n day to day  10-1/2")


def test_a_headline_alone_is_no_document():
    text = "******<TITLE>BANK LEAVES RATES\nUNCHANGED</TITLE>Blah blah blah.\n&#3;\n"
    assert sgml(DOCTYPE + story(3, text, kind=' TYPE="BRIEF"')) == [
        Skipped("headline_only", "line 2", "BANK LEAVES RATES UNCHANGED")
    ]


@pytest.mark.parametrize(
    ("given", "date"),
    [
        (" 1-APR-1987 01:02:03.45", "1987-04-01T01:02:03"),
        ("27-MAR-1987 00:02:59.13&#5;&#5;&#5;RM", "1987-03-27T00:02:59"),
        ("31-MAR-1987 605:12:19.12", "1987-03-31"),
        ("9-APR-1987 00:00:00.00    # date added as guesswork", "1987-04-09T00:00:00"),
        ("31-FEB-87", ""),
        ("", ""),
    ],
)
def test_dates_are_iso_8601_where_they_are_dates(given, date):
    assert sgml(story(1, NORM, given))[0].date == date


def test_a_story_without_an_id_has_its_place_for_a_key():
    (item,) = sgml(DOCTYPE + story(1, NORM).replace(' NEWID="1"', ""))
    assert item.key == "0123456789ab:36"


def test_bytes_that_are_no_utf8_refuse_one_story_unless_the_encoding_is_named():
    data = (story(1, NORM) + story(2, NORM.replace("Bahia", "Zürich")) + story(3, NORM)).encode("latin-1")
    first, bad, third = sgml(data)
    assert (first.key, third.key) == ("1", "3")
    assert (bad.locator, bad.reason) == ("line 18", "invalid_utf8")
    assert bad.error.endswith(ENCODING_HINT)
    assert [item.key for item in sgml(data, encoding="latin-1")] == ["1", "2", "3"]
    assert "Zürich" in sgml(data, encoding="latin-1")[1].text
    assert [item.key for item in sgml(story(1, NORM) + story(2, NORM), encoding="utf-16")] == ["1", "2"]


WHOLE = story(9, NORM)


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (story(1, NORM).replace("</REUTERS>", ""), "truncated"),
        (story(1, NORM)[:200], "truncated"),
        (story(1, NORM).replace("<TEXT>", ""), "missing_text"),
        (story(1, NORM).replace("Bahia", "Ba\0hia"), "nul"),
        ("some other text\n", "wrong_format"),
        ("</REUTERS>\n", "wrong_format"),
    ],
)
def test_a_broken_story_is_refused_and_its_neighbours_read(broken, reason):
    before, bad, after = sgml(story(8, NORM) + broken + WHOLE)
    assert (before.key, bad.reason, after.key) == ("8", reason, "9")
    assert bad.locator == "line 18"


@pytest.mark.parametrize(
    ("data", "item"),
    [
        (b"", Quarantined("line 1", "empty_file", "the file holds no bytes", b"")),
        (b"%PDF-1.4", Quarantined("line 1", "wrong_format", "expected text, got a PDF", b"%PDF-1.4")),
        (story(1, "<TITLE>T</TITLE>").encode(), Skipped("empty", "line 1", "T")),
    ],
)
def test_what_holds_no_story_is_one_entry(data, item):
    assert sgml(data) == [item]


def test_reuters_21578_adds_up(shared_data):
    archive = shared_data / "news" / "reuters-21578.tar.gz"
    counts: dict[str, int] = {}
    keys = set()
    for item in read_archive(archive, "sgml", read_sgml, reading()):
        name = "documents" if isinstance(item, Record) else item.reason
        counts[name] = counts.get(name, 0) + 1
        keys.add(getattr(item, "key", ""))
    assert counts == {"documents": 19778, "headline_only": 1798, "empty": 1, "invalid_utf8": 1}
    assert sum(counts.values()) == 21578
    assert len(keys) == 19778 + 1
    with tarfile.open(archive) as tar:
        latin = tar.extractfile("reut2-017.sgm").read()
    assert sum(isinstance(item, Record) and "ü" in item.text for item in sgml(latin, encoding="latin-1")) == 1


@pytest.mark.parametrize(
    ("character", "kept"),
    [(" ", " " * 200_000), ("\t", "\t" * 200_000), ("\n", "\n" * 199_999 + " "), ("<", "<" * 200_000),
     ("&", "&" * 200_000)],
)  # fmt: skip
def test_long_runs_of_one_character_are_read(character, kept):
    run = character * 200_000
    (item,) = sgml(story(1, f"<AUTHOR>by Ann{' ' * 200_000}Doe</AUTHOR><BODY>a{run}b</BODY>"))
    assert (item.author, item.text) == ("Ann Doe", f"a{kept}b")


@pytest.mark.parametrize("tag", ["<TEXT>", "<DATE>", "<TITLE>", "</REUTERS>", "<REUTERS NEWID="])
def test_tags_that_nobody_closes_are_read(tag):
    items = sgml(tag * 30_000 + "\n" + WHOLE)
    assert items[-1].key == "9"
    assert {item.reason for item in items[:-1]} <= {"wrong_format", "truncated"}


@pytest.mark.parametrize(
    ("ending", "kept"),
    [
        ("over.    Reuter", "over."), ("over.\nREUTERS...", "over."), ("over.\n \t Reuter\n", "over."),
        ("over. Reuter", "over. Reuter"), ("over,\nsaid Reuter", "over, said Reuter"),
    ],
)  # fmt: skip
def test_a_sign_off_stands_on_its_own_line_or_behind_a_gap(ending, kept):
    (item,) = sgml(story(1, f"<BODY>It is {ending}&#3;</BODY>"))
    assert item.text == f"It is {kept}"


def test_a_name_that_ends_in_by_is_left_whole():
    (item,) = sgml(story(1, NORM.replace("Ann Doe", "Ann Rugby Town")))
    assert item.author == "Ann Rugby Town"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le"])
def test_stories_on_one_line_are_apart(encoding):
    first, second = (story(n, f"<BODY>Text {n}.</BODY>").replace("\n", " ") for n in (1, 2))
    data = first.replace(' NEWID="1"', "") + second.replace(' NEWID="2"', "") + "\n" + story(3, "<BODY>x</BODY>")
    items = sgml(data, encoding=encoding)
    place = (data.index("</REUTERS>") + len("</REUTERS>")) * (2 if encoding == "utf-16-le" else 1)
    assert [(item.key, item.text) for item in items] == [
        ("0123456789ab:0", "Text 1."),
        (f"0123456789ab:{place}", "Text 2."),
        ("3", "x"),
    ]
