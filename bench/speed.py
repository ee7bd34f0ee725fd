"""Speed: MB of XML a second of one core, ours and two peers, as whole processes of equal duty.

Each process reads the same uncompressed XML file (bz2 would weigh on all alike and hide the difference) and writes a
JSON line for each article. The dumps are small and repeated with shifted ids, so that start-up, which is counted, weighs
as little as it does on a real one. Counted is the CPU time of the process and its children, all held to one core; of
several rounds, in which the tools take turns, the fastest of each tool.

``python -m bench.speed`` prints the table and writes ``logs/bench-speed.json``.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.dumps import DUMPS, Dump, unpack
from bench.repeat import write_xml
from bench.tools import OURS, TOOLS, Usage, command_of, run_alone
from pipelines.spine.errors import CorpusmillError

LOG = Path("logs/bench-speed.json")
MEASURED = ("enwiki-2016-sample", "jawiki-20230501-multistream", "ukwiki-20230501-multistream")
HEAD = f"{'dump':20} {'MB of XML':>9}" + "".join(f" {tool + ' MB/s':>22}" for tool in TOOLS) + "   ours is"


def fastest(tools: Sequence[str], dump: Dump, xml: Path, rounds: int) -> dict[str, Usage]:
    """Tool -> what its fastest run took."""
    best: dict[str, Usage] = {}
    for _ in range(rounds):
        for tool in tools:
            with tempfile.TemporaryDirectory(prefix="corpusmill-bench-") as folder:
                usage = run_alone(command_of(tool, xml, Path(folder) / "texts", dump.language))
            if tool not in best or usage.cpu_seconds < best[tool].cpu_seconds:
                best[tool] = usage
    return best


def speed_row(name: str, megabytes: float, cpu_seconds: Mapping[str, float]) -> str:
    """The line of the table for one dump: speeds, and how many times as fast as each peer ours is."""
    speeds = {tool: megabytes / seconds for tool, seconds in cpu_seconds.items()}
    ratios = ", ".join(f"{speeds[OURS] / speeds[tool]:.1f} x {tool}" for tool in TOOLS if tool != OURS)
    return f"{name:20} {megabytes:9.1f}" + "".join(f" {speeds[tool]:22.1f}" for tool in TOOLS) + f"   {ratios}"


def measure_speed(data: Path, copies: int, rounds: int) -> None:
    """Prints the table and writes the log."""
    print(f"\nspeed: MB of uncompressed XML a second of CPU on one core, the fastest of {rounds} rounds\n{HEAD}")
    log, total, sums = [], 0.0, dict.fromkeys(TOOLS, 0.0)
    for dump in (dump for dump in DUMPS if dump.name in MEASURED):
        with tempfile.TemporaryDirectory(prefix="corpusmill-bench-") as folder:
            xml = Path(folder) / "dump.xml"
            megabytes = write_xml(unpack(dump, data), copies, xml) / 1e6
            best = fastest(TOOLS, dump, xml, rounds)
        cpu_seconds = {tool: usage.cpu_seconds for tool, usage in best.items()}
        print(speed_row(dump.label, megabytes, cpu_seconds), flush=True)
        log.append({"dump": dump.label, "megabytes": megabytes, "cpu_seconds": cpu_seconds})
        total, sums = total + megabytes, {tool: sums[tool] + cpu_seconds[tool] for tool in TOOLS}
    print(speed_row("all", total, sums))
    LOG.parent.mkdir(exist_ok=True)
    LOG.write_text(json.dumps(log, indent=1))


def main(argv: Sequence[str]) -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m bench.speed", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder that holds wikidumps")
    parser.add_argument("--copies", type=int, default=4, help="how often each dump is repeated")
    parser.add_argument("--rounds", type=int, default=2, help="how often each tool runs")
    args = parser.parse_args(argv)
    measure_speed(args.data, args.copies, args.rounds)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except CorpusmillError as error:
        sys.exit(f"error: {error}")
