"""Fetch: the source list -> one manifest that names every raw file by its content.

    params.yaml: fetch.sources          ->  data/fetch/manifest.json    (source, sha256, bytes, kind, language, ...)
                 fetch.evaluation_sets  ->  data/fetch/evaluation.json  (`pipelines.evaluation_sets`)

Names, order and dates of the files leave no trace in either, and each is written only when it changes; where
the bytes lie is kept in the cache (``pipelines.sources``). Local files and objects in a store are read in place, never
copied. A run that finds nothing new takes no half a second: unchanged files are known by size, mtime and inode.

Run by ``dvc repro fetch``, or alone: ``python -m pipelines.fetch --output data/fetch --params params.yaml``
"""

import argparse
import contextlib
import fcntl
import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines import evaluation_sets
from pipelines.evaluation_sets import EvaluationSet, FetchedSet, check_sets, sets_text
from pipelines.locate import Finder, Found, Source, where_in_params
from pipelines.sources import (
    CACHE,
    KINDS,
    SCHEMA_VERSION,
    SOURCE_NAME,
    FetchedFile,
    StatCache,
    check_options,
    is_source_name,
    raw_path,
)
from pipelines.spine import faults, storage
from pipelines.spine.command import refuse_remote
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.ledger import Ledger
from pipelines.spine.manifest import NAME, dump
from pipelines.spine.params import load_params


@dataclass(frozen=True)
class FetchParams:
    """``params.yaml: fetch``."""

    sources: tuple[Source, ...]
    evaluation_sets: tuple[EvaluationSet, ...]


def fetch(params: FetchParams, cache: Path, refresh: bool = False) -> tuple[list[FetchedFile], Ledger]:
    """Every distinct content of every source, sorted by source and sha256; the ledger counts repeats.

    Raises:
        CorpusmillError: a source is wrong, missing or unreadable.
    """
    _check_sources(params.sources)
    stats = StatCache(cache)
    finder, ledger = Finder(cache, stats, refresh), Ledger("files")
    files: list[FetchedFile] = []
    try:
        for source, found in zip(params.sources, finder.find(params.sources), strict=True):
            distinct = {one.sha256: one for one in reversed(found)}
            ledger.take(len(found))
            ledger.give("files", len(distinct))
            ledger.count("repeated", len(found) - len(distinct))
            for one in distinct.values():
                _keep(one, raw_path(cache, one.sha256), {other.place for other in found})
                files.append(_fetched(source, one))
    finally:
        stats.save()  # what was hashed or downloaded before a failure is not done again
    ledger.check("fetch")
    return sorted(files, key=lambda file: (file.source, file.sha256)), ledger


def fetch_sets(params: FetchParams, cache: Path, refresh: bool = False) -> list[FetchedSet]:
    """Every evaluation set with its distinct contents.

    Raises:
        CorpusmillError: a set is wrong, missing or unreadable.
    """
    check_sets(params.evaluation_sets)
    stats = StatCache(cache)
    finder = Finder(cache, stats, refresh)
    sets: list[FetchedSet] = []
    try:
        for one, found in zip(params.evaluation_sets, finder.find(params.evaluation_sets), strict=True):
            for file in found:
                _keep(file, raw_path(cache, file.sha256), {other.place for other in found})
            files = tuple(sorted({(file.sha256, file.bytes) for file in found}))
            options = tuple(sorted(one.options.items()))
            sets.append(FetchedSet(one.name, one.kind, one.columns, one.key, options, files, str(cache)))
    finally:
        stats.save()
    return sets


