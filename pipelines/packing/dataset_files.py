"""What `datasets` needs beside the shards, so that ``datasets.load_from_disk("data/pack")`` opens the train split."""

import hashlib
from collections.abc import Iterable

from pipelines.spine.manifest import Shard, dump

SPLIT = "train"
FILES = ("state.json", "dataset_info.json")


def dataset_files(shards: Iterable[Shard]) -> dict[str, str]:
    """The texts of ``state.json`` and ``dataset_info.json`` by name; none where no shard is of train.

    The columns are not repeated there: `datasets` reads them from the shards. The fingerprint, by which it caches
    what is computed from a dataset, is a hash of the shards' hashes.
    """
    train = sorted(shard for shard in shards if shard.split == SPLIT)
    if not train:
        return {}
    content = "\n".join(shard.sha256 for shard in train)
    state: dict[str, object] = {
        "_data_files": [{"filename": shard.name} for shard in train],
        "_fingerprint": hashlib.sha256(content.encode()).hexdigest()[:16],
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": SPLIT,
    }
    info = {"citation": "", "description": "", "homepage": "", "license": ""}
    return dict(zip(FILES, (dump(state), dump(info)), strict=True))
