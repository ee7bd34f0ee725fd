"""The stage from raw files to documents: parts, gathered files, and what it keeps of every record."""

import bz2
import json
import re
from pathlib import Path

import pytest
from corpora import digests, read_rows

from pipelines import extract
from pipelines.divide import plan_files
from pipelines.readers.parts import PartSizes
from pipelines.sources import FetchedFile
from pipelines.spine import storage
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.params import load_params

ROOT = Path(__file__).resolve().parents[1]
HEAD = '<mediawiki><siteinfo><namespaces><namespace key="6">Datei</namespace></namespaces></siteinfo>\n'


def page(number: int, text: str) -> str:
    return (
        f"  <page><title>Seite {number}</title><ns>0</ns><id>{number}</id><revision><id>{number}9</id>"
        f"<timestamp>2020-01-02T03:04:05Z</timestamp><text>{text}</text></revision></page>\n"
    )


def write_dump(path: Path, num_pages: int = 60) -> None:
    """A multistream dump, five pages a stream; every tenth page is a redirect."""
    texts = [
        "#REDIRECT [[Seite 1]]" if n % 10 == 9 else f"Text der [[Seite {n}]]. {{{{Navi|{n}}}}} " + "Wort " * (n % 7)
        for n in range(num_pages)
    ]
    pages = [page(n, text) for n, text in enumerate(texts)]
    streams = ["".join(pages[first : first + 5]) for first in range(0, num_pages, 5)]
    path.write_bytes(b"".join(bz2.compress(s.encode()) for s in [HEAD, *streams, "</mediawiki>\n"]))


def write_params(folder: Path, **changes: object) -> Path:
    """The repository's parameters with some numbers of ``extract`` changed."""
    text = (ROOT / "params.yaml").read_text()
    for name, value in changes.items():
        text, found = re.subn(rf"(?m)^( +{name}): .*$", rf"\g<1>: {value}", text, count=1)
        assert found, name
    path = folder / "params.yaml"
    path.write_text(text)
    return path


def run(tmp_path: Path, name: str, *given: str, **changes: object) -> dict:
    """Runs the command into ``tmp_path/name`` and gives back its ledger."""
    folder = tmp_path / f"{name}-run"
    folder.mkdir()
    places = ["--output", str(tmp_path / name), "--cache", str(tmp_path / "cache")]
    extract.main([*given, *places, "--params", str(write_params(folder, **changes))])
    return json.loads((tmp_path / name / "ledger.json").read_text())


def named(path: Path, kind: str, *options: str) -> list[str]:
    return ["--kind", kind, "--source", "s", "--language", "de", "--input", str(path), *options]


def test_a_dump_in_parts_gives_the_documents_of_the_whole_and_the_same_counts(tmp_path):
    write_dump(tmp_path / "dump.xml.bz2")
    given = named(tmp_path / "dump.xml.bz2", "mediawiki")
    whole = run(tmp_path, "whole", *given, max_units_per_file=1)
    parts = run(tmp_path, "parts", *given, max_units_per_file=5, min_unit_mb=0)
    assert len(list((tmp_path / "whole").glob("*.parquet"))) == 1
    assert len(list((tmp_path / "parts").glob("*.parquet"))) > 2
    by_id = {row["doc_id"]: row for row in read_rows(tmp_path / "parts")}
    assert by_id == {row["doc_id"]: row for row in read_rows(tmp_path / "whole")}
    assert parts == whole
    assert (whole["in"], whole["out"], whole["reasons"]) == (60, {"documents": 54}, {"skipped.redirect": 6})


def test_what_was_skipped_and_what_templates_were_lost_is_written_down(tmp_path):
    write_dump(tmp_path / "dump.xml.bz2", num_pages=20)
    ledger = run(tmp_path, "out", *named(tmp_path / "dump.xml.bz2", "mediawiki"))
    assert ledger["tallies"] == {"dropped_templates": [["navi", 18]]}
    skipped = read_rows(tmp_path / "out" / "skipped")
    assert [(row["reason"], row["locator"], row["detail"]) for row in skipped] == [
        ("redirect", "Seite 9", "Seite 1"), ("redirect", "Seite 19", "Seite 1"),
    ]  # fmt: skip


