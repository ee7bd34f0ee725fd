"""Token shards to another trainer's format: Megatron-LM, MosaicML streaming, litdata, datatrove, nanoGPT, llm.c, Trainer.

    data/pack/<split>-*.arrow  ->  DIR/{the format's files, export.json}

tokens exported = tokens of the split in pack's ledger; rows hold, apart, padding and repeated context too

``python -m pipelines.export_tokens --to megatron --input data/pack --split train --output exports/megatron``
Needs no Beam, and a token shard of memory. What each format holds: ``docs/token_formats.md``.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.spine import storage
from pipelines.spine.command import run_module
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.manifest import Manifest, Shard, read_manifest
from pipelines.token_formats import FORMATS, TokenFormat
from pipelines.token_formats.facts import Documents, Rows, SplitFacts
from pipelines.token_formats.folders import already_exported, publishing_folder, write_export
from pipelines.token_shards import SPLITS, MappedShard, Row, ShardFacts

#: Of the exports themselves: a new number where the same token shards would give other bytes.
VERSION = 2


def main(argv: Sequence[str]) -> None:
    """The command."""
    args = _parser().parse_args(argv)
    report = export_tokens(args.input, args.split, args.to, Path(args.output), args.document_token, args.tokenizer)
    unit = f"{report['rows']:,} rows" if report["holds"] == "rows" else f"{report['documents']:,} documents"
    print(f"export_tokens: {report['tokens']:,} tokens in {unit}; folder {args.output}", file=sys.stderr)


def export_tokens(
    pack: str | Path, split: str, to: str, output: Path, document_token: str | None, tokenizer: str
) -> dict[str, Any]:
    """Writes the split to the folder ``output``; returns what ``export.json`` says. Equal input, equal bytes.

    Args:
        pack: what ``pipelines.pack`` wrote.
        split: ``train``, ``val`` or ``test``.
        to: a name in ``FORMATS``.
        output: a new folder; one that holds this very export already is left as it is.
        document_token: ``start`` or ``end`` of each document; the format's own custom when not given.
        tokenizer: the tokenizer's folder or name for those who read the export; only datatrove's files carry it.
    Raises:
        CorpusmillError: an unknown format or split, an empty split, a vocabulary too large, a folder that holds
            something else or that no export may take, a damaged shard, or tokens that are not those of the ledger.
    """
    form = _known(to, split, document_token)
    if not tokenizer or "|" in tokenizer or not tokenizer.isprintable():
        raise CorpusmillError("not a name", where="--tokenizer", expected="a folder or a name", got=repr(tokenizer))
    common, manifest, shards = _opened(pack, split)
    output = _free_place(output, manifest)
    place = document_token or form.document_token
    identity: dict[str, Any] = {
        "schema_version": VERSION, "format": to, "split": split, "holds": form.holds,
        "document_token": place, "tokenizer": tokenizer,
        "shards": [{"name": s.name, "sha256": s.sha256} for s in shards],
    }  # fmt: skip
    facts = SplitFacts(split, common.seq_len, common.vocab_size, common.tokenizer_sha256, tokenizer)
    _check_vocabulary(to, form, facts)
    if not already_exported(output, identity):
        source = _Counted(manifest, shards, common, place)
        with publishing_folder(output) as folder:
            written = form.write(folder, facts, source.rows() if form.holds == "rows" else source.documents())
            _check_tokens(source, written, manifest.folder / "ledger.json", split)
            write_export(folder, {**identity, **_numbers(source, written, common)})
    return json.loads((output / "export.json").read_text(encoding="utf-8"))


class _Counted:
    """The split's rows or documents, counted as a writer takes them; one shard is mapped at a time."""

    def __init__(self, manifest: Manifest, shards: Sequence[Shard], common: ShardFacts, document_token: str) -> None:
        self._manifest, self._shards = manifest, shards
        self._facts = common
        self._at_end = document_token == "end"
        self.counts: Counter[str] = Counter()

    def rows(self) -> Rows:
        return ((shard.stem, self._rows(self._mapped(shard))) for shard in self._shards)

    def documents(self) -> Documents:
        return ((shard.stem, self._documents(self._mapped(shard))) for shard in self._shards)

    @property
    def tokens(self) -> int:
        """Tokens of documents, each once: what the ledger counts."""
        return self.counts["cells"] - self.counts["context"] - self.counts["padding"]

    def _mapped(self, entry: Shard) -> MappedShard:
        """The shard, once its bytes are those of the manifest: `export.json` says that it was made from them."""
        path = self._manifest.local(entry)
        if (found := storage.sha256_file(path)) != entry.sha256:
            raise CorpusmillError(
                "a token shard is damaged, or has changed since it was packed", where=str(path),
                expected=f"sha256 {entry.sha256}", got=found,
                hint="run `dvc repro pack`, or `dvc checkout`, to bring the shard back",
            )  # fmt: skip
        shard = MappedShard.of(self._manifest, entry)
        if shard.facts.common != self._facts.common:
            raise CorpusmillError(
                "shards of one folder were packed in different ways", where=str(path),
                expected=f"{self._facts.common} as in {self._shards[0].name}", got=shard.facts.common,
                hint="(tokenizer sha256, seq_len, document start, vocabulary) must agree: run `dvc repro pack`",
            )  # fmt: skip
        return shard

    def _rows(self, shard: MappedShard) -> Iterator[Row]:
        for row in map(shard.row, range(shard.num_rows)):
            continuing = int(np.count_nonzero(row.offsets))
            self.counts["rows"] += 1
            self.counts["cells"] += len(row.tokens)
            self.counts["context"] += continuing
            self.counts["padding"] += len(row.tokens) - int(row.lengths.sum())
            self.counts["documents"] += len(row.offsets) - continuing
            yield row

    def _documents(self, shard: MappedShard) -> Iterator[np.ndarray]:
        for doc_id, tokens in shard.whole_documents():
            if tokens[0] != self._facts.document_start_id:
                raise CorpusmillError(
                    "a document does not begin with the document start", where=f"{shard.name}: {doc_id}",
                    expected=self._facts.document_start_id, got=int(tokens[0]), hint="run `dvc repro pack`",
                )  # fmt: skip
            self.counts["documents"] += 1
            self.counts["cells"] += len(tokens)
            yield np.roll(tokens, -1) if self._at_end else tokens


