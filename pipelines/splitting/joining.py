"""Which units of a source share their output files: a plan made from the manifests alone.

    6 clean units of 1 MB, min_unit_mb 64   ->  1 unit
    2 units of 100 MB, 5 of 10 MB           ->  3 units: the two as they are, the five together

A unit that is large enough stays alone, and so keeps its name. The others are gathered by the first bits of a hash of
their names, which hold the key of what they were made from: one file more changes one group, unless the number of
groups doubles with it.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from pipelines.spine.units import Unit, UnitInput, unit_key

_MEMBERS = "members"
#: What a member may hold beside its documents.
LISTS = ("drops", "contaminated")


class Member(NamedTuple):
    """One of the clean units that a unit joins: its documents, and its lists where it has such."""

    name: str
    documents: UnitInput
    drops: UnitInput | None
    contaminated: UnitInput | None


def with_lists(units: Iterable[Unit], lists: Mapping[str, Mapping[str, UnitInput]]) -> list[Unit]:
    """Each clean unit with the lists that name it, as the only member of itself.

    Args:
        units: the clean documents, one file each.
        lists: a name of `LISTS` -> unit name -> file.
    """
    found = []
    for unit in units:
        kinds = [kind for kind in LISTS if unit.name in lists.get(kind, {})]
        inputs = (*unit.inputs, *(lists[kind][unit.name] for kind in kinds))
        found.append(Unit(unit.name, unit.source, inputs, _settings([(unit.name, kinds)])))
    return found


def join_units(units: Iterable[Unit], min_bytes: int) -> list[Unit]:
    """Units of about ``min_bytes`` of documents, seldom more than twice that, that hold each given one once; by name.

    Args:
        units: as `with_lists` gives them.
        min_bytes: of the document files; 0 joins nothing.
    """
    by_source: dict[str, list[Unit]] = defaultdict(list)
    joined = []
    for unit in units:
        if _document_bytes(unit) >= min_bytes:
            joined.append(unit)
        else:
            by_source[unit.source].append(unit)
    for small in by_source.values():
        joined += [_join(group) for group in _gather(small, min_bytes)]
    return sorted(joined, key=lambda unit: unit.name)


def members_of(unit: Unit) -> tuple[list[Member], tuple[UnitInput, ...]]:
    """The clean units that a unit joins, by name, and its inputs beside them."""
    rest = iter(unit.inputs)
    members = []
    for name, kinds in json.loads(unit.setting(_MEMBERS)):
        documents = next(rest)
        lists = {kind: next(rest) for kind in kinds}
        members.append(Member(name, documents, *(lists.get(kind) for kind in LISTS)))
    return members, tuple(rest)


def _document_bytes(unit: Unit) -> int:
    return unit.inputs[0].bytes


def _gather(units: Sequence[Unit], min_bytes: int) -> Iterator[list[Unit]]:
    """Groups by the first bits of the names' hashes; a power of two of them, of about ``min_bytes`` or half that."""
    wanted = sum(map(_document_bytes, units)) / min_bytes
    bits = 0
    while (1 << bits) < wanted:
        bits += 1
    groups: dict[int, list[Unit]] = defaultdict(list)
    for unit in sorted(units, key=lambda unit: unit.name):
        groups[int(_digest(unit.name)[:8], 16) >> (32 - bits)].append(unit)
    yield from groups.values()


def _join(group: Sequence[Unit]) -> Unit:
    if len(group) == 1:
        return group[0]
    key = unit_key(_digest("\n".join(unit.name for unit in group)))
    members = [entry for unit in group for entry in json.loads(unit.setting(_MEMBERS))]
    inputs = tuple(one for unit in group for one in unit.inputs)
    return Unit(f"{group[0].source}-{key}", group[0].source, inputs, _settings(members))


def _settings(members: Sequence[Sequence[object]]) -> tuple[tuple[str, str], ...]:
    return ((_MEMBERS, json.dumps(members, ensure_ascii=False)),)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