def test_a_wiki_page_s_revision_is_part_of_the_document(tmp_path):
    write_dump(tmp_path / "dump.xml.bz2", num_pages=5)
    run(tmp_path, "out", *named(tmp_path / "dump.xml.bz2", "mediawiki", "--licence", "CC-BY-SA-4.0"))
    assert read_rows(tmp_path / "out")[3] == {
        "doc_id": "s:3", "source": "s", "language": "de", "title": "Seite 3",
        "url": "https://de.wikipedia.org/wiki/Seite_3", "date": "2020-01-02T03:04:05Z", "author": "", "revision": "39",
        "licence": "CC-BY-SA-4.0", "text": "Text der Seite 3. Wort Wort Wort",
    }  # fmt: skip


def test_a_folder_of_small_files_is_one_unit_and_tells_their_places_apart(tmp_path):
    (tmp_path / "in").mkdir()
    for number in range(30):
        (tmp_path / "in" / f"{number}.txt").write_text(f"Nachricht {number}\n")
    (tmp_path / "in" / "bad.txt").write_bytes(b"\x80 bad")
    (tmp_path / "in" / "latin.txt").write_bytes("Übel".encode("latin-1"))
    ledger = run(tmp_path, "out", *named(tmp_path / "in", "text", "--option", "split=file"), max_quarantined_percent=50)
    assert ledger["in"] == 32
    assert ledger["out"] == {"documents": 30}
    assert len(list((tmp_path / "out").glob("*.parquet"))) == 1
    locators = [row["locator"] for row in read_rows(tmp_path / "out" / "quarantined")]
    assert len(set(locators)) == 2
    assert all(re.fullmatch(r"file [0-9a-f]{12}, byte 0", locator) for locator in locators)


def test_settings_that_shape_no_unit_leave_finished_units_good(tmp_path, capsys):
    write_dump(tmp_path / "dump.xml.bz2")
    given = named(tmp_path / "dump.xml.bz2", "mediawiki")
    run(tmp_path, "one", *given, max_quarantined_percent=5)
    capsys.readouterr()
    run(tmp_path, "two", *given, max_quarantined_percent=6)
    assert "1 units reused" in capsys.readouterr().err
    run(tmp_path, "three", *given, headings="none")
    assert "reused" not in capsys.readouterr().err
    assert digests(tmp_path / "one") == digests(tmp_path / "two")


def test_a_refused_stage_leaves_its_ledger_and_no_manifest(tmp_path):
    (tmp_path / "bad.jsonl").write_text('{"text": "gut"}\n{broken\n')
    with pytest.raises(CorpusmillError, match="1 of 2 records are in quarantine") as caught:
        run(tmp_path, "out", *named(tmp_path / "bad.jsonl", "jsonl"))
    assert f"look at {tmp_path / 'out'}/quarantined" in caught.value.hint
    assert json.loads((tmp_path / "out" / "ledger.json").read_text())["reasons"] == {"quarantined.malformed_json": 1}
    assert not (tmp_path / "out" / "manifest.json").exists()


@pytest.mark.parametrize(
    ("kind", "option", "message"),
    [
        ("text", "split=page", "wrong option split"),
        ("text", "encoding=utf-8", "option split is missing"),
        ("text", "split=marker", "option marker is missing"),
        ("jsonl", "split=line", "kind jsonl has no such option"),
        ("mail", "quotes=some", "wrong option quotes"),
        ("text", "split", "not NAME=VALUE"),
    ],
)
def test_a_wrong_option_says_what_is_expected(tmp_path, kind, option, message):
    (tmp_path / "in.x").write_text("x\n")
    with pytest.raises(CorpusmillError, match=message) as caught:
        run(tmp_path, "out", *named(tmp_path / "in.x", kind, "--option", option))
    assert caught.value.where == "--option"
    assert caught.value.expected


