"""Memory: the peak of `extract` from 14 MB of XML to a hundred times as much.

The Ukrainian dump is repeated with shifted ids and packed as one gzip stream, which no one can cut into parts: one unit
of one process has it all. ``python -m bench.memory`` prints the table and writes ``logs/bench-memory.json``.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from bench.dumps import DUMPS, unpack
from bench.repeat import write_gzip
from bench.tools import Usage, run_alone, stage_command
from pipelines.spine.errors import CorpusmillError

LOG = Path("logs/bench-memory.json")
DUMP = next(dump for dump in DUMPS if dump.language == "uk")
COPIES = (1, 10, 100)


def measure(xml: Path, copies: int, scratch: Path) -> tuple[int, Usage]:
    """Bytes of XML, and what extracting them took."""
    packed = scratch / "dump.xml.gz"
    size = write_gzip(xml, copies, packed)
    return size, run_alone(stage_command(packed, DUMP.language, scratch))


def main(argv: Sequence[str]) -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m bench.memory", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder that holds wikidumps")
    parser.add_argument("--copies", type=int, nargs="+", default=COPIES, help="how often the dump is repeated")
    args = parser.parse_args(argv)
    xml, log = unpack(DUMP, args.data), []
    print(f"peak memory of extract, {DUMP.label} repeated\n{'MB of XML':>10} {'peak MB':>8} {'seconds':>8}")
    for copies in args.copies:
        with tempfile.TemporaryDirectory(prefix="corpusmill-bench-") as scratch:
            size, usage = measure(xml, copies, Path(scratch))
        print(f"{size / 1e6:10.0f} {usage.peak_bytes / 1e6:8.0f} {usage.seconds:8.0f}", flush=True)
        log.append({"xml_bytes": size, **asdict(usage)})
    LOG.parent.mkdir(exist_ok=True)
    LOG.write_text(json.dumps(log, indent=1))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except CorpusmillError as error:
        sys.exit(f"error: {error}")
