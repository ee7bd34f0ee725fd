"""nanoGPT's ``.bin``: the ids of one split, uint16, one after another and nothing else.

Source: github.com/karpathy/nanoGPT, data/openwebtext/prepare.py (a memmap of uint16, the end-of-text id after each
document) and train.py (``np.memmap(data_dir/train.bin, dtype=np.uint16)``).
"""

from pathlib import Path

from pipelines.spine import storage
from pipelines.token_formats.facts import Documents, SplitFacts


def write_nanogpt(folder: Path, facts: SplitFacts, shards: Documents) -> int:
    """Writes ``<split>.bin``; returns the tokens in it. Memory: one document."""
    with storage.publishing(folder / f"{facts.split}.bin") as file:
        for _, documents in shards:
            for tokens in documents:
                file.write(tokens.astype("<u2", copy=False).tobytes())
        return file.tell() // 2