def test_a_dataset_folder_whose_content_changed_is_read_again(tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    for name, text in (("one", "erster"), ("two", "zweiter")):
        (folder / "train.jsonl").write_text(json.dumps({"id": "1", "text": text}) + "\n")
        run(tmp_path, name, *named(folder, "hf"))
        assert [row["text"] for row in read_rows(tmp_path / name)] == [text]


def test_a_file_that_changed_since_it_was_planned_is_no_unit(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"id": "1", "text": "eins"}\n{"id": "2", "text": "zwei"}\n')
    sha256 = storage.sha256_file(path)
    file = FetchedFile("s", sha256, path.stat().st_size, "jsonl", "de", "", {}, {}, str(path))
    (unit,) = plan_files([file], PartSizes(1, 0))
    params = load_params(extract.ExtractParams, "extract", ROOT / "params.yaml")
    work = extract.ExtractUnit(params.wikitext, params.html)
    assert sum(outcome.taken for outcome in work.outcomes(unit)) == 2
    path.write_text('{"id": "1", "text": "eins"}\n')
    with pytest.raises(CorpusmillError, match="the file changed while it was read"):
        list(work.outcomes(unit))


def test_one_file_of_another_format_is_one_entry_and_the_others_are_read(tmp_path):
    (tmp_path / "in").mkdir()
    for number in range(3):
        (tmp_path / "in" / f"{number}.xml").write_text(HEAD + page(number, "Text.") + "</mediawiki>")
    (tmp_path / "in" / "README.txt").write_text("read me\n")
    ledger = run(tmp_path, "out", *named(tmp_path / "in", "mediawiki"), max_quarantined_percent=25)
    assert (ledger["out"], ledger["reasons"]) == ({"documents": 3}, {"quarantined.wrong_format": 1})
    (bad,) = read_rows(tmp_path / "out" / "quarantined")
    assert "this is not a MediaWiki XML export" in bad["error"]
    assert str(tmp_path) not in "".join(map(str, bad.values()))


@pytest.mark.parametrize("max_units_per_file", [1, 3, 50])
def test_repeated_ids_are_left_to_dedup_however_the_file_is_cut(tmp_path, max_units_per_file):
    lines = [json.dumps({"id": str(number % 10), "text": f"Text {number}"}) for number in range(100)]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    given = named(tmp_path / "a.jsonl", "jsonl")
    ledger = run(tmp_path, "out", *given, min_unit_mb=0, max_units_per_file=max_units_per_file)
    assert (ledger["out"], ledger["reasons"]) == ({"documents": 100}, {})


@pytest.mark.parametrize(
    ("name", "value"), [("max_units_per_file", 0), ("min_unit_mb", -1), ("max_quarantined_percent", 101)]
)
def test_a_number_out_of_its_range_is_refused_by_name(tmp_path, name, value):
    (tmp_path / "a.jsonl").write_text('{"text": "x"}\n')
    with pytest.raises(CorpusmillError, match="out of range") as caught:
        run(tmp_path, "out", *named(tmp_path / "a.jsonl", "jsonl"), **{name: value})
    assert caught.value.where == f"params.yaml: extract.{name}"


def test_an_empty_folder_is_an_error_and_equal_files_are_told(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    with pytest.raises(CorpusmillError, match="no file in the folder"):
        run(tmp_path, "one", *named(tmp_path / "in", "jsonl"))
    for name in ("a", "b"):
        (tmp_path / "in" / f"{name}.jsonl").write_text('{"text": "gleich"}\n')
    assert run(tmp_path, "two", *named(tmp_path / "in", "jsonl"))["in"] == 1
    assert "1 of 2 files hold what another holds; read once" in capsys.readouterr().err
