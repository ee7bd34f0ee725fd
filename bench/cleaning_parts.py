"""The cost of cleaning by language, by step and by rule, in CPU time of one core.

    speed    MB of text a second. (a): normalisation and the rules of Gopher, C4 and FineWeb, all on. (b): both halves of
             the stage as params.yaml has them: language, personal data, loops, hashes of lines and the batch's columns
             too; no line is too frequent, nothing is read or written
    steps    ms a MB of each step of (b), by itself on normalised text; what is left of (b) is the edits and the columns.
             And how much of a text's characters the language model sees
    rules    ms a MB of each rule by itself; what several share is worked out before, and stands in brackets. What a table
             keeps once it was asked for (characters of words, units) is in no rule, and so in what is left of (b)

Texts: the first megabytes of the benchmark's English articles, of Chinese news and novels, and of the Japanese, Ukrainian
and Vietnamese articles as ours extracts them from the dumps. The fastest of several rounds.

``python -m bench.cleaning_parts`` prints the tables and writes ``logs/bench-cleaning-parts.json``.
"""

import argparse
import gzip
import itertools
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa

from bench.clean_ours import TEXTS, count_kept, peer_params
from bench.cleaning_agreement import encyclopaedia
from bench.dumps import DUMPS, unpack
from bench.tools import OURS, extract
from pipelines.clean import CleanParams
from pipelines.cleaning.halves import finish, prepare
from pipelines.cleaning.language_rules import expected_languages
from pipelines.cleaning.languages import Identified, identify
from pipelines.cleaning.line_rules import LINE_RULES
from pipelines.cleaning.loops import find_loops
from pipelines.cleaning.normalize import normalize_batch
from pipelines.cleaning.personal.masking import mask_batch
from pipelines.cleaning.readings import Batch, Documents, RuleParams
from pipelines.cleaning.repeated_lines import NO_LINES, line_hashes
from pipelines.cleaning.rules import BLOCK_CHARS, RULES, read_table
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.params import load_params
from pipelines.spine.schema import DOCUMENT

LOG = Path("logs/bench-cleaning-parts.json")
LANGUAGES = ("en", "zh", "ja", "uk", "vi")
#: MB/s of CPU a core: (goal, floor) of (a) and of (b).
TARGETS = {"en": ((15, 10), (7, 4)), "zh": ((7, 4), (3, 2))}
#: What rules share, each worked out when it is first asked for.
SHARED = ("lines", "paragraphs", "grams")
THE_REST = "edits, columns"


@dataclass(frozen=True)
class Sample:
    """Texts of a language, as they come and normalised, and what steps and rules are given."""

    language: str
    texts: Sequence[str]
    normalized: Sequence[str]
    blocks: Sequence[Batch]

    @property
    def codes(self) -> list[str]:
        return [self.language] * len(self.texts)

    @property
    def megabytes(self) -> float:
        return sum(len(text.encode()) for text in self.texts) / 1e6

    def documents(self) -> list[Documents]:
        """One a block; nothing is worked out in them yet."""
        return [Documents(read_table(block), block) for block in self.blocks]


def read_sample(language: str, data: Path, num_bytes: int, params: CleanParams) -> Sample:
    """The first texts of a language, about so many bytes."""
    sizes = itertools.accumulate(len(text.encode()) for text in _corpus(language, data))
    num_texts = sum(1 for _ in itertools.takewhile(lambda size: size < num_bytes, sizes)) + 1
    texts = list(itertools.islice(_corpus(language, data), num_texts))
    normalized = normalize_batch(texts, [language] * len(texts), params.normalize).texts
    return Sample(language, texts, normalized, list(_blocks(normalized, language)))


def measure_speed(sample: Sample, params: CleanParams, rounds: int) -> dict[str, float]:
    """MB/s of (a) and of (b)."""
    batches, published = _record_batches(sample), peer_params()
    seconds = {
        "a": fastest(lambda: count_kept(sample.texts, sample.language, published), rounds),
        "b": fastest(lambda: [clean(batch, params) for batch in batches], rounds),
    }
    return {name: sample.megabytes / number for name, number in seconds.items()}