def _opened(pack: str | Path, split: str) -> tuple[ShardFacts, Manifest, tuple[Shard, ...]]:
    """What the first shard of the split says of itself, and the split's shards in the order of the manifest.

    Not through `SplitRows`, which maps all shards at once: here memory is one of them.
    """
    manifest = read_manifest(pack).check()
    shards = manifest.of_split(split)
    if not sum(shard.rows for shard in shards):
        found = ", ".join(sorted({shard.split for shard in manifest.shards if shard.rows})) or "no rows at all"
        raise CorpusmillError(
            f"no rows in split {split}", where=str(manifest.path), got=found,
            hint="shard names start with their split; is the corpus large enough for the shares of `shard`?",
        )  # fmt: skip
    return MappedShard.of(manifest, shards[0]).facts, manifest, shards


def _free_place(output: Path, manifest: Manifest) -> Path:
    """The output folder by its own name, once it is one that may be replaced as a whole.

    Raises:
        CorpusmillError: the folder one stands in, which would be another one afterwards, or a place in the input.
    """
    place, pack = output.resolve(), manifest.folder.resolve()
    if place == Path.cwd() or pack in (place, *place.parents):
        raise CorpusmillError(
            "an export cannot lie here", where=str(output), expected="a new folder, outside the token shards",
            got="the current folder" if place == Path.cwd() else f"a place in {manifest.folder}, which `pack` clears",
            hint="for instance --output exports/megatron",
        )  # fmt: skip
    return place


def _known(to: str, split: str, document_token: str | None) -> TokenFormat:
    if to not in FORMATS:
        raise CorpusmillError("unknown format", where="--to", expected=", ".join(FORMATS), got=to)
    if split not in SPLITS:
        raise CorpusmillError("unknown split", where="--split", expected=", ".join(SPLITS), got=split)
    if document_token not in (None, "start", "end"):
        raise CorpusmillError("unknown place", where="--document-token", expected="start, end", got=document_token)
    if document_token == "end" and FORMATS[to].holds == "rows":
        raise CorpusmillError(
            f"{to} holds rows as they were packed, and there the token begins each document",
            where="--document-token", expected="start", got=document_token,
            hint="formats of whole documents: " + ", ".join(name for name, f in FORMATS.items() if f.holds != "rows"),
        )  # fmt: skip
    return FORMATS[to]


def _check_vocabulary(to: str, form: TokenFormat, facts: SplitFacts) -> None:
    if facts.vocab_size > form.largest_vocab:
        raise CorpusmillError(
            f"the vocabulary is too large for {to}", where=f"tokenizer {facts.tokenizer_sha256[:12]}",
            expected=f"at most {form.largest_vocab:,} ids", got=f"{facts.vocab_size:,}",
            hint="take a format that stores 32-bit ids, such as llmc or megatron, or a smaller vocabulary",
        )  # fmt: skip


def _check_tokens(source: _Counted, written: int, place: Path, split: str) -> None:
    """The files hold what went into them, and that is all of the split by the ledger at ``place``."""
    try:
        ledger = json.loads(place.read_text(encoding="utf-8"))
        expected = int(ledger["out"].get(split, 0))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CorpusmillError(
            f"no ledger to hold the export to: {error!r}", where=str(place), hint="run `dvc repro pack`"
        ) from None
    if (written, source.tokens) != (source.counts["cells"], expected):
        raise CorpusmillError(
            "the export does not hold the tokens of the split", where=f"{place}: {split}",
            expected=f"{expected:,} tokens of documents, {source.counts['cells']:,} written",
            got=f"{source.tokens:,} and {written:,}",
            hint="do ledger.json and manifest.json come from one run? run `dvc repro pack`",
        )  # fmt: skip


def _numbers(source: _Counted, written: int, common: ShardFacts) -> dict[str, Any]:
    numbers: dict[str, Any] = {
        "tokens": written, "documents": source.counts["documents"], "vocab_size": common.vocab_size,
        "tokenizer_sha256": common.tokenizer_sha256, "document_token_id": common.document_start_id,
        "seq_len": common.seq_len,
    }  # fmt: skip
    if source.counts["rows"]:
        numbers |= {name: source.counts[name] for name in ("rows", "context", "padding")}
        numbers["row_tokens"] = common.seq_len + 1
    return numbers


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pipelines.export_tokens", description=__doc__.partition("\n")[0])
    parser.add_argument("--to", required=True, metavar="FORMAT", help=", ".join(FORMATS))
    parser.add_argument("--input", default="data/pack", metavar="DIR", help="token shards (default: %(default)s)")
    parser.add_argument("--split", required=True, metavar="SPLIT", help=", ".join(SPLITS))
    parser.add_argument("--output", required=True, metavar="DIR", help="a new folder")
    parser.add_argument(
        "--document-token", metavar="PLACE", help="start or end of each document (default: the format's custom)"
    )
    parser.add_argument(
        "--tokenizer", default="data/export", metavar="NAME",
        help="its folder or name for nanotron, which loads it by what datatrove's metadata say (default: %(default)s)",
    )  # fmt: skip
    return parser


if __name__ == "__main__":
    sys.exit(run_module("pipelines.export_tokens"))
