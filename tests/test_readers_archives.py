"""Zip, tar and 7z: members in their order, each record with its place, and one entry for whatever is damaged."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard
from reading import reading

from pipelines.readers.archives.reader import archive_format, is_wanted, iter_members, read_archive
from pipelines.readers.archives.zip_entries import count_members
from pipelines.readers.mediawiki.reader import read_mediawiki
from pipelines.readers.plain import read_text
from pipelines.readers.records import Item, Quarantined, Record, Skipped
from pipelines.spine.errors import CorpusmillError

FILES = {
    "b/两.txt": "东京\n京都\n".encode(),
    "a.txt": b"one\n\ntwo\n",
    "c/empty.txt": b"",
    "long/" + "n" * 150 + ".txt": b"last",
}
PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": lambda data: gzip.compress(data, mtime=0),
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstandard.ZstdCompressor().compress,
}


def zipped(path: Path, files: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data, compression)
    return path


def tarred(files: dict[str, bytes], kind: int = tarfile.PAX_FORMAT) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=kind) as archive:
        archive.addfile(directory("folder"))
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


def directory(name: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = tarfile.DIRTYPE
    return info


def sevenzipped(path: Path, files: dict[str, bytes], **options: Any) -> Path:
    py7zr = pytest.importorskip("py7zr", reason="7z archives need the extra corpusmill[7z]")
    with py7zr.SevenZipFile(path, "w", **options) as archive:
        for name, data in files.items():
            archive.writestr(data, name)
    return path


def read(path: Path, part: tuple[int, int] | None = None, kind: str = "text", **options: str) -> list[Item]:
    context = reading(options={"split": "line", **options}, part=part)
    return list(read_archive(path, kind, read_text, context))


def texts(items: list[Item]) -> list[str]:
    return [item.text if isinstance(item, Record) else item.reason for item in items]


EXPECTED = ["东京", "京都", "one", "empty", "two", "empty_file", "last"]


# --- every archive


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_is_read_in_the_order_of_its_bytes(tmp_path, method):
    path = zipped(tmp_path / "corpus", FILES, method)
    assert archive_format(path) == "zip"
    assert texts(read(path)) == EXPECTED


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_tar_is_read_whatever_it_is_packed_with(tmp_path, packing, kind):
    files = FILES if kind != tarfile.USTAR_FORMAT else {name[:90]: data for name, data in FILES.items()}
    path = tmp_path / "corpus"
    path.write_bytes(PACKINGS[packing](tarred(files, kind)))
    assert archive_format(path) == "tar"
    names = [member.name for member in iter_members(path, "text", {})]
    assert names == list(files)
    assert texts(read(path)) == EXPECTED


def test_a_7z_is_read_in_its_order(tmp_path):
    path = sevenzipped(tmp_path / "corpus", FILES)
    assert archive_format(path) == "7z"
    assert texts(read(path)) == EXPECTED


def test_keys_and_places_name_the_member_by_its_offset_and_never_by_its_name(tmp_path):
    path = zipped(tmp_path / "corpus.zip", {"a.txt": b"one\n\n", "b.txt": b"bad\xff\n"}, zipfile.ZIP_STORED)
    second = 30 + len("a.txt") + 5
    one, empty, bad = read(path)
    assert one == Record("0123456789ab:0:0", "", "one")
    assert empty == Skipped("empty", "member at 0: line 2")
    assert (bad.locator, bad.reason) == (f"member at {second}: line 1", "invalid_utf8")
    tar = tmp_path / "corpus.tar"
    tar.write_bytes(tarred({"x" * 120: b"one\n", "b": b"two\n"}, tarfile.GNU_FORMAT))
    # Behind the folder's header: two headers and a name of a long name, its data, the next header.
    assert [item.key for item in read(tar)] == ["0123456789ab:512:0", "0123456789ab:2560:0"]


def test_a_member_that_is_not_read_to_its_end_hides_no_other(tmp_path):
    files = {f"{number}.txt": b"line\n" * 50_000 for number in range(3)}
    (tmp_path / "a.tar").write_bytes(tarred(files))
    for path in (zipped(tmp_path / "a.zip", files), tmp_path / "a.tar"):
        seen = [member.stream.read(4) for member in iter_members(path, "text", {})]
        assert seen == [b"line"] * 3


def test_a_7z_member_that_is_not_read_to_its_end_hides_no_other(tmp_path):
    path = sevenzipped(tmp_path / "a.7z", {f"{number}.txt": b"line\n" * 900_000 for number in range(3)})
    assert [member.stream.read(4) for member in iter_members(path, "text", {})] == [b"line"] * 3
    members = iter_members(path, "text", {})
    assert next(members).offset == 0
    members.close()  # and no thread waits for ever


def test_members_may_be_compressed_themselves(tmp_path):
    files = {f"page{end}": pack(b"text\n") for end, pack in PACKINGS.items()}
    assert texts(read(zipped(tmp_path / "a.zip", files))) == ["text"] * 5


DUMP = b"<mediawiki><page><title>A</title><ns>0</ns><id>7</id><revision><text>text</text></revision></page></mediawiki>"


@pytest.mark.parametrize("ending", [".bz2", ".zst"])
def test_a_compressed_dump_in_an_archive_is_read(tmp_path, ending):
    files = {f"x.xml{ending}": PACKINGS[ending](DUMP)}
    (tmp_path / "a.tar").write_bytes(tarred(files))
    for path in (zipped(tmp_path / "a.zip", files), tmp_path / "a.tar"):
        records = [
            item for item in read_archive(path, "mediawiki", read_mediawiki, reading()) if item.__class__ is Record
        ]
        assert [(record.key, record.text) for record in records] == [("7", "text")]


def test_a_member_of_another_format_is_one_entry_and_the_others_are_read(tmp_path):
    path = zipped(tmp_path / "a.zip", {"a.xml": b"<html>x</html>", "b.xml": DUMP})
    wrong, record = read_archive(path, "mediawiki", read_mediawiki, reading())
    assert isinstance(wrong, Quarantined)
    assert (wrong.locator, wrong.reason, wrong.raw) == ("member at 0: byte 0", "wrong_format", b"")
    assert "this is not a MediaWiki XML export" in wrong.error
    assert "\n" not in wrong.error
    assert isinstance(record, Record)
    assert record.text == "text"


NAMES = ["a/1.HTML", "2.htm.gz", "3.xhtml.zst", "dump.xml", "dump.xml.bz2", "dump.xml-p1p2", "reut2-000.sgm", "x"]


@pytest.mark.parametrize(
    ("kind", "pattern", "wanted"),
    [
        ("html", "", ["a/1.HTML", "2.htm.gz", "3.xhtml.zst"]),
        ("sgml", "", ["reut2-000.sgm"]),
        ("mediawiki", "", ["dump.xml", "dump.xml.bz2", "dump.xml-p1p2"]),
        ("text", "", NAMES),
        ("text", "*.XML", ["dump.xml"]),
    ],
)
def test_a_pattern_or_the_kind_chooses_the_members(kind, pattern, wanted):
    assert [name for name in [*NAMES, "__MACOSX/._1.html", "a/._dump.xml"] if is_wanted(name, kind, pattern)] == wanted


def test_other_members_are_skipped_and_counted(tmp_path):
    path = zipped(tmp_path / "a.zip", {"lewis.dtd": b"<!ELEMENT>", "a.txt": b"text"})
    assert read(path, members="*.txt") == [
        Skipped("other_member", "member at 0"),
        Record("0123456789ab:51:0", "", "text"),
    ]


def test_parts_of_a_zip_are_all_of_it_once(tmp_path):
    path = zipped(tmp_path / "a.zip", {f"{number:03}": b"text %d" % number for number in range(10)})
    assert count_members(path) == 10
    assert read(path, (0, 4)) + read(path, (4, 5)) + read(path, (5, 10)) == read(path)


def test_a_link_in_a_tar_is_another_member(tmp_path):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    (tmp_path / "a.tar").write_bytes(file.getvalue())
    assert read(tmp_path / "a.tar") == [Skipped("other_member", "member at 0")]


def test_two_tars_one_after_another_are_both_read(tmp_path):
    (tmp_path / "a.tar").write_bytes(tarred({"a": b"one"}) + tarred({"b": b"two"}))
    assert texts(read(tmp_path / "a.tar")) == ["one", "two"]


@pytest.mark.parametrize(
    "data", [b"", b"plain text\n" * 100, gzip.compress(b"x" * 5000, mtime=0), b"\x1f\x8b\x08 broken", bytes(1024)]
)
def test_what_is_no_archive_is_none(tmp_path, data):
    (tmp_path / "a").write_bytes(data)
    assert archive_format(tmp_path / "a") == ""


# --- broken ones


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :]


def patched(path: Path, change: Callable[[bytes], bytes]) -> Path:
    path.write_bytes(change(path.read_bytes()))
    return path


def noise(number: int) -> bytes:
    return bytes((7 * number + index * index) % 251 for index in range(3000)).hex().encode()


NOISE = {f"{number}.txt": noise(number) for number in range(4)}


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zip_that_breaks_off_keeps_its_whole_members(tmp_path, method):
    path = zipped(tmp_path / "a.zip", NOISE, method)
    whole = read(path)
    patched(path, lambda data: data[: len(data) // 2])
    first, *others, cut, rest = read(path)
    assert [first, *others] == whole[: 1 + len(others)]
    assert (cut.locator.partition(":")[2], cut.reason) == (" line 1", "damaged")
    assert (rest.locator, rest.reason) == (f"byte {path.stat().st_size}", "damaged")
    assert count_members(path) == 0


def test_a_zip_whose_list_is_damaged_loses_no_member(tmp_path):
    path = zipped(tmp_path / "a.zip", NOISE)
    whole = read(path)
    patched(path, lambda data: data[: data.index(b"PK\x01\x02") + 10])
    *members, rest = read(path)
    assert members == whole
    assert rest.error == "the zip archive breaks off here, or its list is damaged"


def test_a_zip_of_rubbish_is_one_entry(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"PK\x03\x04" + b"rubbish" * 20)
    (item,) = read(tmp_path / "a.zip")
    assert (item.locator, item.reason, item.raw[:2]) == ("byte 0", "damaged", b"PK")


def test_a_damaged_member_of_a_zip_is_one_entry_and_the_others_are_read(tmp_path):
    path = zipped(tmp_path / "a.zip", NOISE, zipfile.ZIP_STORED)
    patched(path, lambda data: flipped(data, 100))
    bad, *good = read(path)
    assert (bad.locator, bad.reason) == ("member at 0: line 1", "damaged")
    assert bad.error == "damaged member of an archive: its checksum is wrong, at byte 16"
    assert texts(good) == [data.decode() for data in list(NOISE.values())[1:]]


def test_a_damaged_member_of_a_compressed_zip_is_one_entry_and_the_others_are_read(tmp_path):
    path = zipped(tmp_path / "a.zip", NOISE)
    patched(path, lambda data: data[:60] + bytes(200) + data[260:])
    bad, *good = read(path)
    assert (bad.locator, bad.reason) == ("member at 0: line 1", "damaged")
    assert texts(good) == [data.decode() for data in list(NOISE.values())[1:]]


def test_a_member_that_the_list_names_otherwise_than_its_header_is_refused_without_its_name(tmp_path):
    path = zipped(tmp_path / "a.zip", {"secret-name.txt": b"text", "b.txt": b"good"})
    patched(path, lambda data: data.replace(b"secret-name.txt", b"public-name.txt", 1))
    bad, good = read(path)
    assert bad.reason == "damaged"
    assert "name" not in bad.error
    assert good.text == "good"


def test_an_encrypted_member_is_refused_and_the_others_are_read(tmp_path):
    def encrypt(data: bytes) -> bytes:
        central = data.index(b"PK\x01\x02")
        return data[:6] + b"\x01" + data[7 : central + 8] + b"\x01" + data[central + 9 :]

    path = patched(zipped(tmp_path / "a.zip", {"a": b"x", "b": b"good"}), encrypt)
    assert read(path)[0] == Quarantined("member at 0", "encrypted", "the member is encrypted", b"")
    assert read(path)[1].text == "good"


def test_an_unknown_compression_is_refused_and_the_others_are_read(tmp_path):
    def other_method(data: bytes) -> bytes:
        central = data.index(b"PK\x01\x02")
        return data[:8] + b"\x5f" + data[9 : central + 10] + b"\x5f" + data[central + 11 :]

    bad, good = read(patched(zipped(tmp_path / "a.zip", {"a": b"x", "b": b"good"}), other_method))
    assert (bad.reason, bad.error) == ("unsupported_compression", "compression method 95: pack the archive again")
    assert good.text == "good"


def test_members_that_share_their_bytes_are_refused(tmp_path):
    def doubled(data: bytes) -> bytes:
        central, end = data.index(b"PK\x01\x02"), data.index(b"PK\x05\x06")
        entry = data[central:end]
        tail = bytearray(data[end:])
        tail[8:12] = b"\x02\0\x02\0"
        tail[12:16] = (2 * len(entry)).to_bytes(4, "little")
        return data[:central] + entry + entry + bytes(tail)

    bad, good = read(patched(zipped(tmp_path / "a.zip", {"a": b"good"}), doubled))
    assert (bad.reason, bad.error) == ("damaged", "its bytes are those of another member too")
    assert good.text == "good"


def test_a_bomb_is_refused_as_one_long_line_in_little_memory(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("bomb", "w") as member:
        for _ in range(100):
            member.write(b"x" * (1 << 20))
    (item,) = read(path)
    assert (item.reason, len(item.raw)) == ("too_long", 65536)


def test_paths_that_lead_elsewhere_are_names_like_others(tmp_path):
    files = {"../../etc/passwd": b"text", "/absolute/x": b"more"}
    (tmp_path / "a.tar").write_bytes(tarred(files))
    assert texts(read(zipped(tmp_path / "a.zip", files))) == ["text", "more"]
    assert texts(read(tmp_path / "a.tar")) == ["text", "more"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar", "a.zip"]


def broken_tars() -> Iterator[Any]:
    data = tarred(NOISE, tarfile.USTAR_FORMAT)
    member = 512 + 6144  # header and padded data; the folder's header comes first
    second = 512 + member
    all_four = [text.decode() for text in NOISE.values()]
    yield pytest.param(data[: second + 512 + 100], [all_four[0], "damaged"], id="cut in a member")
    yield pytest.param(data[: second + 100], [all_four[0], "damaged"], id="cut in a header")
    yield pytest.param(data[:second], [all_four[0], "damaged"], id="cut between two members")
    yield pytest.param(data[: 512 + 4 * member], [*all_four, "damaged"], id="without its end mark")
    yield pytest.param(flipped(data, second + 5), [all_four[0], "damaged"], id="a header with a wrong checksum")
    yield pytest.param(data + b"rubbish" * 100, [*all_four, "damaged"], id="rubbish behind the end")
    packed = gzip.compress(data, mtime=0)
    yield pytest.param(packed[: len(packed) // 4], None, id="compressed and cut")
    packed = gzip.compress(data[:second], mtime=0) + flipped(gzip.compress(data[second:], mtime=0), 200)
    yield pytest.param(packed, [all_four[0], "damaged"], id="compressed and damaged")


@pytest.mark.parametrize(("data", "expected"), list(broken_tars()))
def test_a_broken_tar_keeps_what_is_whole_and_says_once_that_it_is_broken(tmp_path, data, expected):
    (tmp_path / "a.tar").write_bytes(data)
    found = texts(read(tmp_path / "a.tar"))
    if expected is not None:
        assert found == expected
    assert found.count("damaged") == 1
    assert found[-1] == "damaged"


def test_a_tar_that_breaks_off_in_a_member_that_nobody_reads_says_so(tmp_path):
    (tmp_path / "a.tar").write_bytes(tarred(NOISE, tarfile.USTAR_FORMAT)[:3000])
    items = read(tmp_path / "a.tar", members="*.html")
    assert texts(items) == ["other_member", "damaged"]
    assert items[1].error == "the tar archive ends inside of a member, at byte 3000"


def test_an_archive_without_files_is_noticed(tmp_path):
    (tmp_path / "a.tar").write_bytes(tarred({}))
    for path in (zipped(tmp_path / "a.zip", {}), tmp_path / "a.tar"):
        assert read(path) == [Quarantined("byte 0", "empty_file", "the archive holds no file", b"")]


def test_a_sparse_member_is_refused_and_the_others_are_read(tmp_path):
    info = tarfile.TarInfo("sparse")
    info.type, info.size = tarfile.GNUTYPE_SPARSE, 4
    sparse = info.tobuf(tarfile.GNU_FORMAT) + b"text" + bytes(508)
    (tmp_path / "a.tar").write_bytes(sparse + tarred({"b": b"good"}))
    assert texts(read(tmp_path / "a.tar")) == ["sparse_file", "good"]


def test_a_7z_that_breaks_off_is_one_entry(tmp_path):
    path = patched(sevenzipped(tmp_path / "a.7z", NOISE), lambda data: data[:-20])
    (item,) = read(path)
    assert (item.locator, item.reason) == ("byte 0", "damaged")


def test_a_damaged_7z_keeps_what_can_be_unpacked_and_says_once_that_it_is_broken(tmp_path):
    path = sevenzipped(tmp_path / "a.7z", NOISE, filters=[{"id": 0x21, "preset": 1}])
    patched(path, lambda data: flipped(data, len(data) // 3))
    found = read(path)
    assert texts(found).count("damaged") == 1
    assert len(found) <= 4


def test_a_7z_whose_last_checksum_is_wrong_is_noticed(tmp_path):
    py7zr = pytest.importorskip("py7zr", reason="7z archives need the extra corpusmill[7z]")
    path = sevenzipped(tmp_path / "a.7z", {"a": b"first text", "b": b"last text"}, filters=[{"id": py7zr.FILTER_COPY}])
    first, last = read(patched(path, lambda data: data.replace(b"last text", b"lost text")))
    assert first.text == "first text"
    assert (last.locator, last.reason) == ("member at 10: line 1", "damaged")


def test_an_encrypted_7z_is_one_entry(tmp_path):
    path = sevenzipped(tmp_path / "a.7z", NOISE, password="secret")
    assert texts(read(path)) == ["encrypted"]


def test_7z_without_py7zr_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "py7zr", None)
    (tmp_path / "a.7z").write_bytes(b"7z\xbc\xaf\x27\x1c")
    with pytest.raises(CorpusmillError, match="7z archives need py7zr") as caught:
        read(tmp_path / "a.7z")
    assert "pip install 'corpusmill[7z]'" in caught.value.hint


# --- real ones


def test_the_bbc_news_read_whole_with_one_file_that_is_not_utf8(shared_data):
    path = shared_data / "news" / "bbc-news.zip"
    items = read(path, split="file")
    assert len(items) == 2225
    assert sum(isinstance(item, Record) for item in items) == 2224
    (bad,) = [item for item in items if isinstance(item, Quarantined)]
    assert (bad.locator, bad.reason) == ("member at 1697764: byte 0", "invalid_utf8")
    all_texts = [item.text for item in read(path, split="file", encoding="latin-1")]
    assert (len(all_texts), len(all_texts) - len(set(all_texts))) == (2225, 98)
