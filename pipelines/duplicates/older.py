"""An older corpus: what an earlier run kept is searched in as it is, and none of it is decided again.

    --older OLD/dedup OLD/clean     index/<unit>.parquet of the one, the documents of the other

The index holds the signed rows of the documents that stayed. Texts of the older corpus are read for candidates alone.
"""

import hashlib
import json
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.duplicates.plan import DedupParams
from pipelines.duplicates.signing import OLDER, signed_schema
from pipelines.spine import storage
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.manifest import read_manifest
from pipelines.spine.params import to_jsonable
from pipelines.spine.units import Unit, UnitInput

#: Changes when the same text under the same parameters gets other keys.
KEYS_VERSION = 1
SIGNING_KEY, DOCUMENTS_KEY = b"signing", b"documents_sha256"


def index_schema(params: DedupParams, unit: Unit) -> pa.Schema:
    """The schema of a unit's index; its metadata say how it was signed and which shard holds the documents."""
    metadata = {SIGNING_KEY: _signing(params), DOCUMENTS_KEY: unit.inputs[-1].sha256}
    return signed_schema(params.num_bands).with_metadata(metadata)


def _signing(params: DedupParams) -> str:
    """All that must be the same for the keys of two runs to meet: Unicode's tables fold and part words."""
    shaping = to_jsonable(params.signing)
    return json.dumps({**shaping, "keys_version": KEYS_VERSION, "unicode": unicodedata.unidata_version}, sort_keys=True)


def plan_older(corpora: Sequence[Sequence[str]], params: DedupParams) -> list[Unit]:
    """A unit for each index file of the older corpora, sorted by name.

    Args:
        corpora: (folder of `dedup`, folder of the documents it read) each.
        params: of this run.
    Raises:
        CorpusmillError: a folder without an index, one that was signed otherwise, or documents that are not those.
    """
    units: dict[str, Unit] = {}
    for decided, documents in corpora:
        read_manifest(decided)
        files = sorted(Path(decided, "index").glob("*.parquet"))
        if not files:
            raise CorpusmillError(
                "no index of an older corpus", where=str(Path(decided, "index")), expected="<unit>.parquet files",
                hint="run its dedup again with dedup.write_index: true",
            )  # fmt: skip
        shards = {shard.stem: shard for shard in read_manifest(documents).check().shards}
        for path in files:
            schema = pq.read_schema(path)
            _refuse_other_signing(path, schema, params)
            shard = shards.get(path.stem)
            wanted = (schema.metadata or {}).get(DOCUMENTS_KEY, b"").decode()
            if shard is None or shard.sha256 != wanted:
                raise CorpusmillError(
                    "the older documents are not those that the index was made of", where=f"{documents}: {path.stem}",
                    expected=wanted[:12], got=shard.sha256[:12] if shard else "no such shard",
                    hint="give the folder that this `dedup` had as --input",
                )  # fmt: skip
            place = str(Path(documents, shard.name).resolve())
            unit = _older_unit(path, UnitInput(place, shard.sha256, shard.bytes))
            units[unit.inputs[0].sha256] = unit
    return sorted(units.values(), key=lambda unit: unit.name)


def _older_unit(path: Path, documents: UnitInput) -> Unit:
    sha256 = storage.sha256_file(path)
    index = UnitInput(str(path.resolve()), sha256, path.stat().st_size)
    # Another older corpus may have a unit of the same name: the index's own content tells them apart.
    name = f"older-{path.stem}-{hashlib.sha256(sha256.encode()).hexdigest()[:12]}"
    return Unit(name, path.stem.rpartition("-")[0], (index, documents), (OLDER,))


def _refuse_other_signing(path: Path, schema: pa.Schema, params: DedupParams) -> None:
    theirs, ours = (schema.metadata or {}).get(SIGNING_KEY, b"{}").decode(), _signing(params)
    if theirs != ours:
        found, wanted = json.loads(theirs), json.loads(ours)
        different = {name: found.get(name) for name in sorted(wanted) if found.get(name) != wanted[name]}
        raise CorpusmillError(
            "the older index was signed otherwise", where=str(path),
            expected=", ".join(f"{name} {wanted[name]}" for name in different),
            got=", ".join(f"{name} {value}" for name, value in different.items()),
            hint="use the older run's parameters, or run its dedup again with these",
        )  # fmt: skip
