"""Cleaning beside datatrove and dolma, in one run: speed, and the share of equal decisions.

The same English articles go through ftfy and the rules of Gopher, C4 and FineWeb: ours, whose stage reads and writes
Parquet; datatrove's filters under its own executor, JSON lines in and out; dolma's Gopher and C4 taggers by its own
command, which name what a text has, and neither repair, edit nor drop. Every rule is on, in ours too those that
params.yaml skips; what the peers have not (language, personal data, repeated lines, loops) is off.

Start-up is counted in whole processes. So that it weighs little in each, the slice is repeated: more often the faster
the tool. Speeds are of that text, so many times. A process of n workers is held to n cores and reads two files. Functions
alone are timed from within, behind a first text, without start-up, reading and writing. Of several rounds, in which the
tools take turns, the fastest. On a machine that does other work CPU time says more than the clock.

``python -m bench.cleaning`` prints the tables and writes ``logs/bench-cleaning.json``.
"""

import argparse
import gzip
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa
import yaml

from bench.clean_ours import peer_params
from bench.cleaning_agreement import compare, encyclopaedia, report, sample, their_verdicts
from bench.peers import DATATROVE, DOLMA, pinned_python
from bench.tools import OURS, Usage, run_alone
from pipelines.runner import WORKERS
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.lineage import VERSIONS_FILE
from pipelines.spine.params import to_jsonable
from pipelines.spine.schema import DOCUMENT
from pipelines.spine.shards import ParquetShard

LOG = Path("logs/bench-cleaning.json")
NUM_WORKERS = (1, 2)
FILES = 2  # of the slice, so that two workers have something to do
ROWS = 256
ADDED = "2026-01-01T00:00:00.000Z"  # dolma asks for a date
#: datatrove as it comes, with C4's rule of five sentences, which it finds by spaCy; ours has no such rule.
WITH_SENTENCES = "datatrove, sentences"
SENTENCES = {DATATROVE: "-1", WITH_SENTENCES: "5"}
TOOLS = (OURS, DATATROVE, WITH_SENTENCES, DOLMA)
#: How many times as fast as a peer, and at least.
GOALS = {DATATROVE: 100, WITH_SENTENCES: 100, DOLMA: 20}
FLOORS = {DATATROVE: 50, WITH_SENTENCES: 50, DOLMA: 10}
HEAD = f"{'':9} {'tool':20} {'workers':>7} {'MB':>6} {'wall s':>7} {'CPU s':>7} {'MB/s':>7} {'MB/CPU s':>8}  ours is"


@dataclass(frozen=True)
class Run:
    """What a tool took for so much text.

    Attributes:
        workers: processes; 0 for functions alone, whose wall clock is not measured.
    """

    tool: str
    workers: int
    megabytes: float
    seconds: float
    cpu_seconds: float

    def ratios(self, ours: "Run") -> str:
        """How many times as fast ours is: by wall clock, and by CPU."""
        by_cpu = _speed(ours.megabytes, ours.cpu_seconds) / _speed(self.megabytes, self.cpu_seconds)
        if not self.workers:
            return f"{by_cpu:.0f} x"
        by_wall = _speed(ours.megabytes, ours.seconds) / _speed(self.megabytes, self.seconds)
        return f"{by_wall:.0f} x by the clock, {by_cpu:.0f} x by CPU"


def row(run: Run, ours: Run) -> str:
    """The line of the table; behind a peer's speed stands how it compares with the goal."""
    wall = f"{run.seconds:7.1f}" if run.workers else f"{'':7}"
    speed = f"{_speed(run.megabytes, run.seconds):7.3f}" if run.workers else f"{'':7}"
    compared = "" if run.tool == OURS else f"{run.ratios(ours)}{verdict(run, ours)}"
    named = f"{'process' if run.workers else 'functions':9} {run.tool:20} {run.workers or '':>7}"
    by_cpu = _speed(run.megabytes, run.cpu_seconds)
    return f"{named} {run.megabytes:6.1f} {wall} {run.cpu_seconds:7.1f} {speed} {by_cpu:8.3f}  {compared}".rstrip()


def verdict(run: Run, ours: Run) -> str:
    """Whether the ratio by CPU reaches the goal (100 x datatrove, 20 x dolma), the floor (50, 10), or neither."""
    ratio = _speed(ours.megabytes, ours.cpu_seconds) / _speed(run.megabytes, run.cpu_seconds)
    reached = "goal" if ratio >= GOALS[run.tool] else "floor" if ratio >= FLOORS[run.tool] else "BELOW THE FLOOR"
    return f" ({reached})"