def clean(documents: pa.RecordBatch, params: CleanParams) -> int:
    """How many documents stay: both halves of the stage."""
    return finish(prepare(documents, params, None).rows, NO_LINES, params, None).outcome.outputs[""].num_rows


def measure_steps(sample: Sample, params: CleanParams, rounds: int) -> dict[str, float]:
    """Step that is not a rule -> seconds."""
    tables = [read_table(block) for block in sample.blocks]
    steps: dict[str, Callable[[], object]] = {
        "normalise": lambda: normalize_batch(sample.texts, sample.codes, params.normalize),
        "personal data": lambda: mask_batch(sample.normalized, sample.codes, params.personal_data),
        "table": lambda: [read_table(block) for block in sample.blocks],
        "loops": lambda: [find_loops(table, params.rules.loops) for table in tables],
        "line hashes": lambda: [_hash_lines(one, params.rules) for one in documents],
    }
    documents = sample.documents()
    return {name: fastest(step, rounds) for name, step in steps.items()}


def measure_rules(sample: Sample, params: RuleParams, rounds: int) -> dict[str, float]:
    """Rule, or in brackets what rules share -> seconds."""
    documents = sample.documents()
    costs = {f"({name})": _first_time(sample, name, rounds) for name in SHARED}
    for name, line_rule in LINE_RULES.items():
        costs[name] = fastest(partial(_apply, line_rule, [one.table for one in documents], params), rounds)
    for name, rule in RULES.items():
        costs[name] = fastest(partial(_apply, rule, documents, params), rounds)
    return costs


def by_step(steps: Mapping[str, float], rules: Mapping[str, float], whole: float) -> dict[str, float]:
    """The cost of steps and of groups of rules, and what is left of the whole."""
    groups: Counter[str] = Counter()
    for name, cost in rules.items():
        groups[_group(name)] += cost  # type: ignore[assignment]
    known = {**steps, **groups}
    return {**known, THE_REST: whole - sum(known.values())}


def share_seen(sample: Sample, params: RuleParams) -> float:
    """Percent of the characters that the language model sees."""
    found = [_identify(block, params) for block in sample.blocks]
    return 100 * sum(int(one.seen_chars.sum()) for one in found) / sum(int(one.chars.sum()) for one in found)


def fastest(step: Callable[[], object], rounds: int) -> float:
    """CPU seconds of the fastest round."""
    seconds = []
    for _ in range(rounds):
        begin = time.process_time()
        step()
        seconds.append(time.process_time() - begin)
    return min(seconds)


def table(title: str, columns: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    """A line a row, a column a language; rows in the first column's order."""
    yield f"\n{title:32}" + "".join(f"{language:>8}" for language in columns)
    for name in next(iter(columns.values())):
        yield f"{name:32}" + "".join(f"{column[name]:8.2f}" for column in columns.values())


def targets(language: str, speed: Mapping[str, float]) -> str:
    """What is asked of the language, and whether it is reached."""
    said = []
    for name, (goal, floor) in zip("ab", TARGETS.get(language, ()), strict=False):
        reached = "goal" if speed[name] >= goal else "floor" if speed[name] >= floor else "BELOW THE FLOOR"
        said.append(f"({name}) {reached}: {goal}, {floor}")
    return "; ".join(said)


def main(argv: Sequence[str]) -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m bench.cleaning_parts", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the corpora")
    parser.add_argument("--megabytes", type=float, default=4.0, help="of text of each language")
    parser.add_argument("--rounds", type=int, default=3, help="how often each part is timed")
    parser.add_argument("--language", action="append", choices=LANGUAGES, help="only this one (may be repeated)")
    args = parser.parse_args(argv)
    params = load_params(CleanParams, "clean")
    speeds, steps, rules = {}, {}, {}
    print(
        f"MB of text a second of CPU, one core, the fastest of {args.rounds} rounds\n{'':6}{'MB':>6}{'(a)':>8}{'(b)':>8}"
    )
    for language in args.language or LANGUAGES:
        sample = read_sample(language, args.data, int(args.megabytes * 1e6), params)
        speed = speeds[language] = measure_speed(sample, params, args.rounds)
        said = targets(language, speed)
        print(f"{language:6}{sample.megabytes:6.1f}{speed['a']:8.1f}{speed['b']:8.1f}  {said}".rstrip(), flush=True)
        unit = 1e3 / sample.megabytes
        rules[language] = {n: c * unit for n, c in measure_rules(sample, params.rules, args.rounds).items()}
        alone = {n: c * unit for n, c in measure_steps(sample, params, args.rounds).items()}
        steps[language] = by_step(alone, rules[language], 1e3 / speed["b"])
        steps[language]["language model sees, % of chars"] = share_seen(sample, params.rules)
    print("\n".join([*table("ms a MB by step", steps), *table("ms a MB by rule", rules)]))
    LOG.parent.mkdir(exist_ok=True)
    LOG.write_text(json.dumps({"speed": speeds, "steps": steps, "rules": rules}, indent=1))


