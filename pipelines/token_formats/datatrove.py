"""datatrove's tokenized files, which nanotron trains on: a ``.ds`` a token shard, its index and its metadata.

    .ds            ids, uint16 or uint32, of all documents one after another
    .ds.index      where each document ends, in tokens: uint64 [documents]
    .ds.metadata   three lines: tokenizer and bytes an id (``data/export|2``), tokens, tokens again for people

The readers (``DatatroveFolderDataset``, nanotron) cut each file into windows of ``seq_len`` + 1 and leave out what
remains at its end. nanotron loads the tokenizer that the first line names with ``AutoTokenizer``, so it must be one
that loads. Source: huggingface/datatrove 0.10.1, pipeline/tokens/tokenizer.py and utils/dataset.py; nanotron's
config/config.py (``NanosetDatasetsArgs``).
"""

from array import array
from pathlib import Path

import numpy as np

from pipelines.spine import storage
from pipelines.token_formats.facts import Documents, SplitFacts


def write_datatrove(folder: Path, facts: SplitFacts, shards: Documents) -> int:
    """Writes ``<shard>.ds`` with ``.index`` and ``.metadata``; returns the tokens. Memory: 8 bytes a document."""
    total = 0
    for name, documents in shards:
        ends, written = array("Q"), 0
        with storage.publishing(folder / f"{name}.ds") as file:
            for tokens in documents:
                file.write(tokens.astype(facts.dtype, copy=False).tobytes())
                written += len(tokens)
                ends.append(written)
        with storage.publishing(folder / f"{name}.ds.index") as file:
            file.write(np.frombuffer(ends, np.uint64).astype("<u8").tobytes())
        tokenizer = f"{facts.tokenizer}|{facts.dtype.itemsize}"
        storage.write_text(folder / f"{name}.ds.metadata", f"{tokenizer}\n{written}\n{metric(written)}")
        total += written
    return total


def metric(number: int) -> str:
    """The number of tokens in three digits with an SI prefix: 1,234,567 is ``1.23 MT``."""
    value, prefix = float(number), 0
    while round(value, 2 - len(str(int(value))) + 1) >= 1000 and prefix < 5:
        value, prefix = value / 1000, prefix + 1
    return f"{value:.{max(0, 3 - len(str(int(value))))}f} {' kMGTP'[prefix].strip()}T"
