"""Main text of web pages, measured: ours and each single library on the 181 gold pages of Zyte's benchmark.

    ../shared/data/html-article-extraction  ->  a table, and logs/bench-html.json

Words are ``\\w+``, as in the benchmark's own ``evaluate.py``; a page's text is the multiset of its words.
*word F1*: for each page 2·common / (words found + words of the gold text), then the mean over pages.
*4-gram F1*: what ``evaluate.py`` prints: the same with runs of four words, precision and recall each averaged over the
pages, and F1 made of the two means. Speed is pages a CPU second, one process, pages in memory, parsing included.

Our rules were made while looking at the pages whose sha256 name is even ("tuned"); the others ("held out") were scored.
One rule owes its existence to the score of a held-out page: asking trafilatura's slow mode where resiliparse finds
little of a text. ``python -m bench.html`` runs everything, ``--ours-only`` leaves the peers out.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean

from bench.html_texts import TOOLS
from bench.peers import python_of
from pipelines.spine.errors import CorpusmillError

GOLD = Path("../shared/data/html-article-extraction")
LOG = Path("logs/bench-html.json")
#: Tool -> its environment and what pip installs there; the tools that are not here are ours.
PEERS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "trafilatura": ("trafilatura", ("trafilatura==2.3.1", "lxml-html-clean==0.4.6")),
    "trafilatura fast": ("trafilatura", ("trafilatura==2.3.1", "lxml-html-clean==0.4.6")),
    "trafilatura precise": ("trafilatura", ("trafilatura==2.3.1", "lxml-html-clean==0.4.6")),
    "resiliparse": ("resiliparse", ("Resiliparse==2.0.1",)),
    "resiliparse bare": ("resiliparse", ("Resiliparse==2.0.1",)),
    "justext": ("justext", ("jusText==3.0.2", "lxml-html-clean==0.4.6")),
    "readability-lxml": ("readability", ("readability-lxml==0.9", "lxml-html-clean==0.4.6")),
}
_WORD = re.compile(r"\w+")
HEAD = (
    f"{'extractor':20} {'word F1':>8} {'tuned':>7} {'held out':>9} {'4-gram F1':>10} {'precision':>10} {'recall':>7} "
    f"{'pages/s':>8}"
)


@dataclass(frozen=True)
class Score:
    """One tool on the gold pages.

    Args:
        tool: one of ``TOOLS``.
        word_f1: mean over all pages; ``tuned`` and ``held_out`` over either half.
        shingle_f1: of 4-grams, from the mean ``precision`` and ``recall``.
        pages_per_second: of CPU time.
    """

    tool: str
    word_f1: float
    tuned: float
    held_out: float
    shingle_f1: float
    precision: float
    recall: float
    pages_per_second: float

    def row(self) -> str:
        """The line of the table."""
        return (
            f"{self.tool:20} {self.word_f1:8.4f} {self.tuned:7.4f} {self.held_out:9.4f} {self.shingle_f1:10.4f} "
            f"{self.precision:10.4f} {self.recall:7.4f} {self.pages_per_second:8.0f}"
        )


def count_shingles(text: str, size: int) -> Counter[tuple[str, ...]]:
    """The runs of ``size`` words and how often each occurs; of a shorter text its words as one run."""
    words = _WORD.findall(text)
    return Counter(tuple(words[i : i + size]) for i in range(max(1, len(words) - size + 1)) if words)


def overlap(text: str, gold: str, size: int) -> tuple[float, float, float]:
    """Precision, recall and F1 of one page; all 1 where neither has words, all 0 where one of them has none."""
    found, wanted = count_shingles(text, size), count_shingles(gold, size)
    common, total = (found & wanted).total(), found.total() + wanted.total()
    if not total:
        return 1.0, 1.0, 1.0
    return common / max(1, found.total()), common / max(1, wanted.total()), 2 * common / total


def is_tuned(name: str) -> bool:
    """Whether a page belongs to the half that was looked at."""
    return int(name, 16) % 2 == 0


def score(tool: str, texts: Mapping[str, str], gold: Mapping[str, str], seconds: float) -> Score:
    """How near a tool's texts come to the gold texts.

    Raises:
        CorpusmillError: the pages are not the same.
    """
    if texts.keys() != gold.keys():
        raise CorpusmillError("not the gold pages", where=tool, expected=f"{len(gold)} pages", got=f"{len(texts)}")
    words = {name: overlap(texts[name], gold[name], 1)[2] for name in gold}
    shingles = [overlap(texts[name], gold[name], 4) for name in gold]
    precision, recall = mean(p for p, _, _ in shingles), mean(r for _, r, _ in shingles)
    return Score(
        tool=tool,
        word_f1=mean(words.values()),
        tuned=mean(f1 for name, f1 in words.items() if is_tuned(name)),
        held_out=mean(f1 for name, f1 in words.items() if not is_tuned(name)),
        shingle_f1=2 * precision * recall / (precision + recall),
        precision=precision,
        recall=recall,
        pages_per_second=len(gold) / seconds,
    )


def read_gold(folder: Path) -> dict[str, str]:
    """Page name -> gold text.

    Raises:
        CorpusmillError: the folder is not there.
    """
    if not folder.is_dir():
        raise CorpusmillError("the gold pages are not here", where=str(folder), hint="they lie beside the checkout")
    entries = json.loads((folder / "ground-truth.json").read_text(encoding="utf-8"))
    return {name: entry["articleBody"] for name, entry in entries.items()}


def measure(tool: str, gold: Mapping[str, str]) -> Score:
    """Runs the tool in its own environment on every page."""
    python = python_of(*PEERS[tool]) if tool in PEERS else Path(sys.executable)
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "texts.json"
        command = [str(python), "-m", "bench.html_texts", tool, str(GOLD / "html"), str(target)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["nothing"])[-1]
            raise CorpusmillError("an extractor failed", where=tool, got=last)
        result = json.loads(target.read_text(encoding="utf-8"))
    return score(tool, result["texts"], gold, result["seconds"])


def main(argv: Sequence[str]) -> None:
    """Prints the table and writes the log."""
    parser = argparse.ArgumentParser(prog="bench.html", description="main text of web pages, ours and its peers")
    parser.add_argument("--ours-only", action="store_true", help="leave the peers out")
    args = parser.parse_args(argv)
    gold = read_gold(GOLD)
    print(HEAD)
    scores = []
    for tool in TOOLS:
        if args.ours_only and tool in PEERS:
            continue
        scores.append(measure(tool, gold))
        print(scores[-1].row(), flush=True)
    if peers := [one for one in scores if one.tool in PEERS]:
        best = max(peers, key=lambda one: one.word_f1)
        print(f"best single library: {best.tool}, word F1 {best.word_f1:.4f}; ours {scores[0].word_f1:.4f}")
    LOG.parent.mkdir(exist_ok=True)
    LOG.write_text(json.dumps([asdict(one) for one in scores], indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except CorpusmillError as error:
        sys.exit(f"error: {error}")
