"""The data card: one page that shows what went in, what came out, what was left behind and how the model does.

    data/<stage>/*  ->  data/report/report.html  (inline style and drawings: no network, no script)

records in = documents in train, val and test + every reason of every stage on the way; and wherever two stages
counted the same thing, the numbers are equal, or there is no report.

Run by ``dvc repro report``, or alone, after any stage:
``python -m pipelines.report --input data --output data/report --ledger data/report/ledger.json``
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from pipelines.reporting import card, funnel
from pipelines.reporting.cleaning import cleaning_section
from pipelines.reporting.duplicates import duplicates_section
from pipelines.reporting.facts import TokenFacts
from pipelines.reporting.flow import Flow, read_flow
from pipelines.reporting.funnel import DOCUMENT_STAGES, Check
from pipelines.reporting.gathered import Readings, checks_between, fetched_files, read_all
from pipelines.reporting.quality import quality_section
from pipelines.reporting.splits import splits_section
from pipelines.reporting.tokenizer import packing_told, tokenizer_section
from pipelines.reporting.training import training_section
from pipelines.spine import faults, storage
from pipelines.spine.command import run_module
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.manifest import Shard
from pipelines.spine.stage import Stage, opened

PAGE, TEMPLATE = "report.html", "report.html"
SECTIONS = (
    ("funnel", "Funnel"), ("cleaning", "Cleaning"), ("documents", "Documents"), ("duplicates", "Duplicates"),
    ("splits", "Evaluation sets and splits"), ("tokenizer", "Tokenizer"), ("packing", "Packing"),
    ("training", "Training"), ("evaluation", "Evaluation"), ("model", "Model folder"), ("lineage", "Lineage"),
)  # fmt: skip
#: How many sources a title names before it says how many more there are.
SOURCES_NAMED = 3


@dataclass(frozen=True)
class ReportParams:
    """``params.yaml: report``. Characters, not bytes, of each example."""

    examples_per_reason: int
    example_chars: int


def count(number: int | None) -> str:
    """With a narrow space every three digits, one that breaks no line.

    >>> count(1234567)
    '1\\u202f234\\u202f567'
    """
    return "" if number is None else f"{int(number):,}".replace(",", "\u202f")


def share(number: int, whole: int) -> str:
    """In percent with one decimal, rounded half up; what is not zero is never shown as zero.

    >>> [share(*pair).replace("\\xa0", " ") for pair in ((1, 3), (1, 10_000), (0, 3), (3, 3))]
    ['33.3 %', '< 0.1 %', '0 %', '100 %']
    """
    if number in (0, whole) or not whole:
        text = "100 %" if number and whole else "0 %"
    else:
        per_mille = (2000 * number + whole) // (2 * whole)
        text = {0: "< 0.1 %", 1000: "> 99.9 %"}.get(per_mille, f"{per_mille // 10}.{per_mille % 10} %")
    return text.replace(" ", "\xa0")


def size(num_bytes: int) -> str:
    """Bytes in decimal units.

    >>> size(999), size(1_900_000)
    ('999 B', '1.90 MB')
    """
    for unit, name in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if num_bytes >= unit:
            return f"{num_bytes / unit:.{max(0, 3 - len(str(num_bytes // unit)))}f} {name}"
    return f"{num_bytes} B"


def fixed(value: float | str | None, digits: int) -> str:
    """A number with so many decimals; nothing where there is none."""
    return "" if value in (None, "") else f"{float(value or 0):,.{digits}f}"


def percent(share: float | None) -> str:
    """A share in percent with one decimal; nothing where there is none.

    >>> percent(0.2345).replace("\\xa0", " ")
    '23.4 %'
    """
    return "" if share is None else f"{100 * share:.1f}\xa0%"


def words(name: str) -> str:
    """The name of a rule or a count as one says it.

    >>> words("gopher.too_few_words")
    'gopher: too few words'
    """
    return name.replace("_", " ").replace(".", ": ")


def render(context: dict[str, Any]) -> str:
    """The page; every value is escaped unless it is a drawing of `charts`."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "reporting"), autoescape=True,
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters.update(count=count, share=share, size=size, fixed=fixed, percent=percent, words=words)
    return environment.get_template(TEMPLATE).render(context)


