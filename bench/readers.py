"""Other trainers' own readers on our exports: every token id, length and position that they hand out is compared.

    python -m bench.readers [--pack data/pack ...]

Each reader is the package's own, in an environment of its own whose every version stands in ``bench/read_<format>.txt``.
Without --pack: two corpora made here, English and Chinese, with an empty document, one of a single byte and documents
longer than a row; one with a vocabulary of 16 bits and one above. Where the package has a writer of documents or rows
(megatron, mds, datatrove), it writes what it read once more, and its files must be ours to the byte. Exit status 1
when anything differs. nanoGPT and llm.c publish no reader as a package: ``tests/test_token_formats.py`` writes their
bytes out.
"""

import argparse
import dataclasses
import functools
import itertools
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from bench.peers import python_of, requirements
from bench.reader_corpora import texts_of, write_pack
from bench.tools import run_alone
from pipelines.export_tokens import export_tokens
from pipelines.spine.command import run_module
from pipelines.spine.errors import CorpusmillError
from pipelines.token_formats import FORMATS
from pipelines.token_formats.litdata import write_litdata
from pipelines.token_formats.mds import write_mds
from pipelines.token_shards import SplitRows
from tokenizer.encoding import Encoder
from train.data import TokenRows

SCRATCH = Path(".cache/bench/readers")
#: Formats whose files have a size, not a shard's name.
MANY_FILES = {"mds": write_mds, "litdata": write_litdata}
Arrays = dict[str, np.ndarray]


def documents_at_end(rows: SplitRows) -> list[list[np.ndarray]]:
    """By shard, the documents with the document token at their end."""
    return [[np.append(d[1:], d[:1]) for _, d in shard.whole_documents()] for shard in rows.shards]


def expect_megatron(rows: SplitRows) -> Arrays:
    """One sequence a document; the package's own writer makes the same files."""
    documents = [document for shard in documents_at_end(rows) for document in shard]
    return {
        "tokens": np.concatenate(documents),
        "lengths": np.array([len(document) for document in documents]),
        "document_indices": np.arange(len(documents) + 1),
        "same_files": np.ones(2, bool),
    }


def expect_datatrove(rows: SplitRows) -> Arrays:
    """Windows by shard, positions restarting with each document and each window, and all tokens."""
    width, tokens, windows, positions = rows.facts.seq_len + 1, [], [], []
    for documents in documents_at_end(rows):
        flat = np.concatenate(documents)
        begins = np.concatenate([np.arange(len(document)) for document in documents])
        full = len(flat) // width * width
        tokens.append(flat)
        windows.append(flat[:full].reshape(-1, width))
        positions.append(np.minimum(begins[:full].reshape(-1, width), np.arange(width)))
    return {
        "tokens": np.concatenate(tokens),
        "windows": np.concatenate(windows),
        "positions": np.concatenate(positions),
        "same_files": np.ones((len(rows.shards), 3), bool),
    }


def expect_mds(rows: SplitRows) -> Arrays:
    """Rows as they are, with their segments."""
    found = list(rows.rows())
    return {
        "tokens": np.stack([row.tokens for row in found]),
        "num_segments": np.array([len(row.lengths) for row in found]),
        "segment_lengths": np.concatenate([row.lengths for row in found]),
        "doc_offsets": np.concatenate([row.offsets for row in found]),
        "same_files": np.array(True),
    }


def expect_litdata(rows: SplitRows) -> Arrays:
    """Rows as they are, by number and through the loader."""
    tokens = np.stack([row.tokens for row in rows.rows()])
    return {"tokens": tokens, "loaded": tokens}


def expect_huggingface(rows: SplitRows) -> Arrays:
    """Rows with the targets of our own training, and two steps of the Trainer."""
    assert isinstance(rows, TokenRows)
    tokens = np.stack([row.tokens for row in rows.rows()])
    labels = np.full(tokens.shape, -100)
    labels[:, 1:] = rows.training_batch(range(rows.num_rows)).targets
    positions = np.zeros(tokens.shape, np.int64)
    for place, row in enumerate(rows.rows()):
        parts = [*row.lengths.tolist(), len(row.tokens) - int(row.lengths.sum())]
        positions[place] = np.concatenate([np.arange(part) for part in parts])
    return {"input_ids": tokens, "labels": labels, "position_ids": positions, "steps": np.array(2)}


