"""The units of a plan as one file that workers read, so that what a job carries does not grow with the corpus.

    units  ->  <store>/units/plans/<sha256>, a line of JSON a unit  ->  UnitList: place, sha256, number of units

A step that knows its plan is pickled with a `UnitList` and takes numbers of units as its elements. The file is named by
its content: who writes it twice writes the same bytes. Each process reads it once and keeps its lines; a unit is made of
its line whenever one asks for it, in some 20 microseconds.
"""

import functools
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, overload

from pipelines.spine import storage
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.units import Unit, UnitInput

#: Plans that a process keeps: a stage of two passes has two.
PLANS_KEPT = 4


@dataclass(frozen=True)
class UnitList(Sequence[Unit]):
    """The units of a plan, in its order; of 300 bytes, however many they are.

    Args:
        place: of the file, as every worker may name it.
        sha256: of its bytes.
        num_units: lines in it.
    Raises:
        CorpusmillError: by whatever looks at a unit: the file is gone, or another one.
    """

    place: str
    sha256: str
    num_units: int

    def __len__(self) -> int:
        return self.num_units

    @overload
    def __getitem__(self, index: int) -> Unit: ...
    @overload
    def __getitem__(self, index: slice) -> list[Unit]: ...
    def __getitem__(self, index: int | slice) -> Unit | list[Unit]:
        lines = _lines(self.place, self.sha256)
        return [_from_line(line) for line in lines[index]] if isinstance(index, slice) else _from_line(lines[index])


def write_units(units: Iterable[Unit], folder: str) -> UnitList:
    """The list of these units, once its file lies in the folder.

    Args:
        units: the plan.
        folder: of plans, a place that every worker sees.
    """
    lines = [_to_line(unit) for unit in units]
    content = b"".join(lines)
    sha256 = hashlib.sha256(content).hexdigest()
    place = storage.join(folder, sha256)
    if not _is_there(place, content):
        with storage.publishing(place) as file:
            file.write(content)
    return UnitList(place, sha256, len(lines))


def _is_there(place: str, content: bytes) -> bool:
    """Whether the file holds the content already; of an object, whose parts nobody can change, the size says so."""
    if storage.size_of(place) != len(content):
        return False
    return storage.is_remote(place) or storage.read_bytes(place) == content


@functools.lru_cache(PLANS_KEPT)
def _lines(place: str, sha256: str) -> list[bytes]:
    """The lines of a file with these bytes: a third of what the units themselves would take."""
    try:
        content = storage.read_bytes(place)
    except FileNotFoundError:
        raise CorpusmillError(
            "the list of this run's units is gone", where=place, hint="run again; delete no plan while a stage runs"
        ) from None
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise CorpusmillError(
            "the list of this run's units holds other bytes than declared", where=place, expected=f"sha256 {sha256}",
            got=found, hint="delete it, and run again",
        )  # fmt: skip
    return content.splitlines()


def _to_line(unit: Unit) -> bytes:
    inputs = [[one.path, one.sha256, one.bytes, one.part, one.stamp] for one in unit.inputs]
    # ASCII: no character of a name breaks a line.
    return json.dumps([unit.name, unit.source, inputs, unit.settings]).encode("ascii") + b"\n"


def _from_line(line: bytes) -> Unit:
    name, source, inputs, settings = json.loads(line)
    return Unit(name, source, tuple(map(_input, inputs)), tuple((key, value) for key, value in settings))


def _input(fields: Sequence[Any]) -> UnitInput:
    path, sha256, num_bytes, part, stamp = fields
    return UnitInput(path, sha256, num_bytes, part and tuple(part), stamp and tuple(stamp))