def main(argv: Sequence[str]) -> None:
    """The stage's command."""
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.fetch", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", required=True, metavar="DIR", help="folder for both files")
    parser.add_argument("--ledger", metavar="FILE", help="where the counts go (default: in the manifest alone)")
    parser.add_argument("--params", default="params.yaml", metavar="FILE", help="parameters (default: %(default)s)")
    parser.add_argument("--cache", default=CACHE, metavar="DIR", help="where the raw bytes lie (default: %(default)s)")
    parser.add_argument("--refresh", action="store_true", help="download web sources again")
    args = parser.parse_args(argv)
    refuse_remote({"--output": args.output, "--ledger": args.ledger, "--cache": args.cache})
    params = load_params(FetchParams, "fetch", args.params)
    cache, target = Path(args.cache), Path(args.output) / NAME
    with _alone(cache / "raw" / "lock"):
        files, ledger = fetch(params, cache, args.refresh)
        faults.reach("fetch:linked")
        sets = fetch_sets(params, cache, args.refresh)
        _write_if_changed(target.with_name(evaluation_sets.NAME), sets_text(sets))
        written = _write_if_changed(target, manifest_text(files, ledger))
        if args.ledger:
            _write_if_changed(Path(args.ledger), dump({"stage": "fetch", **ledger.to_dict()}))
        faults.reach("fetch:manifest")
    size = sum(file.bytes for file in files)
    print(
        f"fetch: {len(files):,} files, {size:,} bytes; {target} {'written' if written else 'unchanged'}",
        file=sys.stderr,
    )


def manifest_text(files: Sequence[FetchedFile], ledger: Ledger) -> str:
    """The bytes of ``manifest.json``."""
    totals = {"files": len(files), "bytes": sum(file.bytes for file in files), "repeats": ledger.reasons["repeated"]}
    entries = [file.to_entry() for file in files]
    return dump({"schema_version": SCHEMA_VERSION, "files": entries, "totals": totals, "ledger": ledger.to_dict()})


def _check_sources(sources: Sequence[Source]) -> None:
    names = [source.name for source in sources]
    for source in sources:
        checks = [
            ("name", is_source_name(source.name), SOURCE_NAME, source.name),
            ("name", names.count(source.name) == 1, "another name for each source", f"{source.name} twice"),
            ("kind", source.kind in KINDS, ", ".join(KINDS), source.kind),
            ("sha256", bool(re.fullmatch(r"([0-9a-f]{64})?", source.sha256)), '64 hex digits, or ""', source.sha256),
        ]  # fmt: skip
        for field, right, expected, got in checks:
            if not right:
                raise CorpusmillError(
                    f"wrong {field}", where=where_in_params(source, field), expected=expected, got=repr(got)
                )
        check_options(source.kind, source.options, where_in_params(source, "options"))
    if not sources:
        raise CorpusmillError("no sources", where="params.yaml: fetch.sources", hint="the README shows some")


def _keep(found: Found, raw: Path, places: set[str]) -> None:
    """Makes the content reachable by its hash: a link, unless the bytes themselves lie there."""
    if found.place == str(raw) or (raw.is_file() and not raw.is_symlink()):
        return
    if raw.is_symlink() and os.readlink(raw) in places and (raw.exists() or storage.is_remote(os.readlink(raw))):
        return
    temporary = storage.temporary_name(raw)
    try:
        raw.parent.mkdir(parents=True, exist_ok=True)
        temporary.symlink_to(found.place)
        os.replace(temporary, raw)
    except OSError as error:
        raise storage.explained(error, raw) from error


def _fetched(source: Source, found: Found) -> FetchedFile:
    return FetchedFile(
        source=source.name, sha256=found.sha256, bytes=found.bytes, kind=source.kind, language=source.language,
        licence=source.licence, columns=source.columns, options=source.options, path=found.place,
    )  # fmt: skip


def _write_if_changed(path: Path, text: str) -> bool:
    with contextlib.suppress(OSError):
        if path.read_bytes() == text.encode("utf-8"):
            return False
    storage.write_text(path, text)
    return True


@contextlib.contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Holds the cache for the block; a second fetch waits, as it will then find everything done."""
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        file = open(lock, "w")  # noqa: SIM115 (held open for the block)
    except OSError as error:
        raise storage.explained(error, lock) from error
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    from pipelines.spine.command import run_module

    sys.exit(run_module("pipelines.fetch"))
