"""The raw files that a command line names: ``--kind jsonl --source mine --input a.jsonl b/``."""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pipelines.sources import KINDS, SOURCE_NAME, FetchedFile, check_options, folder_sha256, is_source_name
from pipelines.spine import objects, storage
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.object_names import matching


def named_files(path: str, args: argparse.Namespace) -> Iterator[FetchedFile]:
    """The files that ``--kind --source --language --input`` name; a folder means the files in it."""
    if not is_source_name(args.source):
        raise CorpusmillError("--kind needs --source NAME", expected=SOURCE_NAME, got=repr(args.source))
    options = _pairs(args.option, "--option", "split=line")
    check_options(args.kind, options, "--option")
    given: dict[str, Any] = {
        "source": args.source, "kind": args.kind, "language": args.language, "licence": args.licence,
        "columns": _pairs(args.column, "--column", "text=body"), "options": options,
    }  # fmt: skip
    if storage.is_remote(path):
        yield from _named_objects(path, given)
        return
    place = Path(path)
    if args.kind == "hf":
        sha256 = folder_sha256(place, storage.sha256_file) if place.is_dir() else storage.sha256_text(path)
        yield FetchedFile(path=path, sha256=sha256, bytes=0, **given)
        return
    if not place.exists():
        raise CorpusmillError("no such file or folder", where=path, hint="check --input")
    files = sorted(p for p in place.rglob("*") if p.is_file()) if place.is_dir() else [place]
    if not files:
        raise CorpusmillError("no file in the folder", where=path, hint="check --input")
    for file in files:
        yield FetchedFile(path=str(file), sha256=storage.sha256_file(file), bytes=file.stat().st_size, **given)


def _named_objects(path: str, given: dict[str, Any]) -> Iterator[FetchedFile]:
    """Those that a place or a pattern names; a folder means the objects in it."""
    found = [] if given["kind"] == "hf" else matching(path) or matching(storage.join(path, "**"))
    if not found:
        raise CorpusmillError(
            "no such object", where=path, hint="check --input; kind hf reads local folders and the hub"
        )
    for place, version in zip(found, objects.versions_of(found), strict=True):
        if version is None:
            raise CorpusmillError("the object went while it was read", where=place, hint="run again")
        yield FetchedFile(path=place, sha256=storage.sha256_file(place), bytes=version[0], **given)


def _pairs(given: Sequence[str], option: str, example: str) -> dict[str, str]:
    for pair in given:
        if "=" not in pair:
            raise CorpusmillError("not NAME=VALUE", where=option, expected=f"such as {example}", got=pair)
    return dict(pair.split("=", 1) for pair in given)


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that name files in the place of `fetch`'s manifest."""
    parser.add_argument(
        "--kind", choices=KINDS, help="what the input files are; without it, --input is fetch's manifest"
    )
    parser.add_argument("--source", default="", help="name of the source, first part of every doc_id")
    parser.add_argument("--language", default="", help="language code of the documents")
    parser.add_argument("--licence", default="", help="licence of the text")
    parser.add_argument("--column", action="append", default=[], metavar="FIELD=COLUMN", help="where a field stands")
    parser.add_argument("--option", action="append", default=[], metavar="NAME=VALUE", help="for the kind's reader")
