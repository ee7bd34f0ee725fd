"""datatrove's filters, run in its own environment: as a pipeline, as functions alone, and rule by rule.

    python -m bench.clean_datatrove run <folder of .jsonl> <folder for kept documents> <workers> <sentences>
    python -m bench.clean_datatrove time <texts.jsonl> <result.json> <sentences>   the CPU seconds of the filters alone
    python -m bench.clean_datatrove decide <texts.jsonl> <verdicts.jsonl>          every rule on every text by itself

datatrove splits English words with spaCy's blank pipeline, rules without a model: nothing is downloaded.
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from datatrove.data import Document
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
)
from datatrove.pipeline.formatters.ftfy import FTFYFormatter
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import JsonlWriter
from datatrove.utils.text import PUNCTUATION_SET, TERMINAL_PUNCTUATION, split_into_words

TOP = {2: 0.2, 3: 0.18, 4: 0.16}
REPEATED = {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.10}


def steps(min_num_sentences: int) -> list[Any]:
    """What ours does too: ftfy with the same settings, then the filters with the published limits.

    Citations stay, as in the paper. FineWeb's share of repeated characters is the paper's 0.1; the default here is 0.01.

    Args:
        min_num_sentences: of C4; ours has no such rule, and -1 switches it off. The default is 5.
    """
    return [
        FTFYFormatter(unescape_html=False, normalization="NFC"),
        GopherRepetitionFilter(),
        GopherQualityFilter(),
        C4QualityFilter(min_num_sentences=min_num_sentences, remove_citations=False),
        FineWebQualityFilter(char_duplicates_ratio=0.1),
    ]


def run(source: Path, target: Path, workers: int, min_num_sentences: int) -> None:
    """The pipeline, a task a file."""
    tasks = len(list(source.glob("*.jsonl")))
    pipeline = [JsonlReader(str(source)), *steps(min_num_sentences), JsonlWriter(str(target), compression=None)]
    # Its default, forkserver, leaves the workers' CPU time to a process that nobody waits for: it could not be counted.
    LocalPipelineExecutor(
        pipeline, tasks=tasks, workers=workers, logging_dir=str(target / "logs"), start_method="fork"
    ).run()


def time_functions(texts: Sequence[str], min_num_sentences: int) -> dict[str, Any]:
    """CPU seconds of formatter and filters in turn, without reading and writing, and how many texts stay."""
    formatter, *filters = steps(min_num_sentences)
    keep(formatter, filters, "Loads spaCy's rules. " * 9)
    begin = time.process_time()
    kept = sum(keep(formatter, filters, text) for text in texts)
    return {"cpu_seconds": time.process_time() - begin, "kept": kept}


def keep(formatter: Any, filters: Sequence[Any], text: str) -> bool:
    """Whether a text passes all filters, each given what the one before it left."""
    document = Document(text=formatter.format(text), id="")
    return all(one.filter(document) is True for one in filters)


def rules() -> dict[str, Callable[[str], Any]]:
    """Rule, under the name that ours has -> a filter with that rule alone; the limits are the published ones."""
    none = dict.fromkeys(("dup_line_frac", "dup_para_frac", "dup_line_char_frac", "dup_para_char_frac"))
    quality = dict.fromkeys(
        (
            *("min_doc_words", "max_doc_words", "min_avg_word_length", "max_avg_word_length", "max_symbol_word_ratio"),
            *("max_bullet_lines_ratio", "max_ellipsis_lines_ratio", "max_non_alpha_words_ratio", "min_stop_words"),
        )
    )
    fineweb = {"line_punct_thr": 0, "short_line_thr": 1, "char_duplicates_ratio": 1, "new_line_ratio": float("inf")}

    def repetition(**given: Any) -> GopherRepetitionFilter:
        return GopherRepetitionFilter(**{**none, "top_n_grams": (), "dup_n_grams": (), **given})

    def line(**given: Any) -> FineWebQualityFilter:
        return FineWebQualityFilter(**{**fineweb, **given})

    def word(**given: Any) -> GopherQualityFilter:
        return GopherQualityFilter(**{**quality, **given})

    return {
        "gopher.too_few_words": word(min_doc_words=50),
        "gopher.too_many_words": word(max_doc_words=100_000),
        "gopher.short_words": word(min_avg_word_length=3),
        "gopher.long_words": word(max_avg_word_length=10),
        "gopher.symbols": word(max_symbol_word_ratio=0.1),
        "gopher.bullet_lines": word(max_bullet_lines_ratio=0.9),
        "gopher.ellipsis_lines": word(max_ellipsis_lines_ratio=0.3),
        "gopher.few_alphabetic_words": word(max_non_alpha_words_ratio=0.8),
        "gopher.few_stop_words": word(min_stop_words=2),
        "gopher.duplicate_lines": repetition(dup_line_frac=0.3),
        "gopher.duplicate_line_chars": repetition(dup_line_char_frac=0.2),
        "gopher.duplicate_paragraphs": repetition(dup_para_frac=0.3),
        "gopher.duplicate_paragraph_chars": repetition(dup_para_char_frac=0.2),
        **{f"gopher.top_run_{n}": repetition(top_n_grams=((n, share),)) for n, share in TOP.items()},
        **{f"gopher.repeated_runs_{n}": repetition(dup_n_grams=((n, share),)) for n, share in REPEATED.items()},
        "fineweb.few_punctuated_lines": line(line_punct_thr=0.12),
        "fineweb.short_lines": line(short_line_thr=0.67),
        "fineweb.repeated_line_chars": line(char_duplicates_ratio=0.1),
        "fineweb.line_breaks": line(new_line_ratio=0.3),
        # The marks in lines that stay, as the filter has it: these two follow its rules for lines.
        "c4.curly_brackets": C4QualityFilter(min_num_sentences=-1, filter_lorem_ipsum=False),
        "c4.placeholders": C4QualityFilter(min_num_sentences=-1, filter_curly_bracket=False),
        # What ours does not have, or has with the paper's limit.
        "only.five_sentences": C4QualityFilter(filter_lorem_ipsum=False, filter_curly_bracket=False),
        "only.one_percent_repeated": line(char_duplicates_ratio=0.01),
    }


def decide(texts: Sequence[str], target: Path) -> None:
    """A header (its sets of marks), then for each text its words, the rules that drop it, and the lines that C4 keeps."""
    known = rules()
    lines = C4QualityFilter(min_num_sentences=-1, filter_lorem_ipsum=False, filter_curly_bracket=False)
    with open(target, "w", encoding="utf-8") as file:
        print(json.dumps({"punctuation": sorted(PUNCTUATION_SET), "terminal": sorted(TERMINAL_PUNCTUATION)}), file=file)
        for text in texts:
            row = {
                "words": split_into_words(text),
                # A text without a word makes it divide by zero; a filter may change the text it is given.
                "drops": [name for name, rule in known.items() if drops(rule, text)],
                # A line by itself is kept or comes out empty.
                "kept_lines": [n for n, line in enumerate(text.split("\n")) if keeps_line(lines, line)],
            }
            print(json.dumps(row), file=file)


def drops(rule: Any, text: str) -> bool:
    """Whether a filter drops the text."""
    return rule.filter(Document(text=text, id="")) is not True


def keeps_line(rule: Any, line: str) -> bool:
    """Whether C4's filter leaves something of a line."""
    document = Document(text=line, id="")
    return rule.filter(document) is True and bool(document.text)


def read_texts(path: str) -> list[str]:
    """The texts of a file of JSON lines."""
    with open(path, encoding="utf-8") as file:
        return [json.loads(line)["text"] for line in file]


def main(command: str, source: str, target: str, *numbers: str) -> None:
    """The commands above."""
    if command == "run":
        run(Path(source), Path(target), *map(int, numbers))
    elif command == "time":
        Path(target).write_text(json.dumps(time_functions(read_texts(source), *map(int, numbers))))
    else:
        decide(read_texts(source), Path(target))


if __name__ == "__main__":
    main(*sys.argv[1:])
