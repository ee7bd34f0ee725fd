"""What must be alike on all machines that train together, compared before anything is computed.

Each machine reads its own copy of the code, the packages, the token shards and the tokenizer; the checkpoint folder is
one, on a disk that all of them see, since every process writes a part of a checkpoint and reads all of it.
"""

import contextlib
import os
import socket
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
import torch.distributed as dist

from pipelines.spine import lineage, storage
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.manifest import read_manifest
from train.world import World, agree, share

#: Kind of a fact -> what to do when two machines differ in it.
HINTS = {
    "package": "install the pinned versions on every machine: constraints.txt",
    "device": "the processes of one run compute on the same kind of device",
    "source file": "bring every machine to the same commit, or install the same wheel",
    "token shards": "bring the same pack folder to every machine (`dvc pull pack`), or put it on a shared disk",
    "tokenizer": "bring the same tokenizer to every machine (`dvc pull learn`)",
}
Facts = dict[tuple[str, str], str]


def expect_alike(
    world: World, module: str, versions: Sequence[str], pack: str, tokenizer: Path, folder: Path
) -> dict[int, str]:
    """Passes when all machines have what process 0 has, and see its checkpoint folder; every process calls it.

    Args:
        module: of the stage; the modules that it imports are compared.
        versions: packages.
        pack: the folder of token shards, as each machine finds it.
        folder: of the checkpoints.
    Returns:
        number of the first process on each machine -> its host.
    Raises:
        CorpusmillError: in the leading process; names the machine and what differs.
        SystemExit: in the others.
    """
    if world.size == 1:
        return {0: socket.gethostname()}
    hosts: list[str] = [""] * world.size
    dist.all_gather_object(hosts, socket.gethostname())
    first_here = int(os.environ.get("LOCAL_RANK", "0")) == 0  # the others of a machine read the same disks
    error, facts = None, None
    if first_here:
        try:
            facts = facts_here(world, module, versions, pack, tokenizer)
        except CorpusmillError as failure:
            error = failure
    agree(error)
    found: list[Facts | None] = [None] * world.size
    dist.all_gather_object(found, facts)
    agree(_difference(found, hosts) if world.leads else None)
    _expect_one_folder(world, folder, hosts, first_here)
    return {rank: hosts[rank] for rank, facts in enumerate(found) if facts is not None}


def naming(machines: Mapping[int, str]) -> str:
    """What is said of the machines; nothing of one."""
    return f" on {len(machines)} machines; {machines[0]} leads and publishes" if len(machines) > 1 else ""


def facts_here(world: World, module: str, versions: Sequence[str], pack: str, tokenizer: Path) -> Facts:
    """(kind, name) -> what this machine has."""
    facts: Facts = {("package", name): lineage.installed_version(name) for name in versions}
    facts["package", "torch's build"] = f"CUDA {torch.version.cuda}" if world.device.type == "cuda" else "any"
    facts["device", "of the process"] = world.device.type
    for name, path in lineage.module_files(module).items():
        facts["source file", name] = storage.sha256_file(path)
    facts["token shards", pack] = storage.sha256_file(read_manifest(pack).path)
    if not tokenizer.exists():
        raise CorpusmillError("no tokenizer", where=str(tokenizer), hint=HINTS["tokenizer"])
    facts["tokenizer", str(tokenizer)] = storage.sha256_file(tokenizer)
    return facts


def _difference(found: Sequence[Facts | None], hosts: Sequence[str]) -> CorpusmillError | None:
    """What the first machine that differs from process 0's has differently."""
    ours = found[0]
    assert ours is not None
    for rank, theirs in enumerate(found):
        if theirs is None or theirs == ours:
            continue
        differing = [fact for fact in {**ours, **theirs} if ours.get(fact) != theirs.get(fact)]
        kind, name = differing[0]
        more = f" and {len(differing) - 1} more" if len(differing) > 1 else ""
        return CorpusmillError(
            f"two machines have another {kind}: {name}{more}", where=f"process {rank} on {hosts[rank]}",
            expected=f"{_short(ours, differing[0])}, as process 0 on {hosts[0]}",
            got=_short(theirs, differing[0]), hint=HINTS[kind],
        )  # fmt: skip
    return None


def _short(facts: Mapping[tuple[str, str], str], fact: tuple[str, str]) -> str:
    return facts.get(fact, "none")[:12]


def _expect_one_folder(world: World, folder: Path, hosts: Sequence[str], first_here: bool) -> None:
    """Passes when each machine sees what process 0 writes there, and process 0 what each machine writes.

    The names are new, so that no disk answers from what it remembers of the folder.
    """
    nonce = share(uuid.uuid4().hex)
    marks = {rank: folder / f"{storage.TEMPORARY}{nonce}-{rank}" for rank in range(world.size)}
    error: CorpusmillError | None = None
    wrote = False
    try:
        if first_here:
            marks[world.rank].touch(exist_ok=False)
            wrote = True
    except FileNotFoundError:
        error = _apart(folder, 0, hosts)
    except OSError as failure:
        error = storage.explained(failure, folder)
    try:
        agree(error)
        written: list[bool] = [False] * world.size
        dist.all_gather_object(written, wrote)
        if first_here and not marks[0].exists():
            error = _apart(folder, 0, hosts)
        elif world.leads:
            unseen = [rank for rank, there in enumerate(written) if there and not marks[rank].exists()]
            error = _apart(folder, unseen[0], hosts) if unseen else None
        agree(error)
        dist.barrier()
    finally:
        if wrote:
            with contextlib.suppress(OSError):
                marks[world.rank].unlink()


def _apart(folder: Path, rank: int, hosts: Sequence[str]) -> CorpusmillError:
    return CorpusmillError(
        f"the checkpoint folder is not that of process {rank} on {hosts[rank]}", where=str(folder),
        expected="one folder that all machines see",
        got="a disk of its own", hint="put it on a shared disk: --cache /shared/corpusmill",
    )  # fmt: skip
