"""Items to files of a bounded size, for the formats whose files begin with the byte offsets of their items."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from pipelines.spine import storage

#: What MosaicML streaming and litdata write by default, 64 MiB.
BLOCK_BYTES = 1 << 26


def blocks_of(items: Iterable[bytes], head_bytes: int, block_bytes: int) -> Iterator[list[bytes]]:
    """The items in runs whose files stay within ``block_bytes``; an item larger than that has a file of its own.

    Args:
        items: in order.
        head_bytes: what a file holds beside its items and 4 bytes for each.
        block_bytes: at most 2**32 - 1, since offsets are uint32.
    """
    block: list[bytes] = []
    size = head_bytes
    for item in items:
        if block and size + len(item) + 4 > block_bytes:
            yield block
            block, size = [], head_bytes
        block.append(item)
        size += len(item) + 4
    if block:
        yield block


def write_block(path: Path, items: Sequence[bytes], between: bytes) -> int:
    """Publishes a file of items; returns its bytes.

    The file: how many items (uint32), where each begins and the last ends (uint32 each), ``between``, the items.
    """
    sizes = np.array([0, *map(len, items)], np.int64)
    offsets = np.cumsum(sizes) + 4 * (1 + len(sizes)) + len(between)
    with storage.publishing(path) as file:
        file.write(np.array([len(items)], "<u4").tobytes() + offsets.astype("<u4").tobytes() + between)
        file.writelines(items)
    return int(offsets[-1])