EXPECTED: dict[str, Callable[[SplitRows], Arrays]] = {
    "megatron": expect_megatron, "mds": expect_mds, "litdata": expect_litdata, "datatrove": expect_datatrove,
    "huggingface": expect_huggingface,
}  # fmt: skip
READERS = {
    "megatron": "megatron-core IndexedDataset", "mds": "streaming StreamingDataset", "litdata": "litdata TokensLoader",
    "datatrove": "datatrove DatatroveFolderDataset", "huggingface": "datasets, DataLoader, Trainer",
}  # fmt: skip


def read_by_peer(to: str, folder: Path, target: Path) -> tuple[str, Arrays]:
    """The package's version, and all that its reader gave."""
    python = python_of(f"read_{to}", ["--no-deps", *requirements(f"read_{to}")])
    offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(target.parent / "home")}
    run_alone([str(python), "-m", f"bench.read_{to}", str(folder), str(target)], environment=offline)
    with np.load(target) as found:
        arrays = {name: found[name] for name in found.files}
    return str(arrays.pop("version")), arrays


def differing(found: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> list[str]:
    """The names whose values differ; ids are compared as numbers, since readers widen them in ways of their own."""
    names = sorted(set(found) | set(expected))
    return [n for n in names if n not in found or n not in expected or not np.array_equal(found[n], expected[n])]


def check_encoding(pack: Path) -> None:
    """The documents of the made corpora are what the tokenizer makes of their texts.

    Raises:
        CorpusmillError: they are not: what the readers give would be compared with something wrong.
    """
    encoder = Encoder(pack.parent / "tokenizer.json")
    ids, offsets = encoder.encode_documents(texts_of("en") + texts_of("zh"))
    wanted = Counter(ids[a:b].tobytes() for a, b in itertools.pairwise(offsets))
    shards = SplitRows(pack, "train").shards
    if wanted != Counter(d.astype(np.uint32).tobytes() for shard in shards for _, d in shard.whole_documents()):
        raise CorpusmillError("the packed documents are not the encoded texts", where=str(pack))


def main(argv: Sequence[str]) -> None:
    """The command above."""
    parser = argparse.ArgumentParser(prog="python -m bench.readers")
    parser.add_argument("--pack", nargs="+", metavar="DIR", help="folders of token shards instead of the made corpora")
    parser.add_argument("--to", nargs="+", choices=EXPECTED, default=list(EXPECTED), help="formats (default: all)")
    args = parser.parse_args(argv)
    shutil.rmtree(SCRATCH, ignore_errors=True)
    packs = [Path(place) for place in args.pack or ()]
    if not packs:
        packs = [write_pack(SCRATCH / name, wide=name == "wide") for name in ("narrow", "wide")]
        for pack in packs:
            check_encoding(pack)
        for to, write in MANY_FILES.items():  # as a corpus of many gigabytes has them
            FORMATS[to] = dataclasses.replace(FORMATS[to], write=functools.partial(write, block_bytes=9_999))
    print(f"{'format':12}{'reader':34}{'version':10}{'vocabulary':>11}{'items':>9}{'tokens':>12}  equal")
    failed = [f"{to} of {pack}" for pack in packs for to in args.to if not _compare(pack, to)]
    if failed:
        raise CorpusmillError("readers gave other tokens", where="bench.readers", got=", ".join(failed))


def _compare(pack: Path, to: str) -> bool:
    rows = TokenRows(pack, "train")
    folder = SCRATCH / "exports" / f"{rows.facts.vocab_size}-{to}"
    said = export_tokens(pack, "train", to, folder, None, "data/export")
    version, found = read_by_peer(to, folder, SCRATCH / f"{to}.npz")
    wrong = differing(found, EXPECTED[to](rows))
    items = said["rows"] if said["holds"] == "rows" else said["documents"]
    verdict = "all" if not wrong else f"NOT {', '.join(wrong)}"
    facts = f"{rows.facts.vocab_size:>11,}{items:>9,}{said['tokens']:>12,}"
    print(f"{to:12}{READERS[to]:34}{version:10}{facts}  {verdict}", flush=True)
    return not wrong


if __name__ == "__main__":
    sys.exit(run_module("bench.readers"))