def measure(texts: Sequence[str], copies: Mapping[str, int], rounds: int) -> Iterator[list[Run]]:
    """Whole processes by worker count, then functions alone; in each list ours comes first."""
    size = sum(len(text.encode()) for text in texts) / 1e6
    with tempfile.TemporaryDirectory(prefix="corpusmill-bench-") as scratch:
        folder = Path(scratch)
        write_inputs(folder, texts, copies)
        for workers in NUM_WORKERS:
            best = fastest(TOOLS, rounds, partial(run_process, folder=folder, workers=workers))
            yield [Run(t, workers, size * copies[t], used.seconds, used.cpu_seconds) for t, used in best.items()]
        best = fastest(TOOLS, rounds, partial(run_functions, folder=folder, copies=copies))
        sizes = {tool: size * (copies[OURS] if tool == OURS else 1) for tool in TOOLS}
        yield [Run(tool, 0, sizes[tool], used.seconds, used.cpu_seconds) for tool, used in best.items()]


def fastest(tools: Sequence[str], rounds: int, run: Callable[[str], Usage]) -> dict[str, Usage]:
    """Tool -> what its fastest run took, by CPU; the tools take turns."""
    runs: dict[str, list[Usage]] = {tool: [] for tool in tools}
    for _ in range(rounds):
        for tool in tools:
            runs[tool].append(run(tool))
    return {tool: min(used, key=lambda usage: usage.cpu_seconds) for tool, used in runs.items()}


def write_inputs(folder: Path, texts: Sequence[str], copies: Mapping[str, int]) -> None:
    """What each tool reads: Parquet of documents, JSON lines, JSON lines in gzip; and the parameters of ours."""
    for tool in (OURS, DATATROVE, DOLMA):
        (folder / tool / "documents").mkdir(parents=True)
    for number in range(FILES):
        name, part = f"part-{number}", texts[number::FILES]
        with ParquetShard(folder / OURS / "documents" / f"{name}.parquet", DOCUMENT) as shard:
            for copy in range(copies[OURS]):
                for first in range(0, len(part), ROWS):
                    shard.write(_documents(part[first : first + ROWS], f"{name}-{copy}-{first}"))
        with open(folder / DATATROVE / "documents" / f"{name}.jsonl", "w", encoding="utf-8") as plain:
            plain.writelines(_json_lines(part, name, copies[DATATROVE]))
        with gzip.open(folder / DOLMA / "documents" / f"{name}.jsonl.gz", "wt", compresslevel=1) as packed:
            packed.writelines(_json_lines(part, name, copies[DOLMA]))
    (folder / "texts.jsonl").write_text("".join(_json_lines(texts, "bench", 1)), encoding="utf-8")
    write_params(folder / "params.yaml")


def write_params(target: Path) -> None:
    """``params.yaml`` with every published rule on, and nothing that the peers do not do."""
    params = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    params["clean"] = to_jsonable(peer_params())
    target.write_text(yaml.safe_dump(params, allow_unicode=True), encoding="utf-8")
    shutil.copyfile(VERSIONS_FILE, target.with_name(VERSIONS_FILE))


def run_process(tool: str, folder: Path, workers: int) -> Usage:
    """What the tool's own command takes with so many workers, held to as many cores."""
    with tempfile.TemporaryDirectory(prefix="corpusmill-bench-") as output:
        if tool == OURS:
            places = ["--input", str(folder / OURS / "documents"), "--output", f"{output}/clean"]
            places += ["--cache", f"{output}/cache", "--params", str(folder / "params.yaml")]
            return run_alone([sys.executable, "-m", "pipelines.clean", *places], workers, {WORKERS: str(workers)})
        if tool == DOLMA:
            # On import it looks for a model of sentences, and would download it; these taggers do not use it.
            (Path(output) / "tokenizers/punkt").mkdir(parents=True)
            documents = [
                "--documents",
                f"{folder / DOLMA}/documents/*.gz",
                "--experiment",
                "bench",
                "--ignore_existing",
            ]
            options = ["--taggers", "gopher_v1", "c4_v1", "--processes", str(workers)]
            command = [str(pinned_python(DOLMA).with_name("dolma")), "tag", *documents, *options]
            return run_alone(command, workers, {"NLTK_DATA": output})
        places = [str(folder / DATATROVE / "documents"), output]
        script = [str(pinned_python(DATATROVE)), "-m", "bench.clean_datatrove", "run"]
        return run_alone([*script, *places, str(workers), SENTENCES[tool]], workers)


