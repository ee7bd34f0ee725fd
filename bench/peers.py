"""Peers in virtual environments of their own, each version pinned, under the undeclared ``.cache/bench/env``.

So a peer's needs never meet the project's, and a measurement names what it measured.
"""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from pipelines.spine.errors import CorpusmillError

ENVIRONMENTS = Path(".cache/bench/env")
_STAMP = "installed"

WIKIEXTRACTOR = "wikiextractor==3.1.0"
MWPARSERFROMHELL = "mwparserfromhell==0.7.2"
#: Peers of many packages: every one is pinned in ``bench/<name>.txt``, the peer's own version among them.
DATATROVE, DOLMA, TEXT_DEDUP = "datatrove", "dolma", "textdedup"


def python_of(peer: str, requirements: Sequence[str]) -> Path:
    """The interpreter of the peer's environment, which is made on first use and when ``requirements`` change.

    Args:
        peer: the environment's name.
        requirements: what pip installs, each pinned: ``wikiextractor==3.1.0``.
    Raises:
        CorpusmillError: pip could not install them; its last words are in it.
    """
    folder = ENVIRONMENTS / peer
    python = folder / "bin" / "python"
    wanted = hashlib.sha256("\n".join([sys.version, *requirements]).encode()).hexdigest()
    stamp = folder / _STAMP
    if stamp.is_file() and stamp.read_text() == wanted:
        return python.absolute()
    named = " ".join(requirements) if len(requirements) < 10 else f"{len(requirements)} pinned packages"
    print(f"setting up {folder}: {named}", file=sys.stderr)
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements]
    done = subprocess.run(install, capture_output=True, text=True)
    if done.returncode:
        raise CorpusmillError(
            "a peer could not be installed",
            where=str(folder),
            got=(done.stderr.strip().splitlines() or ["nothing"])[-1],
            hint="--ours-only measures without peers",
        )
    stamp.write_text(wanted)
    return python.absolute()


def wikiextractor_python() -> Path:
    """The interpreter that has wikiextractor; 3.1.0 runs on Python 3.11 as it is."""
    return python_of("wikiextractor", [WIKIEXTRACTOR])


def mwparserfromhell_python() -> Path:
    """The interpreter that has mwparserfromhell, with its tokenizer in C."""
    return python_of("mwparserfromhell", [MWPARSERFROMHELL])


def pinned_python(peer: str) -> Path:
    """The interpreter that has `DATATROVE`, `DOLMA` or `TEXT_DEDUP`, and what they need to run without a network."""
    return python_of(peer, requirements(peer))


def requirements(peer: str) -> list[str]:
    """The pins of ``bench/<peer>.txt``."""
    return Path(__file__).with_name(f"{peer}.txt").read_text(encoding="utf-8").split()
