"""``tokenizers``' ``encode_batch_fast`` over Parquet files, ids into one array: encoding alone, nothing is written.

``python -m bench.tokenize_library <folder of .parquet> <tokenizer.json>`` prints the number of tokens.
"""

import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from tokenizers import Tokenizer


def main(folder: str, tokenizer_json: str) -> None:
    """The command above; threads are the library's own, as many as the process may use cores."""
    tokenizer = Tokenizer.from_file(tokenizer_json)
    num_tokens = 0
    for path in sorted(Path(folder).glob("*.parquet")):
        for batch in pq.ParquetFile(path).iter_batches(256, columns=["text"]):
            encoded = tokenizer.encode_batch_fast(batch.column(0).to_pylist(), add_special_tokens=False)
            num_tokens += sum(len(np.array(text.ids, np.uint32)) for text in encoded)
    print(num_tokens)


if __name__ == "__main__":
    main(*sys.argv[1:])
