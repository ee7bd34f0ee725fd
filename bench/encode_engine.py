"""One engine encodes the texts of Parquet files, in an environment that holds the engines alone.

``python -m bench.encode_engine ENGINE TOKENIZER FOLDER STRINGS REPORT``: STRINGS is a JSON list of hostile strings; REPORT
gets the MB/s of CPU, the bytes of memory that the process holds after the texts beyond what it held before, and the ids:
a digest of the texts', the strings' themselves.
"""

import gc
import hashlib
import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

Encode = Callable[[list[str]], list[np.ndarray]]


def load(engine: str, path: str) -> Encode:
    """The engine with the tokenizer of a ``tokenizer.json`` whose added tokens are taken out, on one thread."""
    if engine == "gigatoken":
        import gigatoken

        fast = gigatoken.Tokenizer.from_json(Path(path).read_text(encoding="utf-8"))
        return lambda texts: [np.asarray(ids) for ids in fast.encode_batch(texts, parallel=False)]
    if engine == "snaptokens":
        import snaptokens

        flat = snaptokens.Tokenizer.from_file(path)

        def encode_flat(texts: list[str]) -> list[np.ndarray]:
            ids, offsets = flat.encode_batch_flat(texts)
            return np.split(np.frombuffer(ids, np.uint32), np.frombuffer(offsets, np.uint64)[1:-1].astype(np.int64))

        return encode_flat
    if engine == "tiktoken":
        return _tiktoken(path)
    from tokenizers import Tokenizer

    library = Tokenizer.from_file(path)
    return lambda texts: [
        np.array(e.ids, np.uint32) for e in library.encode_batch_fast(texts, add_special_tokens=False)
    ]


def _tiktoken(path: str) -> Encode:
    """tiktoken by the same vocabulary: a token's rank is its id, for ids are in the order of the merges."""
    import tiktoken

    document = json.loads(Path(path).read_text(encoding="utf-8"))
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    byte_of = {chr(byte): byte for byte in printable}
    byte_of |= {chr(256 + n): byte for n, byte in enumerate(b for b in range(256) if b not in printable)}
    ranks = {bytes(byte_of[c] for c in token): index for token, index in document["model"]["vocab"].items() if index}
    pattern = document["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"]
    encoding = tiktoken.Encoding("bench", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
    return lambda texts: [np.array(encoding.encode_ordinary(text), np.uint32) for text in texts]


def batches(folder: str) -> Iterator[list[str]]:
    """The texts, 256 at a time."""
    for path in sorted(Path(folder).glob("*.parquet")):
        for batch in pq.ParquetFile(path).iter_batches(256, columns=["text"]):
            yield batch.column(0).to_pylist()


def resident_bytes() -> int:
    """What the process holds in memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def main(engine: str, tokenizer: str, folder: str, strings: str, report: str) -> None:
    """The command above."""
    encode = load(engine, tokenizer)
    encode(["the first text loads what is loaded late"])
    gc.collect()
    before = resident_bytes()
    digest, num_bytes, seconds = hashlib.sha256(), 0, 0.0
    for texts in batches(folder):
        num_bytes += sum(len(text.encode()) for text in texts)
        begin = time.process_time()
        encoded = encode(texts)
        seconds += time.process_time() - begin
        for ids in encoded:
            digest.update(ids.astype(np.uint32).tobytes())
    hostile = [ids.tolist() for ids in encode(json.loads(Path(strings).read_text(encoding="utf-8")))]
    del encoded
    gc.collect()
    grown = resident_bytes() - before
    found = {
        "mb_per_second": num_bytes / 1e6 / seconds,
        "grown_bytes": grown,
        "texts": digest.hexdigest(),
        "strings": hostile,
    }
    Path(report).write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
