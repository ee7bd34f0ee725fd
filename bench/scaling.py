"""Scaling: `extract` on one multistream dump with one worker process and with two.

The Ukrainian dump is repeated with shifted ids, 100 pages a stream, and cut into units of 2 MB of bz2 (of 16 MB, as
params.yaml has it, so small a dump gives too few to share out). Counted is the wall clock of the whole command,
start-up included, the fastest of several rounds. On a machine that does other work at the same time it says little:
"cores" is CPU time by wall clock, how many cores the command really got.

``python -m bench.scaling`` prints the table and writes ``logs/bench-scaling.json``.
"""

import argparse
import hashlib
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import yaml

from bench.dumps import DUMPS, unpack
from bench.repeat import write_multistream
from bench.tools import Usage, run_alone, stage_command
from pipelines.runner import WORKERS
from pipelines.spine.errors import CorpusmillError

LOG = Path("logs/bench-scaling.json")
DUMP = next(dump for dump in DUMPS if dump.language == "uk")
NUM_WORKERS = (1, 2)
UNIT_MB = 2


def write_params(path: Path) -> None:
    """``params.yaml`` with smaller units of `extract`."""
    params = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    params["extract"]["min_unit_mb"] = UNIT_MB
    path.write_text(yaml.safe_dump(params, allow_unicode=True), encoding="utf-8")


def measure(packed: Path, num_workers: int) -> tuple[Usage, str]:
    """What extracting the file took with that many processes, and a digest of the shards that it gave."""
    with tempfile.TemporaryDirectory(prefix="corpusmill-bench-") as scratch:
        params = Path(scratch) / "params.yaml"
        write_params(params)
        command = [*stage_command(packed, DUMP.language, Path(scratch)), "--params", str(params)]
        usage = run_alone(command, max(NUM_WORKERS), {WORKERS: str(num_workers)})
        digest = hashlib.sha256()
        for shard in sorted((Path(scratch) / "documents").glob("*.parquet")):
            digest.update(shard.name.encode() + shard.read_bytes())
    return usage, digest.hexdigest()


def main(argv: Sequence[str]) -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m bench.scaling", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder that holds wikidumps")
    parser.add_argument("--copies", type=int, default=20, help="how often the dump is repeated")
    parser.add_argument("--rounds", type=int, default=2, help="how often each number of workers runs")
    args = parser.parse_args(argv)
    best: dict[int, Usage] = {}
    digests = set()
    with tempfile.TemporaryDirectory(prefix="corpusmill-bench-") as folder:
        packed = Path(folder) / "dump-multistream.xml.bz2"
        size = write_multistream(unpack(DUMP, args.data), args.copies, packed)
        print(
            f"extract, {DUMP.label} repeated: {size / 1e6:.0f} MB of XML, {packed.stat().st_size / 1e6:.0f} MB as bz2"
        )
        for _ in range(args.rounds):
            for num_workers in NUM_WORKERS:
                usage, digest = measure(packed, num_workers)
                digests.add(digest)
                if num_workers not in best or usage.seconds < best[num_workers].seconds:
                    best[num_workers] = usage
    for num_workers, usage in best.items():
        speed, ratio = size / 1e6 / usage.seconds, best[NUM_WORKERS[0]].seconds / usage.seconds
        cores = usage.cpu_seconds / usage.seconds
        print(f"workers {num_workers}: {usage.seconds:6.1f} s, {cores:.2f} cores, {speed:5.1f} MB/s, {ratio:.2f} x")
    print("the same bytes with either" if len(digests) == 1 else "DIFFERENT BYTES")
    LOG.parent.mkdir(exist_ok=True)
    LOG.write_text(
        json.dumps({"xml_bytes": size, "workers": {n: asdict(usage) for n, usage in best.items()}}, indent=1)
    )


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except CorpusmillError as error:
        sys.exit(f"error: {error}")
