"""litdata's chunks: rows one after another, for ``StreamingDataset(item_loader=TokensLoader(block_size))``.

    chunk-0-0.bin   items n (uint32), offsets uint32 [n + 1], the items; an item is a row of ``seq_len`` + 1 ids
    index.json      per chunk its name, bytes, items and tokens (``dim``); what an id is

``TokensLoader`` cuts a chunk into blocks of any ``block_size``: with ``seq_len`` + 1 a block is a row. It hands out
torch tensors: uint16, or int32 for vocabularies above 65,536. Without ``updated_at``, a clock, the reader takes its
place from the folder's path. Source: Lightning-AI/litdata 0.2.76, streaming/{writer,item_loader,serializers}.py.
"""

import json
from pathlib import Path
from typing import Any

from pipelines.spine import storage
from pipelines.token_formats.blocks import BLOCK_BYTES, blocks_of, write_block
from pipelines.token_formats.facts import Rows, SplitFacts

#: "An item is one leaf", as torch's pytree spells it.
LEAF = json.dumps([1, {"type": None, "context": None, "children_spec": []}])
#: litdata's number of the torch type, by bytes an id: torch.uint16 and torch.int32.
TORCH_TYPES = {2: 20, 4: 16}


def write_litdata(folder: Path, facts: SplitFacts, shards: Rows, block_bytes: int = BLOCK_BYTES) -> int:
    """Writes ``chunk-0-0.bin`` and so on and ``index.json``; returns the tokens. Memory: two files of 64 MiB."""
    items = (row.tokens.astype(facts.dtype, copy=False).tobytes() for _, rows in shards for row in rows)
    chunks: list[dict[str, Any]] = []
    for number, block in enumerate(blocks_of(items, 8, block_bytes)):
        name, tokens = f"chunk-0-{number}.bin", len(block) * (facts.seq_len + 1)
        written = write_block(folder / name, block, b"")
        chunks.append({"chunk_bytes": written, "chunk_size": len(block), "dim": tokens, "filename": name})
    config = {
        "compression": None, "compression_level": None, "compression_batch_size": None, "ipc_compression": None,
        "chunk_size": None, "chunk_bytes": block_bytes, "data_spec": LEAF, "types": "tensor", "encryption": None,
        "data_format": [f"no_header_tensor:{TORCH_TYPES[facts.dtype.itemsize]}"], "item_loader": "TokensLoader",
    }  # fmt: skip
    storage.write_text(folder / "index.json", json.dumps({"chunks": chunks, "config": config}, sort_keys=True))
    return sum(chunk["dim"] for chunk in chunks)
