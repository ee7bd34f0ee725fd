"""The storage root: where shards lie when they do not lie in the workspace. It changes no manifest and invalidates nothing.

``params.yaml: storage.root``, fixed for a workspace: ``s3://bucket/corpus``, ``gs://bucket/corpus``, or
``file:///shared/corpus`` for a disk that every worker sees under the same path. ``CORPUSMILL_ROOT`` goes before it.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import yaml

from pipelines.spine import objects
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.params import load_params

ROOT = "CORPUSMILL_ROOT"


@dataclass(frozen=True)
class StorageParams:
    """``params.yaml: storage``. A section that no stage's bytes depend on, so it may be absent."""

    root: str


def storage_root(params: str | Path) -> str:
    """The root as a place: an absolute path, or one in a store; "" where shards lie in the workspace.

    Args:
        params: the parameter file.
    Raises:
        CorpusmillError: no place that we know how to reach.
    """
    if ROOT in os.environ:
        return _place(os.environ[ROOT], f"environment variable {ROOT}")
    path = Path(params)
    if not path.exists() or "storage" not in (yaml.safe_load(path.read_text(encoding="utf-8")) or {}):
        return ""
    return _place(load_params(StorageParams, "storage", path).root, f"{path.name}: storage.root")


def _place(root: str, where: str) -> str:
    place = root.rstrip("/")
    if not place:
        return ""
    scheme, _, rest = place.partition("://")
    if objects.is_remote(place) and rest:
        return place
    if scheme == "file" and rest.startswith("/"):
        return rest
    raise CorpusmillError(
        "not a storage root", where=where, expected="s3://bucket/folder, gs://bucket/folder or file:///absolute/folder",
        got=root, hint='root: "" keeps the shards in the workspace',
    )  # fmt: skip
