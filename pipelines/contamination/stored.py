"""An index on disk or in a store: arrays that workers map, so that all of a machine share one copy.

Index  ->  <folder>/<sha256 of what it holds>/{facts.json, texts.arrow, letters.npy, full.hashes.npy, ...}

Equal sets give equal bytes. Of an index in a store a machine fetches each file once.
"""

import dataclasses
import functools
import hashlib
import io
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipelines.contamination.index import Grams, Index
from pipelines.contamination.windows import NgramSizes
from pipelines.spine import storage
from pipelines.spine.manifest import dump

FACTS, TEXTS = "facts.json", "texts.arrow"
ARRAYS = ("text_ends", "letters", "letter_ends", "openings", "short_lengths")
GRAMS = ("full", "short")


def write_index(index: Index, folder: str | Path) -> str:
    """Writes the index into a folder inside ``folder``, named by its content; returns that folder's place."""
    contents = dict(_contents(index))
    digest = hashlib.sha256()
    for name, data in sorted(contents.items()):
        digest.update(f"{name} {hashlib.sha256(data).hexdigest()}\n".encode())
    place = storage.join(folder, digest.hexdigest())
    sizes = storage.sizes_of([storage.join(place, name) for name in contents]) if storage.is_remote(place) else ()
    for (name, data), size in itertools.zip_longest(contents.items(), sizes):
        if size != len(data):  # an object of that name and size is the same
            with storage.publishing(storage.join(place, name)) as file:
                file.write(data)
    return place


@functools.lru_cache(maxsize=1)
def read_index(place: str) -> Index:
    """The index that ``write_index`` wrote there; its arrays stay on disk until they are touched."""
    facts = json.loads(storage.read_text(storage.join(place, FACTS)))
    arrays = {name: _map(place, name) for name in ARRAYS}
    full, short = (
        Grams(**{field.name: _map(place, f"{name}.{field.name}") for field in dataclasses.fields(Grams)})
        for name in GRAMS
    )
    texts = pa.ipc.open_file(pa.memory_map(str(storage.local_copy(storage.join(place, TEXTS))))).read_all()
    groups = tuple(tuple(group) for group in facts["set_groups"])
    return Index(
        NgramSizes(**facts["sizes"]), tuple(facts["set_names"]), groups, texts, **arrays, full=full, short=short
    )


def _map(place: str, name: str) -> Any:
    return np.load(storage.local_copy(storage.join(place, f"{name}.npy")), mmap_mode="r")


def _contents(index: Index) -> Iterator[tuple[str, bytes]]:
    facts = {"sizes": dataclasses.asdict(index.sizes), "set_names": index.set_names, "set_groups": index.set_groups}
    yield FACTS, dump(facts).encode()
    sink = io.BytesIO()
    with pa.ipc.new_file(sink, index.texts.schema) as writer:
        writer.write_table(index.texts.combine_chunks())
    yield TEXTS, sink.getvalue()
    for name in ARRAYS:
        yield f"{name}.npy", _npy(getattr(index, name))
    for name in GRAMS:
        for field in dataclasses.fields(Grams):
            yield f"{name}.{field.name}.npy", _npy(getattr(getattr(index, name), field.name))


def _npy(array: np.ndarray) -> bytes:
    sink = io.BytesIO()
    np.save(sink, np.ascontiguousarray(array))
    return sink.getvalue()
