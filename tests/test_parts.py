"""Where large files are cut, and that their parts read like the whole."""

import bz2
import gzip
import io
import itertools
import json
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from reading import reading

from pipelines.readers.archives.reader import read_archive
from pipelines.readers.mediawiki.reader import read_mediawiki
from pipelines.readers.parts import PartSizes, open_part, plan_parts, uncut_compression
from pipelines.readers.plain import read_text
from pipelines.readers.records import Quarantined, Record
from pipelines.readers.tables.reader import read_jsonl

HEAD = (
    '<mediawiki version="0.11" xml:lang="uk">\n  <siteinfo><base>https://uk.wikipedia.org/wiki/X</base><namespaces>'
    '<namespace key="0" /><namespace key="6">Файл</namespace></namespaces></siteinfo>\n'
)


def page(number: int, text: str = "") -> str:
    body = text or f"Сторінка {number}: [[Файл:а.jpg|thumb|підпис]] " + "текст " * (number % 50)
    return (
        f"  <page><title>С {number}</title><ns>0</ns><id>{number}</id><revision><id>{number * 10}</id>"
        f"<text>{body}</text></revision></page>\n"
    )


def multistream(pages: int, per_stream: int) -> bytes:
    """A dump as Wikimedia packs it: head, streams of whole pages, and the end, each a bz2 stream of its own."""
    streams = [
        "".join(map(page, range(first, min(first + per_stream, pages)))) for first in range(0, pages, per_stream)
    ]
    return b"".join(bz2.compress(text.encode()) for text in [HEAD, *streams, "</mediawiki>\n"])


def read_parts(path: Path, kind: str, reader, sizes: PartSizes, **about):
    """Every item, part by part; the whole file where it is not cut."""
    items = []
    for part in plan_parts(path, kind, about.get("options", {}), sizes) or [None]:
        with open_part(str(path), kind, part) as opened:
            place = {"begin": opened.begin, "head_bytes": opened.head_bytes, "packed": opened.packed, "part": part}
            items += reader(opened.stream, reading(**about, **place))
    return items


@pytest.mark.parametrize("max_parts", [2, 3, 7, 64])
def test_the_parts_of_a_multistream_dump_hold_the_pages_of_the_whole(tmp_path, max_parts):
    path = tmp_path / "dump.xml.bz2"
    path.write_bytes(multistream(pages=300, per_stream=10))
    sizes = PartSizes(max_parts, 0)
    parts = plan_parts(path, "mediawiki", {}, sizes)
    assert 2 <= len(parts) <= max_parts
    assert parts[0][0] == 0
    assert parts[-1][1] == path.stat().st_size
    assert all(left[1] == right[0] for left, right in itertools.pairwise(parts))
    items = read_parts(path, "mediawiki", read_mediawiki, sizes, language="uk")
    with bz2.open(path) as whole:
        assert items == list(read_mediawiki(whole, reading(language="uk")))
    assert [item.key for item in items] == [str(number) for number in range(300)]
    assert "підпис" not in "".join(item.text for item in items)  # every part knows the names of siteinfo


def test_the_parts_of_a_plain_dump_begin_at_pages_and_hold_them_all(tmp_path):
    path = tmp_path / "dump.xml"
    path.write_text(HEAD + "".join(map(page, range(100))) + "</mediawiki>\n", encoding="utf-8")
    sizes = PartSizes(5, 0)
    parts = plan_parts(path, "mediawiki", {}, sizes)
    assert len(parts) == 5
    assert [path.read_bytes()[begin:][:6] for begin, _ in parts[1:]] == [b"<page>"] * 4
    items = read_parts(path, "mediawiki", read_mediawiki, sizes, language="uk")
    assert [item.key for item in items] == [str(number) for number in range(100)]


def test_a_run_of_pages_without_a_root_is_cut_too(tmp_path):
    path = tmp_path / "pages.xml"
    path.write_text("".join(map(page, range(40))), encoding="utf-8")
    items = read_parts(path, "mediawiki", read_mediawiki, PartSizes(4, 0), language="uk")
    assert [item.key for item in items] == [str(number) for number in range(40)]