def make_context(flow: Flow, readings: Readings, params: ReportParams, checks: Sequence[Check]) -> dict[str, Any]:
    """All that the template shows."""
    documents = card.documents_section(flow, readings)
    context: dict[str, Any] = {
        "sections": SECTIONS,
        "funnel": card.funnel_section(flow, readings),
        "cleaning": cleaning_section(readings.counts.get("clean")),
        "quality": quality_section(flow["quality"]),
        "documents": documents,
        "dedup": duplicates_section(flow, readings.counts.get("dedup"), params.example_chars),
        "splits": splits_section(flow, params.example_chars),
        "tokenizer": tokenizer_section(flow, readings),
        "packing": card.packing_section(readings),
        "packing_told": packing_told(flow["pack"]),
        "training": training_section(flow),
        "evaluation": card.evaluation_section(flow),
        "export": flow["export"].manifest.shards if flow["export"].has_run else None,
        "lineage": card.lineage_section(flow),
        "checks": checks,
        "absent": {stage.name: not stage.has_run for stage in flow},
        "missing_documents": [stage for stage in DOCUMENT_STAGES if not flow[stage].has_run],
    }
    context["title"] = title(documents["sources"] if documents else [f["source"] for f in fetched_files(flow)])
    if not context["splits"]:
        context["sections"] = [section for section in SECTIONS if section[0] != "splits"]
    context["headline"] = card.headline(context["evaluation"])
    context["tiles"] = tiles(context)
    return context


def title(sources: Sequence[str]) -> str:
    """The sources' names, the first few of them.

    >>> title(["enwiki", "news", "zhwiki", "jawiki", "novels"])
    'enwiki, news, zhwiki and 2 more'
    """
    names = list(dict.fromkeys(sources))
    if len(names) > SOURCES_NAMED + 1:
        return f"{', '.join(names[:SOURCES_NAMED])} and {len(names) - SOURCES_NAMED} more"
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]])) or "Corpus"


def tiles(context: dict[str, Any]) -> list[tuple[str, str, str]]:
    """The headline numbers: (label, number, unit)."""
    found = []
    if documents := context["documents"]:
        number, unit = size(documents["after"].num_bytes).split(" ")
        found.append(("documents", count(documents["after"].num_documents), ""))
        found.append(("of text", number, unit))
    if packing := context["packing"]:
        total: TokenFacts = packing["total"]
        found.append(("text tokens", count(total.text), ""))
        found.append(("bytes per token", f"{total.text_bytes / max(1, total.text):.2f}", ""))
    if headline := context["headline"]:
        found.append((f"bits per byte on {headline['split']}", f"{headline['bits_per_byte']:.3f}", ""))
    return found


def main(argv: Sequence[str]) -> None:
    """The stage's command."""
    with opened(STAGE, argv) as job:
        for name in ("examples_per_reason", "example_chars"):
            if getattr(job.params, name) < 1:
                raise CorpusmillError("too few", where=f"params.yaml: report.{name}", expected="1 or more")
        flow = read_flow(job.inputs)
        readings = read_all(flow, job.params.examples_per_reason, job.params.example_chars)
        checks = checks_between(flow, readings)
        funnel.expect_closed(checks)
        page = render(make_context(flow, readings, job.params, checks))
        job.also_read += [str(stage.folder) for stage in flow if stage.has_run]
        job.begin()
        path = job.output / PAGE
        storage.write_text(path, page)
        faults.reach("report:written")
        shard = Shard(PAGE, 1, path.stat().st_size, storage.sha256_file(path))
        job.publish([shard], funnel.whole_ledger(readings.counts))


STAGE = Stage("pipelines.report", ReportParams, ("python", "pyarrow"))

if __name__ == "__main__":
    sys.exit(run_module("pipelines.report"))
