"""An older corpus: what an earlier run kept is searched in as it is, and none of it is decided again.

    --older OLD/dedup OLD/clean     what index.json of the one lists, index/<unit>.parquet; the documents of the other

The index holds the signed rows of the documents that stayed. Texts of the older corpus are read for candidates alone.
"""

import json
import unicodedata
from collections.abc import Iterator, Sequence

import pyarrow as pa

from pipelines.duplicates.parameters import DedupParams
from pipelines.duplicates.plan import Plan
from pipelines.duplicates.signing import OLDER, signed_schema
from pipelines.spine import storage
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.manifest import dump, read_manifest
from pipelines.spine.params import to_jsonable
from pipelines.spine.shards import open_parquet
from pipelines.spine.units import Unit, UnitInput, plan_documents, unit_key

#: Changes when the same text under the same parameters gets other keys.
KEYS_VERSION = 1
#: Which index files there are; a run that keeps nothing lists none.
INDEX = "index.json"
#: The kind of these files among what lies beside the drop lists.
KIND = "index"
SIGNING_KEY, DOCUMENTS_KEY = b"signing", b"documents_sha256"


def index_schema(params: DedupParams, unit: Unit) -> pa.Schema:
    """The schema of a unit's index; its metadata say how it was signed and which shard holds the documents."""
    metadata = {SIGNING_KEY: _signing(params), DOCUMENTS_KEY: unit.inputs[-1].sha256}
    return signed_schema(params.num_bands).with_metadata(metadata)


def _signing(params: DedupParams) -> str:
    """All that must be the same for the keys of two runs to meet: Unicode's tables fold and part words."""
    shaping = to_jsonable(params.signing)
    return json.dumps({**shaping, "keys_version": KEYS_VERSION, "unicode": unicodedata.unidata_version}, sort_keys=True)


def list_index(plan: Plan, decided: Sequence[Unit]) -> str:
    """The text of ``index.json``: the index files of the units by unit; one that keeps nothing has none."""
    files = {}
    for receipt in plan.decided.receipts(decided):
        for shard in receipt.evidence if receipt else ():
            kind, _, name = shard.name.partition("-")
            if kind == KIND:
                files[name] = {"rows": shard.rows, "bytes": shard.bytes, "sha256": shard.sha256}
    return dump({"schema_version": 1, "files": files})


def plan_older(corpora: Sequence[Sequence[str]], params: DedupParams) -> list[Unit]:
    """A unit for each index file of the older corpora, sorted by name.

    Args:
        corpora: the folder of `dedup` and the places of the documents that it read, of each.
        params: of this run.
    Raises:
        CorpusmillError: a folder without an index, one that was signed otherwise, or documents that are not those.
    """
    units: dict[str, Unit] = {}
    for decided, *documents in corpora:
        if not documents:
            raise CorpusmillError(
                "where are its documents?", where=f"--older {decided}", expected="--older DEDUP DOCUMENTS"
            )
        shards = {unit.name: unit.inputs[0] for unit in plan_documents(documents)}
        for name, index in _index_files(decided):
            with open_parquet(index.path) as file:
                schema = file.schema_arrow
            _refuse_other_signing(index.path, schema, params)
            shard = shards.get(name)
            wanted = (schema.metadata or {}).get(DOCUMENTS_KEY, b"").decode()
            if shard is None or shard.sha256 != wanted:
                raise CorpusmillError(
                    "the older documents are not those that the index was made of",
                    where=f"{', '.join(documents)}: {name}", expected=wanted[:12],
                    got=shard.sha256[:12] if shard else "no such shard", hint="give all that this `dedup` had as --input",
                )  # fmt: skip
            units[index.sha256] = _older_unit(name, index, shard)
    return sorted(units.values(), key=lambda unit: unit.name)


def _index_files(decided: str) -> Iterator[tuple[str, UnitInput]]:
    """(unit, file) of each file that ``index.json`` lists; all of them must be there as they were written.

    Of those in a store the sizes are asked for here; whoever reads one checks its hash.
    """
    manifest = read_manifest(decided)
    listed_in = manifest.folder / INDEX
    try:
        listed = json.loads(listed_in.read_text(encoding="utf-8"))["files"]
    except FileNotFoundError:
        raise CorpusmillError(
            "no index of an older corpus", where=str(listed_in),
            hint="run its dedup again with dedup.write_index: true",
        ) from None  # fmt: skip
    names = sorted(listed)
    places = [manifest.places.get(f"{KIND}/{name}") or str(manifest.folder / KIND / name) for name in names]
    for name, place, size in zip(names, places, storage.sizes_of(places), strict=True):
        entry = listed[name]
        whole = size == entry["bytes"] and (storage.is_remote(place) or storage.sha256_file(place) == entry["sha256"])
        if not whole:
            raise CorpusmillError(
                "the index of an older corpus is damaged", where=place,
                expected=f"{entry['bytes']:,} bytes with sha256 {entry['sha256'][:12]}",
                got="no such file" if size is None else f"{size:,} bytes",
                hint="run its dedup again, or `dvc checkout`",
            )  # fmt: skip
        yield name.removesuffix(".parquet"), UnitInput(storage.absolute(place), entry["sha256"], entry["bytes"])


def _older_unit(name: str, index: UnitInput, documents: UnitInput) -> Unit:
    # Another older corpus may have a unit of the same name: the index's own content tells them apart.
    older = f"older-{name}-{unit_key(index.sha256)}"
    return Unit(older, name.rpartition("-")[0], (index, documents), (OLDER,))


def _refuse_other_signing(place: str, schema: pa.Schema, params: DedupParams) -> None:
    theirs, ours = (schema.metadata or {}).get(SIGNING_KEY, b"{}").decode(), _signing(params)
    if theirs != ours:
        found, wanted = json.loads(theirs), json.loads(ours)
        different = {name: found.get(name) for name in sorted(wanted) if found.get(name) != wanted[name]}
        raise CorpusmillError(
            "the older index was signed otherwise", where=place,
            expected=", ".join(f"{name} {wanted[name]}" for name in different),
            got=", ".join(f"{name} {value}" for name, value in different.items()),
            hint="use the older run's parameters, or run its dedup again with these",
        )  # fmt: skip