def _corpus(language: str, data: Path) -> Iterator[str]:
    if language == "en":
        yield from encyclopaedia(data, 1 << 25)
    elif language == "zh":
        for path in ("news/thucnews-zh-1k.jsonl.gz", "wikitext/zh-novels.jsonl.gz"):
            with gzip.open(data / path, "rt", encoding="utf-8") as lines:
                yield from (json.loads(line)["text"] for line in lines)
    else:
        dump = next(dump for dump in DUMPS if dump.name == f"{language}wiki-20230501-multistream")
        yield from filter(None, extract(OURS, dump, unpack(dump, data)).values())


def _blocks(texts: Sequence[str], language: str) -> Iterator[Batch]:
    """As the rules take them: whole texts of about `BLOCK_CHARS`."""
    first = chars = 0
    for place, text in enumerate(texts):
        chars += len(text)
        if chars >= BLOCK_CHARS or place == len(texts) - 1:
            some = texts[first : place + 1]
            yield Batch(some, [language] * len(some), ["bench"] * len(some), {})
            first, chars = place + 1, 0


def _record_batches(sample: Sample) -> list[pa.RecordBatch]:
    known = dict.fromkeys(DOCUMENT.names, "") | {"source": "bench", "language": sample.language}
    rows = [{**known, "doc_id": f"bench:{place}", "text": text} for place, text in enumerate(sample.texts)]
    return [pa.RecordBatch.from_pylist(rows[i : i + TEXTS], schema=DOCUMENT) for i in range(0, len(rows), TEXTS)]


def _first_time(sample: Sample, name: str, rounds: int) -> float:
    """Seconds to work out one of `SHARED` on documents in which nothing is."""
    seconds = []
    for _ in range(rounds):
        documents = sample.documents()
        seconds.append(fastest(partial(_work_out, documents, name), 1))
    return min(seconds)


def _work_out(documents: Sequence[Documents], name: str) -> None:
    for one in documents:
        getattr(one.repetition, name)


def _apply(rule: Callable[..., object], given: Sequence[object], params: RuleParams) -> None:
    for one in given:
        rule(one, params)


def _hash_lines(documents: Documents, params: RuleParams) -> object:
    return line_hashes(documents.table, documents.repetition, params.repeated_lines.min_words)


def _identify(block: Batch, params: RuleParams) -> Identified:
    expected = expected_languages(block.sources, block.languages, params.languages)
    return identify(block.texts, expected, params.languages)


def _group(rule: str) -> str:
    if rule in LINE_RULES:
        return "C4 line rules"
    if rule.startswith("("):
        return "repeats"
    return {"gopher": "Gopher", "c4": "C4", "fineweb": "FineWeb"}.get(family := rule.partition(".")[0], family)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except CorpusmillError as error:
        sys.exit(f"error: {error}")