def run_functions(tool: str, folder: Path, copies: Mapping[str, int]) -> Usage:
    """The CPU seconds of the rules alone: ours on all copies of the slice, the peers' on one."""
    texts, result = str(folder / "texts.jsonl"), folder / "result.json"
    environment = {}
    if tool == OURS:
        command = [sys.executable, "-m", "bench.clean_ours", texts, str(result), str(copies[OURS])]
    elif tool == DOLMA:
        (folder / "nltk/tokenizers/punkt").mkdir(parents=True, exist_ok=True)
        environment["NLTK_DATA"] = str(folder / "nltk")
        command = [str(pinned_python(DOLMA)), "-m", "bench.clean_dolma", texts, str(result)]
    else:
        command = [str(pinned_python(DATATROVE)), "-m", "bench.clean_datatrove", "time", texts, str(result)]
        command.append(SENTENCES[tool])
    usage = run_alone(command, 1, environment)
    return Usage(usage.seconds, json.loads(result.read_text())["cpu_seconds"], usage.peak_bytes)


def _documents(texts: Sequence[str], name: str) -> pa.RecordBatch:
    known = dict.fromkeys(DOCUMENT.names, "") | {"source": "bench", "language": "en"}
    rows = [{**known, "doc_id": f"bench:{name}-{place}", "text": text} for place, text in enumerate(texts)]
    return pa.RecordBatch.from_pylist(rows, schema=DOCUMENT)


def _json_lines(texts: Sequence[str], name: str, copies: int) -> Iterator[str]:
    for copy in range(copies):
        for place, text in enumerate(texts):
            row = {"id": f"{name}-{copy}-{place}", "text": text, "source": "bench", "added": ADDED, "created": ADDED}
            yield json.dumps(row, ensure_ascii=False) + "\n"


def _speed(megabytes: float, seconds: float) -> float:
    return megabytes / max(seconds, 1e-9)


def main(argv: Sequence[str]) -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m bench.cleaning", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the corpora")
    parser.add_argument("--megabytes", type=float, default=2.0, help="of text in the slice")
    parser.add_argument(
        "--copies", type=int, default=128, help="how often ours reads the slice; dolma an eighth as often"
    )
    parser.add_argument("--rounds", type=int, default=2, help="how often each tool runs")
    parser.add_argument("--only", choices=("speed", "decisions"), help="one of the two tables")
    args = parser.parse_args(argv)
    if args.only != "decisions":
        copies = {OURS: args.copies, DATATROVE: 1, WITH_SENTENCES: 1, DOLMA: max(args.copies // 8, 1)}
        texts = encyclopaedia(args.data, int(args.megabytes * 1e6))
        _log("speed", print_speed(texts, copies, args.rounds))
    if args.only != "speed":
        chosen = list(sample(args.data))
        agreement = compare(chosen, their_verdicts([text for _, text in chosen]))
        print("\n" + "\n".join(report(agreement)))
        _log("decisions", to_jsonable(agreement))


def _log(part: str, result: object) -> None:
    """Writes one part of the log; the other stays as it is."""
    log = json.loads(LOG.read_text()) if LOG.exists() else {}
    LOG.parent.mkdir(exist_ok=True)
    LOG.write_text(json.dumps({**log, part: result}, indent=1))


def print_speed(texts: Sequence[str], copies: Mapping[str, int], rounds: int) -> list[dict[str, object]]:
    """Prints the table of speeds, and gives it."""
    times = ", ".join(f"{tool} {copies[tool]} x" for tool in (OURS, DATATROVE, DOLMA))
    print(f"cleaning: the first {len(texts)} articles; {times}; the fastest of {rounds} rounds\n{HEAD}")
    log: list[dict[str, object]] = []
    for runs in measure(texts, copies, rounds):
        print("\n".join(row(run, runs[0]) for run in runs), flush=True)
        log += map(asdict, runs)
    return log


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except CorpusmillError as error:
        sys.exit(f"error: {error}")