def test_a_broken_page_in_a_part_is_told_by_its_place_in_the_file(tmp_path):
    path = tmp_path / "dump.xml"
    text = HEAD + "".join(map(page, range(20))) + page(20, "a & b") + "".join(map(page, range(21, 30))) + "</mediawiki>"
    path.write_text(text, encoding="utf-8")
    items = read_parts(path, "mediawiki", read_mediawiki, PartSizes(3, 0), language="uk")
    (broken,) = [item for item in items if isinstance(item, Quarantined)]
    assert len(items) == 30
    assert broken.locator == f"page 20, byte {path.read_bytes().index(b'<page><title>' + 'С 20<'.encode())}"


def test_a_broken_page_of_a_compressed_part_is_told_by_the_stream_it_lies_in(tmp_path):
    bad = page(7, "a & b")
    streams = [HEAD, "".join(map(page, range(5))), page(6) + bad + page(8), "</mediawiki>"]
    packed = [bz2.compress(text.encode()) for text in streams]
    path = tmp_path / "dump.xml.bz2"
    path.write_bytes(b"".join(packed))
    items = read_parts(path, "mediawiki", read_mediawiki, PartSizes(2, 0), language="uk")
    (broken,) = [item for item in items if isinstance(item, Quarantined)]
    begin = len(packed[0]) + len(packed[1])
    assert broken.locator == f"page 7, byte {len(page(6).encode()) + 2} of the stream at compressed byte {begin}"


def test_a_cut_end_is_one_entry_of_the_last_part(tmp_path):
    path = tmp_path / "dump.xml.bz2"
    whole = multistream(pages=100, per_stream=10)
    path.write_bytes(whole[: len(whole) - 400])
    items = read_parts(path, "mediawiki", read_mediawiki, PartSizes(4, 0), language="uk")
    assert [type(item) for item in items[-2:]] == [Record, Quarantined]
    assert sum(isinstance(item, Quarantined) for item in items) == 1


def test_a_dump_of_one_stream_is_not_cut_and_told_so(tmp_path):
    text = (HEAD + "".join(map(page, range(200))) + "</mediawiki>").encode()
    single, zipped, plain = tmp_path / "a.bz2", tmp_path / "a.gz", tmp_path / "a.xml"
    single.write_bytes(bz2.compress(text))
    zipped.write_bytes(gzip.compress(text))
    plain.write_bytes(text)
    assert [plan_parts(path, "mediawiki", {}, PartSizes(8, 0)) for path in (single, zipped)] == [[], []]
    assert [uncut_compression(path, "mediawiki") for path in (single, zipped, plain)] == ["bz2", "gzip", ""]
    assert uncut_compression(zipped, "jsonl") == ""


def test_streams_that_cut_pages_in_two_are_no_places_to_cut(tmp_path):
    text = (HEAD + "".join(map(page, range(200))) + "</mediawiki>").encode()
    path = tmp_path / "pbzip2.bz2"
    path.write_bytes(b"".join(bz2.compress(text[place : place + 1000]) for place in range(0, len(text), 1000)))
    parts = plan_parts(path, "mediawiki", {}, PartSizes(8, 0)) or [(0, path.stat().st_size)]
    items = read_parts(path, "mediawiki", read_mediawiki, PartSizes(8, 0), language="uk")
    assert len(parts) == 1
    assert [item.key for item in items] == [str(number) for number in range(200)]


