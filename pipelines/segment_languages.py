"""The language of every segment of a token shard, in a file beside it: what scores by language are made from.

    data/pack/languages/<unit>.arrow    language string, one record batch, one entry a segment, in the order of the rows

The shard itself says nothing of languages: a document whose language is told otherwise changes no token.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipelines.spine.errors import CorpusmillError
from pipelines.spine.manifest import NAME, Shard, dump, read_manifest

#: The kind of these files among what lies beside the shards: their folder.
LANGUAGES = "languages"
SCHEMA = pa.schema([pa.field("language", pa.string(), False)])


def languages_of_segments(languages: pa.Array, document: np.ndarray) -> pa.RecordBatch:
    """What the file of a shard holds.

    Args:
        languages: of the unit's documents, string.
        document: the index in ``languages`` of each segment's document, in row order.
    """
    return pa.RecordBatch.from_arrays([languages.take(pa.array(document))], schema=SCHEMA)


def languages_list(evidence: Iterable[Shard]) -> dict[str, str]:
    """The text of ``languages.json`` by its name: file -> sha256. What depends on the languages depends on it.

    The files themselves are no shards, and with a storage root they do not lie in the folder.
    """
    hashes = {
        shard.name.partition("-")[2]: shard.sha256 for shard in evidence if shard.name.startswith(f"{LANGUAGES}-")
    }
    return {f"{LANGUAGES}.json": dump(hashes)}


def languages_file(folder: Path, name: str) -> Path:
    """The file of one shard: in the folder, or where the manifest above the folder says that it lies in a store.

    Args:
        folder: ``data/pack/languages``, which need not be there with a storage root.
        name: of the shard.
    """
    if (folder / name).exists() or not (folder.parent / NAME).exists():
        return folder / name
    try:
        return read_manifest(folder.parent).local_evidence(f"{folder.name}/{name}")
    except FileNotFoundError:
        return folder / name


def read_languages(path: Path, num_segments: int) -> tuple[np.ndarray, list[str]]:
    """Of each segment of the shard a number, int64 ``[num_segments]``, and the languages that the numbers stand for.

    Args:
        path: the file, named like the shard.
        num_segments: in all rows of the shard.
    Raises:
        CorpusmillError: there is no such file, or it is of another shard.
    """
    try:
        (batch,) = pa.ipc.open_stream(pa.memory_map(str(path)))
        found = batch.column("language").dictionary_encode()
    except (pa.ArrowInvalid, OSError, ValueError, KeyError):
        raise CorpusmillError(
            "nothing tells the languages of this shard, or it is damaged", where=str(path),
            hint="run `dvc repro pack`, or `dvc checkout`, to bring it back",
        ) from None  # fmt: skip
    if len(found) != num_segments:
        raise CorpusmillError(
            "the languages are another shard's", where=str(path), expected=f"{num_segments:,} segments",
            got=f"{len(found):,}", hint="run `dvc repro pack`",
        )  # fmt: skip
    return np.asarray(found.indices.to_numpy(), np.int64), found.dictionary.to_pylist()
