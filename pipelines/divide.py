"""Raw files -> the units of `extract`: a small file shares a unit with others, a large one is cut into parts.

    FetchedFile, FetchedFile, ...  ->  Unit("enwiki-3fa91c04be77", inputs, settings), ...

The plan is a pure function of the files' contents and the parameters; names, order and number of workers have no
say in it. A unit's key is the sha256 of its one file, of a part's place in it, or of all that it gathers.
"""

import hashlib
import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from pipelines.readers.parts import MAX_MEMBERS, PartSizes, plan_parts, uncut_compression
from pipelines.sources import FetchedFile
from pipelines.spine import storage
from pipelines.spine.units import Unit, UnitInput, stamp_of, unit_key

#: A file of less than this share of a unit's size is gathered with others of its source.
SMALL_SHARE = 16


def plan_files(files: Iterable[FetchedFile], sizes: PartSizes) -> list[Unit]:
    """Units that hold every distinct content of every source exactly once, sorted by name.

    Args:
        files: what `fetch` found, or the command line named; equal content of one source counts once.
        sizes: how large files are cut, and how much is gathered.
    """
    by_source: dict[str, dict[str, FetchedFile]] = defaultdict(dict)
    for file in files:
        by_source[file.source].setdefault(file.sha256, file)
    units = [unit for found in by_source.values() for unit in _plan_source(list(found.values()), sizes)]
    return sorted(units, key=lambda unit: unit.name)


def _plan_source(files: Sequence[FetchedFile], sizes: PartSizes) -> Iterator[Unit]:
    small = [file for file in files if file.kind != "hf" and SMALL_SHARE * file.bytes < sizes.min_bytes]
    for gathered in _gather(small, sizes.min_bytes):
        yield _unit(gathered[0], [_whole(file) for file in gathered])
    small_ones = {file.sha256 for file in small}
    for file in files:
        if file.sha256 not in small_ones:
            yield from _divide(file, sizes)


def _gather(files: Sequence[FetchedFile], unit_bytes: int) -> Iterator[list[FetchedFile]]:
    """Groups of small files by the first bits of their sha256, so that one file more changes one group.

    The number of groups is a power of two; each has about ``unit_bytes``, and about ``MAX_MEMBERS`` files at most.
    """
    wanted = max(sum(file.bytes for file in files) / max(unit_bytes, 1), len(files) / MAX_MEMBERS)
    bits = 0
    while (1 << bits) < wanted:
        bits += 1
    groups: dict[int, list[FetchedFile]] = defaultdict(list)
    for file in sorted(files, key=lambda file: file.sha256):
        groups[int(file.sha256[:8], 16) >> (32 - bits)].append(file)
    yield from groups.values()


def _divide(file: FetchedFile, sizes: PartSizes) -> Iterator[Unit]:
    parts = [] if file.kind == "hf" else plan_parts(file.path, file.kind, file.options, sizes)
    stamp = stamp_of(file.path)
    for begin, end in parts:
        # Row groups and archive members are not bytes; shares of the file are near enough for a progress bar.
        num_bytes = file.bytes * (end - begin) // parts[-1][1]
        yield _unit(file, [UnitInput(_path(file), file.sha256, num_bytes, (begin, end), stamp)])
    if not parts:
        if file.bytes > 2 * sizes.min_bytes and (compression := uncut_compression(file.path, file.kind)):
            _say_uncut(file, compression)
        yield _unit(file, [_whole(file)])


def _say_uncut(file: FetchedFile, compression: str) -> None:
    print(
        f"extract: {file.name} ({compression}, {file.bytes:,} bytes) cannot be cut at pages: one worker reads it alone; "
        "a multistream dump (…-multistream.xml.bz2) would be read by all of them",
        file=sys.stderr,
    )


def _whole(file: FetchedFile) -> UnitInput:
    return UnitInput(_path(file), file.sha256, file.bytes, None, stamp_of(file.path))


def _path(file: FetchedFile) -> str:
    if storage.is_remote(file.path):
        return file.path
    # A hub dataset is named, not found: its path is the name, or a file of fetch's that holds it.
    return file.path if file.kind == "hf" and not Path(file.path).exists() else str(Path(file.path).resolve())


def _unit(file: FetchedFile, inputs: Sequence[UnitInput]) -> Unit:
    settings = (
        ("columns", json.dumps(dict(file.columns), sort_keys=True)),
        ("kind", file.kind),
        ("language", file.language),
        ("licence", file.licence),
        ("options", json.dumps(dict(file.options), sort_keys=True)),
    )
    return Unit(f"{file.source}-{_key(inputs)}", file.source, tuple(inputs), settings)


def _key(inputs: Sequence[UnitInput]) -> str:
    if len(inputs) == 1 and inputs[0].part is None:
        return unit_key(inputs[0].sha256)
    content = [f"{one.sha256} {one.part or ''}\n" for one in inputs]
    return unit_key(hashlib.sha256("".join(content).encode()).hexdigest())
