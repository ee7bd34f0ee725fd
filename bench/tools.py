"""The extractors that are compared, each as a whole process on one core: XML file in, texts by page out."""

import functools
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from bench.dumps import Dump
from bench.peers import MWPARSERFROMHELL, WIKIEXTRACTOR, mwparserfromhell_python, wikiextractor_python
from pipelines.extract import ExtractParams
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.params import load_params, to_jsonable

TEXTS = Path(".cache/bench/texts")
OURS, PEERS = "ours", ("wikiextractor", "mwparserfromhell")
TOOLS = (OURS, *PEERS)


@dataclass(frozen=True)
class Usage:
    """What a process and its children took: wall clock and CPU in seconds, peak memory of the largest one in bytes."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int


def command_of(tool: str, xml: Path, target: Path, language: str) -> list[str]:
    """The command by which ``tool`` writes a JSON line for each article of ``xml`` to, or below, ``target``."""
    if tool == OURS:
        return [sys.executable, "-m", "bench.extract_ours", str(xml), str(target), language, _settings()]
    if tool == "mwparserfromhell":
        return [str(mwparserfromhell_python()), "-m", "bench.strip_mwparserfromhell", str(xml), str(target)]
    if tool == "reference":
        return [str(mwparserfromhell_python()), "-m", "bench.reference", str(xml), str(target)]
    # With templates it reads the dump twice, and on these dumps gives the same texts.
    options = ["--json", "--quiet", "--no-templates", "--processes", "1", "--bytes", "1G", "--output", str(target)]
    return [str(wikiextractor_python()), "-m", "wikiextractor.WikiExtractor", *options, str(xml)]


def stage_command(dump: Path, language: str, scratch: Path) -> list[str]:
    """The command that extracts a dump file with the real stage; output and cache lie in ``scratch``."""
    named = ["--kind", "mediawiki", "--source", "bench", "--language", language, "--input", str(dump)]
    places = ["--output", str(scratch / "documents"), "--cache", str(scratch / "cache")]
    return [sys.executable, "-m", "pipelines.extract", *named, *places]


def expect_success(returncode: int, command: Sequence[str], messages: IO[bytes]) -> None:
    """Passes when a measured command has ended well.

    Raises:
        CorpusmillError: it failed; the last lines of its messages are in it.
    """
    if returncode:
        messages.seek(0)
        said = messages.read().decode(errors="replace").strip().splitlines()
        raise CorpusmillError("a measured process failed", where=" ".join(command[:3]), got="\n".join(said[-12:]))


def run_alone(command: Sequence[str], num_cores: int = 1, environment: Mapping[str, str] | None = None) -> Usage:
    """Runs ``command`` to its end, held to the last ``num_cores`` cores.

    Raises:
        CorpusmillError: it failed; the last lines it wrote are in it.
    """
    cores = sorted(os.sched_getaffinity(0))[-num_cores:]
    with tempfile.TemporaryFile() as messages:
        begin = time.perf_counter()
        process = subprocess.Popen(
            command,
            stdout=messages,
            stderr=messages,
            env={**os.environ, "PYTHONPATH": str(Path.cwd()), **(environment or {})},
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
        )
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        expect_success(process.returncode, command, messages)
    return Usage(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)


def extract(tool: str, dump: Dump, xml: Path) -> dict[str, str]:
    """Page id -> text, of the articles of one dump; what a peer gave is kept, for its version does not change."""
    return {str(row.get("key", row.get("id"))): row["text"] for row in _rows(tool, dump, xml)}


def read_reference(dump: Dump, xml: Path) -> dict[str, dict[str, Any]]:
    """Page id -> row of ``bench.reference``."""
    return {row["key"]: row for row in _rows("reference", dump, xml)}


@functools.cache
def _settings() -> str:
    """``params.yaml: extract.wikitext`` as JSON."""
    return json.dumps(to_jsonable(load_params(ExtractParams, "extract").wikitext))


def _rows(tool: str, dump: Dump, xml: Path) -> list[dict[str, Any]]:
    folder = TEXTS / tool
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{xml.stem}-{_fingerprint(tool, xml)}"
    if tool == OURS or not target.exists():
        partial = folder / "partial"
        _remove(partial)
        run_alone(command_of(tool, xml, partial, dump.language))
        _remove(target)
        partial.rename(target)
    files = sorted(path for path in target.rglob("*") if path.is_file()) if target.is_dir() else [target]
    return [json.loads(line) for file in files for line in open(file, encoding="utf-8")]


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)


def _fingerprint(tool: str, xml: Path) -> str:
    """Changes with whatever changes a peer's texts; nothing for ours, which is never kept."""
    if tool == OURS:
        return "latest"
    digest = hashlib.sha256(f"{xml.stat().st_size} {WIKIEXTRACTOR} {MWPARSERFROMHELL}".encode())
    if tool != "wikiextractor":
        scripts = {
            "mwparserfromhell": ("strip_mwparserfromhell.py", "dumps.py"),
            "reference": ("reference.py", "dumps.py"),
        }
        for script in scripts[tool]:
            digest.update(Path(__file__).with_name(script).read_bytes())
    return digest.hexdigest()[:12]
