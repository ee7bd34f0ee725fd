"""Datasets of the Hugging Face hub, or of a folder that ``datasets`` reads.

    read_hf:  dataset name  ->  Record | Skipped("empty") | Quarantined, one a row

With ``HF_HUB_OFFLINE=1`` nothing is asked for: a dataset that ``datasets`` prepared before is read from its cache,
one whose files `hf download` fetched from theirs.
"""

import contextlib
import itertools
import lzma
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipelines.readers.records import Item, Quarantined, ReadContext, WrongFormatError
from pipelines.readers.tables.columnar import row_item
from pipelines.readers.tables.failures import is_passing, what_is_wrong
from pipelines.readers.tables.rows import check_columns, columns_of
from pipelines.spine import storage
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.manifest import FOLDER
from pipelines.spine.uploads import local_folder


def read_hf(name: str, context: ReadContext) -> Iterator[Item]:
    """One item a row of a dataset, streamed; nothing is copied to disk where the format can be streamed.

    Args:
        name: a folder (files that ``datasets`` knows, or made by ``save_to_disk``), the ``folder.json`` of one
            in a store or copied to one (``pipelines.spine.uploads``), a file that holds a hub name, or a hub name
            ``owner/name[:configuration[:split]][@revision]``; the split is ``train`` when not given.
        context: the key of a row without one is its number, from 0.
    Raises:
        CorpusmillError: there is no such dataset, it lacks a mapped column, or the network failed.
    """
    if storage.name_of(name) == FOLDER:
        with local_folder(name) as folder:
            yield from _read(str(folder), context)
    else:
        # What is no folder is a name, or a small file that holds one.
        yield from _read(str(storage.local_copy(name)) if storage.is_remote(name) else name, context)


def _read(name: str, context: ReadContext) -> Iterator[Item]:
    columns = columns_of(context)
    dataset = _dataset(name)
    if dataset.column_names is not None:
        _check_columns(columns, dataset.column_names, context)
    rows, damage = enumerate(dataset), _damage_errors()
    for row_number in itertools.count():
        try:
            _, row = next(rows)
        except StopIteration:
            return
        except Exception as error:
            if is_passing(error):
                raise CorpusmillError(
                    f"the dataset cannot be read further: {what_is_wrong(error)}", where=f"row {row_number}",
                    hint="run again: finished units are kept",
                ) from error  # fmt: skip
            if not isinstance(error, damage):
                raise
            yield Quarantined(f"row {row_number} and all after it", "damaged", what_is_wrong(error), b"")
            return
        yield row_item(row, columns, context, row_number)


def _damage_errors() -> tuple[type[Exception], ...]:
    """What reading damaged files of a dataset raises."""
    import datasets

    formats = (pa.ArrowException, ValueError, KeyError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile)
    return (*formats, OSError, datasets.exceptions.DatasetsError)


def _check_columns(columns: Mapping[str, str], there: list[str], context: ReadContext) -> None:
    """As ``check_columns``, but no file is there that could be left out.

    Raises:
        CorpusmillError: a mapped column is missing.
    """
    try:
        check_columns(columns, there, context)
    except WrongFormatError as error:
        raise CorpusmillError(
            error.message, where=error.where, expected=error.expected, got=error.got, hint=error.hint
        ) from None


def _dataset(name: str) -> Any:
    """The dataset, streaming wherever it can."""
    # Imported here: it takes seconds, and nothing else needs it.
    import datasets

    path = Path(name)
    try:
        if path.is_dir():
            if any((path / marker).exists() for marker in ("state.json", "dataset_dict.json")):
                found = datasets.load_from_disk(str(path))
                return found["train"] if isinstance(found, datasets.DatasetDict) else found
            return datasets.load_dataset(str(path), split="train", streaming=True)
        return _hub_dataset(*parse_hub_name(path.read_text().strip() if path.is_file() else name))
    except (OSError, ValueError, KeyError, datasets.exceptions.DatasetsError) as error:
        raise CorpusmillError(
            f"the dataset cannot be opened: {' '.join(str(error).split())}", where=name,
            hint="check the name, configuration, split and revision; without a network set HF_HUB_OFFLINE=1, once the "
            "dataset is in the cache",
        ) from error  # fmt: skip


def _hub_dataset(name: str, configuration: str | None, split: str, revision: str | None) -> Any:
    """A dataset of the hub; offline that of the cache, and no other revision than the one asked for.

    Raises:
        OSError, ValueError: there is none.
    """
    import datasets
    import huggingface_hub

    if not datasets.config.HF_HUB_OFFLINE:
        return datasets.load_dataset(name, configuration, split=split, revision=revision, streaming=True)
    folder = ""
    with contextlib.suppress(OSError, ValueError):
        folder = huggingface_hub.snapshot_download(name, repo_type="dataset", revision=revision, local_files_only=True)
    if folder:
        return datasets.load_dataset(folder, configuration, split=split, streaming=True)
    prepared = datasets.load_dataset_builder(name, configuration)
    if revision not in (None, prepared.hash):
        raise ValueError(f"the cache holds revision {prepared.hash} alone")
    return prepared.as_streaming_dataset(split=split)


def parse_hub_name(name: str) -> tuple[str, str | None, str, str | None]:
    """``owner/name[:configuration[:split]][@revision]`` -> (name, configuration, split, revision).

    >>> parse_hub_name("wikimedia/wikipedia:20231101.simple@b04c8d1")
    ('wikimedia/wikipedia', '20231101.simple', 'train', 'b04c8d1')
    """
    rest, _, revision = name.partition("@")
    parts = [*rest.split(":"), "", ""]
    return parts[0], parts[1] or None, parts[2] or "train", revision or None
