"""llm.c's ``.bin``: 256 int32 of header, then the ids of many documents one after another.

    header[0]  magic      20240520 for uint16 ids (GPT-2), 20240801 for uint32 ids (Llama 3)
    header[1]  version    1 for uint16, 7 for uint32
    header[2]  how many ids follow
    the rest   0

Source: github.com/karpathy/llm.c, dev/data/data_common.py (``HEADERS_INFO``, ``write_datafile``) and
dev/data/fineweb.py: the end-of-text id stands before each document, and a document may go on in the next file.
"""

from pathlib import Path
from typing import BinaryIO

import numpy as np

from pipelines.spine import storage
from pipelines.token_formats.facts import Documents, SplitFacts

HEADER_INTS = 256
#: (magic, version) by bytes an id.
MAGIC_VERSION = {2: (20240520, 1), 4: (20240801, 7)}
#: Tokens a file, as in the FineWeb shards that llm.c and modded-nanogpt read; the count must fit in int32.
TOKENS_PER_FILE = 100_000_000


def write_llmc(folder: Path, facts: SplitFacts, shards: Documents, tokens_per_file: int = TOKENS_PER_FILE) -> int:
    """Writes ``<split>_000000.bin`` and so on; returns the tokens in them. Memory: one document."""
    stream = (tokens for _, documents in shards for tokens in documents)
    rest, total, number = next(stream, None), 0, 0
    while rest is not None:
        with storage.publishing(folder / f"{facts.split}_{number:06d}.bin") as file:
            file.write(bytes(4 * HEADER_INTS))
            free = tokens_per_file
            while rest is not None and free:
                part, rest = rest[:free], rest[free:]
                file.write(part.astype(facts.dtype, copy=False).tobytes())
                free -= len(part)
                if not len(rest):
                    rest = next(stream, None)
            _fill_header(file, facts.dtype.itemsize, tokens_per_file - free)
        total, number = total + tokens_per_file - free, number + 1
    return total


def _fill_header(file: BinaryIO, item_bytes: int, num_tokens: int) -> None:
    header = np.zeros(HEADER_INTS, "<i4")
    header[:3] = (*MAGIC_VERSION[item_bytes], num_tokens)
    file.seek(0)
    file.write(header.tobytes())
