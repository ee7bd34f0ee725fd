"""The raw files that a command line names: ``--kind jsonl --source mine --input a.jsonl b/``."""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pipelines.dataset_folders import dataset_in_store, local_dataset
from pipelines.sources import KINDS, SOURCE_NAME, FetchedFile, check_options, is_source_name
from pipelines.spine import hashing, objects, storage
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
    place = Path(path)
    if args.kind == "hf":
        yield _named_dataset(path, args.cache, given)
        return
    if storage.is_remote(path):
        yield from _named_objects(path, given)
        return
    if not place.exists():
        raise CorpusmillError("no such file or folder", where=path, hint="check --input")
    files = sorted(p for p in place.rglob("*") if p.is_file()) if place.is_dir() else [place]
    if not files:
        raise CorpusmillError("no file in the folder", where=path, hint="check --input")
    for file, sha256 in zip(files, hashing.sha256_each(files), strict=True):
        yield FetchedFile(path=str(file), sha256=sha256, bytes=file.stat().st_size, **given)


def _named_dataset(path: str, cache: str, given: dict[str, Any]) -> FetchedFile:
    """A folder that `datasets` reads, here or in a store, or else the name of a hub's dataset."""
    if storage.is_remote(path):
        found = dataset_in_store(path, hashing.sha256_each, cache)
        return FetchedFile(path=found.place, sha256=found.sha256, bytes=0, **given)
    is_folder = Path(path).is_dir()
    sha256 = local_dataset(Path(path), hashing.sha256_each).sha256 if is_folder else storage.sha256_text(path)
    return FetchedFile(path=path, sha256=sha256, bytes=0, **given)


def _named_objects(path: str, given: dict[str, Any]) -> Iterator[FetchedFile]:
    """Those that a place or a pattern names; a folder means the objects in it."""
    found = matching(path) or matching(storage.join(path, "**"))
    if not found:
        raise CorpusmillError("no such object", where=path, hint="check --input: the bucket and the name")
    for place, sha256, size in zip(found, hashing.sha256_each(found), objects.sizes_of(found), strict=True):
        if size is None:
            raise CorpusmillError("the object went while it was read", where=place, hint="run again")
        yield FetchedFile(path=place, sha256=sha256, bytes=size, **given)


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