@pytest.mark.parametrize("max_parts", [2, 5, 50])
def test_the_parts_of_lines_hold_every_line_once_under_the_same_key(tmp_path, max_parts):
    path = tmp_path / "rows.jsonl"
    rows = [json.dumps({"text": f"行 {number} " + "字" * (number % 40)}, ensure_ascii=False) for number in range(100)]
    rows[60] = '{"text": broken}'
    path.write_text("\n".join(rows), encoding="utf-8")  # no newline at the end
    items = read_parts(path, "jsonl", read_jsonl, PartSizes(max_parts, 0))
    whole = list(read_jsonl(io.BytesIO(path.read_bytes()), reading()))
    keyed = [item.key for item in items if isinstance(item, Record)]
    assert keyed == [item.key for item in whole if isinstance(item, Record)]
    assert len(items) == 100
    (broken,) = [item for item in items if isinstance(item, Quarantined)]
    place = path.read_bytes().index(rows[60].encode())
    assert broken.locator in ("line 61", f"byte {place}")


def test_lines_longer_than_a_part_are_not_cut(tmp_path):
    path = tmp_path / "lines.txt"
    path.write_bytes(b"a" * 1000 + b"\n" + b"b" * 1000 + b"\nc")
    about = {"options": {"split": "line"}}
    assert plan_parts(path, "text", about["options"], PartSizes(20, 0)) == [(0, 1001), (1001, 2002), (2002, 2003)]
    items = read_parts(path, "text", read_text, PartSizes(20, 0), **about)
    assert [(item.key, len(item.text)) for item in items] == [
        ("0123456789ab:0", 1000), ("0123456789ab:1001", 1000), ("0123456789ab:2002", 1),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "data", "kind", "options"),
    [
        ("utf16.txt", "\ufeff日\n本\n".encode("utf-16-le") * 50, "text", {"split": "line"}),
        ("whole.txt", b"a\nb\n" * 50, "text", {"split": "file"}),
        ("latin.jsonl", b"{}\n" * 50, "jsonl", {"encoding": "cp1252"}),
        ("rows.csv", b'a,"b\nc"\n' * 50, "csv", {}),
        ("rows.jsonl.gz", gzip.compress(b"{}\n" * 500, mtime=0), "jsonl", {}),
        ("utf16.xml", "\ufeff<mediawiki><page></page></mediawiki>".encode("utf-16-le"), "mediawiki", {}),
        ("pages.warc", b"WARC/1.0\r\n" * 50, "warc", {}),
        ("empty.jsonl", b"", "jsonl", {}),
        ("no.parquet", b"PAR1" * 50, "parquet", {}),
    ],
)
def test_what_cannot_be_cut_safely_is_read_whole(tmp_path, name, data, kind, options):
    (tmp_path / name).write_bytes(data)
    assert plan_parts(tmp_path / name, kind, options, PartSizes(8, 0)) == []


def test_a_small_file_is_not_cut(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"{}\n" * 100)
    assert plan_parts(path, "jsonl", {}, PartSizes(64, 300)) == []
    assert plan_parts(path, "jsonl", {}, PartSizes(64, 200)) == [(0, 201), (201, 300)]


@pytest.mark.parametrize(("number", "wanted", "expected"), [(5, 2, [(0, 3), (3, 5)]), (1, 4, []), (0, 1, [])])
def test_a_zip_is_cut_between_members(tmp_path, number, wanted, expected):
    path = tmp_path / "news.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for member in range(number):
            archive.writestr(f"{member}.txt", f"Nachricht {member} " * 9)
    sizes = PartSizes(wanted, 0)
    options = {"split": "file"}
    assert plan_parts(path, "text", options, sizes) == expected
    items = []
    for part in plan_parts(path, "text", options, sizes) or [None]:
        items += read_archive(path, "text", read_text, reading(options=options, part=part))
    assert [item.text[:11] for item in items if isinstance(item, Record)] == [f"Nachricht {n}" for n in range(number)]


def test_parquet_is_cut_between_row_groups(tmp_path):
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"text": [str(number) * 20 for number in range(100)]}), path, row_group_size=10)
    parts = plan_parts(path, "parquet", {}, PartSizes(3, 0))
    assert parts[0][0] == 0
    assert parts[-1][1] == 10
    assert all(left[1] == right[0] for left, right in itertools.pairwise(parts))
    assert 2 <= len(parts) <= 3
