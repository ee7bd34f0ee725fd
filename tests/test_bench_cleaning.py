"""The measures of ``python -m bench.cleaning`` and ``bench.cleaning_parts``, each on text written for it."""

import gzip
import json
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from bench.clean_ours import count_kept, peer_params
from bench.cleaning import Run, fastest, row, write_inputs
from bench.cleaning_agreement import compare, our_verdicts, report
from bench.cleaning_definitions import CHOICES, RULES, UNEXPLAINED, Text, causes, keeps_line
from bench.cleaning_parts import by_step, read_sample, share_seen, targets
from bench.peers import DATATROVE, DOLMA, ENVIRONMENTS, requirements
from bench.tools import Usage
from pipelines.clean import CleanParams
from pipelines.cleaning.personal.masking import KINDS
from pipelines.spine.params import load_params, to_jsonable

PUNCTUATION, TERMINAL = ".,!?'\"-•—}", ".!?"
LONG_LINE = "x x x x x"
#: Each of 20 letters: "aaa...", "bbb...".
WORDS = [letter * 20 for letter in "abcdefghijklmnopqrstuvwxyz0123456789"]
TWELVE = [*WORDS[:6], *WORDS[:6]]

#: More than fifty words that neither drops.
PROSE = """The mill stood on the bank of a river that few maps named, and its wheel had turned since the spring of 1811.
Farmers brought barley with their carts, waited in the yard to have it ground, and paid the miller in flour.
When the railway came, they sold their grain in town; soon nobody was left who knew how to dress a stone."""

#: rule, text, what spaCy makes of its words ("": the same), whether ours drops it, what makes the difference
DIFFERENCES = [
    ("gopher.too_few_words", "a " * 48 + "don't", "a " * 48 + "do n't", True, "words"),
    ("gopher.too_few_words", "a " * 49 + "-", "", False, "marks"),
    ("gopher.long_words", "abcdefghij,", "abcdefghij ,", True, "words"),
    ("gopher.symbols", "# a b c d e f g h.", "# a b c d e f g h .", True, "words"),
    ("gopher.bullet_lines", "* a\n* b", "", True, "bullets"),
    ("gopher.ellipsis_lines", "a...\n\n\nb", "", True, "blank lines"),
    ("gopher.few_alphabetic_words", "a b c — — d", "", False, "dashes"),
    ("gopher.few_alphabetic_words", "a, b, c", "a , b , c", False, "words"),
    ("gopher.few_stop_words", "of the,", "of the ,", True, "words"),
    ("gopher.duplicate_lines", "a b\n a b\nc", "", True, "spacing"),
    ("gopher.duplicate_line_chars", f"{LONG_LINE}\n{LONG_LINE}\n{'y' * 20}", "", False, "characters"),
    ("gopher.duplicate_paragraphs", "a b\n\na  b\n\nc", "", True, "spacing"),
    ("gopher.top_run_2", "abcdefgh ijklmnop q", "", False, "single"),
    ("gopher.repeated_runs_5", " ".join([*TWELVE, *WORDS[6:30]]), "", True, "jumps"),
    ("c4.curly_brackets", "Here } ends a line.", "", True, "closing bracket"),
    ("c4.placeholders", "This is lorem ipsum...", "", True, "three dots"),
    ("fineweb.few_punctuated_lines", "She said “yes”", "", False, "end marks"),
    ("fineweb.short_lines", "a" * 30, "", False, "limits"),
    ("fineweb.short_lines", f"  {'a' * 29}", "", True, "spacing"),
    ("fineweb.repeated_line_chars", f"{LONG_LINE}\n{LONG_LINE}\n{'y' * 60}", "", False, "characters"),
    ("fineweb.line_breaks", "a b c d\n\n\ne f g h", "", False, "blank lines"),
]


def known(content: str, spacy_words: str = "") -> Text:
    return Text(content, (spacy_words or content).split(), frozenset(PUNCTUATION), frozenset(TERMINAL))


@pytest.mark.parametrize(("rule", "content", "spacy_words", "ours", "cause"), DIFFERENCES)
def test_the_choice_that_turns_our_decision_is_named(
    rule: str, content: str, spacy_words: str, ours: bool, cause: str
) -> None:
    text, (drops, choices) = known(content, spacy_words), RULES[rule]
    assert causes(lambda theirs: drops(text, theirs), choices, ours) == cause
    assert drops(text, choices) is not ours


@pytest.mark.parametrize(
    ("rule", "content", "ours"), [(rule, content, ours) for rule, content, _, ours, _ in DIFFERENCES]
)
def test_with_no_choice_made_otherwise_the_plain_reading_is_our_rule(rule: str, content: str, ours: bool) -> None:
    assert our_verdicts([content])[0][rule].tolist() == [ours]
    assert RULES[rule].drops(known(content), ()) is ours


def test_every_choice_is_described_and_made_by_some_rule() -> None:
    assert {choice for rule in RULES.values() for choice in rule.choices} == set(CHOICES)


def test_two_choices_that_only_together_turn_a_decision_are_both_named() -> None:
    assert (
        causes(lambda theirs: {"words", "marks"} <= set(theirs), ("words", "jumps", "marks"), False) == "words + marks"
    )


def test_what_no_choice_turns_is_not_explained() -> None:
    assert causes(lambda _: True, ("words",), True) == UNEXPLAINED
    assert causes(lambda theirs: "words" in theirs, ("words",), True) == UNEXPLAINED


@pytest.mark.parametrize(
    ("line", "theirs", "kept"),
    [
        ("One two three.", (), True),
        ("One two.", (), False),
        ("One two three", (), False),
        ("One “two three”", (), True),
        ("One “two three”", ("end marks",), False),
        ("One two three...", (), True),
        ("One two three...", ("three dots",), False),
        ("One two three.[1]", (), False),
        ("One two three.[1]", ("citations",), True),
        (f"One two {'a' * 1001}.", ("long words",), False),
        ("We use cookies here.", (), False),
        ("Please enable JavaScript now.", (), False),
    ],
)
def test_a_line_is_kept_by_c4s_rules_under_some_choices(line: str, theirs: tuple[str, ...], kept: bool) -> None:
    assert keeps_line(line, theirs) is kept


def verdict(text: str, drops: list[str], kept_lines: list[int]) -> dict[str, Any]:
    return {"words": text.split(), "drops": drops, "kept_lines": kept_lines}


HEADER = {"punctuation": sorted(PUNCTUATION), "terminal": sorted(TERMINAL)}


def test_equal_and_different_decisions_are_counted_by_filter_rule_and_cause() -> None:
    theirs = [HEADER, verdict(PROSE, [], [0, 1, 2]), verdict(PROSE, ["only.five_sentences"], [1])]
    agreement = compare([("news", PROSE), ("posts", PROSE)], theirs)
    assert agreement.texts == Counter(news=1, posts=1)
    assert (agreement.ours.total(), agreement.theirs.total()) == (0, 0)
    filters = ("Gopher repetition", "Gopher quality", "C4 (documents)", "FineWeb", "all")
    assert agreement.equal_texts == dict.fromkeys(filters, 2)
    assert (agreement.lines, agreement.equal_lines, agreement.line_causes) == (6, 4, {UNEXPLAINED: 2})
    assert agreement.only_theirs == {"only.five_sentences": 1}
    assert json.loads(json.dumps(to_jsonable(agreement)))["line_causes"] == {UNEXPLAINED: 2}


def test_the_report_says_how_many_decisions_are_equal_and_why_the_others_are_not() -> None:
    content = "a " * 48 + "don't"
    spacy_words = content.replace("don't", "do n't").split()
    dropped = ["gopher.few_stop_words", "fineweb.few_punctuated_lines"]
    theirs = {**verdict(content, dropped, []), "words": spacy_words}
    lines = list(report(compare([("news", content)], [HEADER, theirs])))
    rows = [line.split() for line in lines]
    assert "equal decisions with datatrove: 1 texts (1 news)" in lines
    assert ["gopher.too_few_words", "1", "0", "1", "words", "1"] in rows
    assert ["FineWeb", "1", "1", "100.00%"] in rows


def test_speed_is_told_with_its_ratios_and_whether_the_goal_is_reached() -> None:
    ours = Run("ours", 2, 96.0, 8.0, 12.0)
    assert row(ours, ours).split() == ["process", "ours", "2", "96.0", "8.0", "12.0", "12.000", "8.000"]
    peer = row(Run(DATATROVE, 2, 2.0, 10.0, 20.0), ours)
    assert peer.split()[:8] == ["process", "datatrove", "2", "2.0", "10.0", "20.0", "0.200", "0.100"]
    assert peer.endswith("  60 x by the clock, 80 x by CPU (floor)")


@pytest.mark.parametrize(
    ("tool", "cpu_seconds", "said"),
    [
        (DATATROVE, 100.0, "100 x (goal)"),
        (DATATROVE, 50.0, "50 x (floor)"),
        (DATATROVE, 49.0, "49 x (BELOW THE FLOOR)"),
        (DOLMA, 20.0, "20 x (goal)"),
        (DOLMA, 10.0, "10 x (floor)"),
        ("datatrove, sentences", 100.0, "100 x (goal)"),
    ],
)
def test_functions_alone_are_compared_by_cpu(tool: str, cpu_seconds: float, said: str) -> None:
    assert row(Run(tool, 0, 1.0, 0.0, cpu_seconds), Run("ours", 0, 1.0, 0.0, 1.0)).endswith(f"  {said}")


def test_tools_take_turns_and_the_fastest_run_counts() -> None:
    turns = []

    def run(tool: str) -> Usage:
        turns.append(tool)
        return Usage(1.0, 10.0 - len(turns), 0)

    assert fastest(("a", "b"), 2, run) == {"a": Usage(1.0, 7.0, 0), "b": Usage(1.0, 6.0, 0)}
    assert turns == ["a", "b", "a", "b"]


def test_each_tool_reads_the_same_texts_as_often_as_asked(tmp_path: Path) -> None:
    write_inputs(tmp_path, ["One.", "Zwei.", "三。"], {"ours": 2, DATATROVE: 1, DOLMA: 3})
    ours = [pq.read_table(path) for path in sorted((tmp_path / "ours/documents").glob("*.parquet"))]
    assert [table.column("text").to_pylist() for table in ours] == [["One.", "三。"] * 2, ["Zwei."] * 2]
    ids = [doc_id for table in ours for doc_id in table.column("doc_id").to_pylist()]
    assert len(set(ids)) == 6
    plain = (tmp_path / DATATROVE / "documents/part-0.jsonl").read_text().splitlines()
    assert [json.loads(line)["text"] for line in plain] == ["One.", "三。"]
    with gzip.open(tmp_path / DOLMA / "documents/part-1.jsonl.gz", "rt") as packed:
        assert [json.loads(line)["text"] for line in packed] == ["Zwei."] * 3


def test_the_stage_is_measured_with_every_published_rule_and_nothing_that_the_peers_do_not_do(tmp_path: Path) -> None:
    write_inputs(tmp_path, ["One."], {"ours": 1, DATATROVE: 1, DOLMA: 1})
    params = load_params(CleanParams, "clean", tmp_path / "params.yaml")
    assert params == peer_params()
    assert params.rules.skip == ("language.other", "quality.low_score", "repetition.loops")
    assert (params.rules.loops.action, params.rules.repeated_lines.max_documents) == ("keep", 0)
    assert {params.personal_data.kind(kind).action for kind in KINDS} == {"keep"}
    assert yaml.safe_load((tmp_path / "params.yaml").read_text())["pack"]


def test_functions_alone_count_the_texts_that_stay() -> None:
    assert count_kept([PROSE, "Too short.", PROSE], "en", peer_params()) == 2


def test_what_is_left_of_the_whole_is_told_beside_steps_and_groups_of_rules() -> None:
    rules = {
        "(grams)": 4.0,
        "gopher.top_run_2": 1.0,
        "gopher.hash_signs": 0.5,
        "c4.short_line": 0.25,
        "language.other": 2.0,
    }
    assert by_step({"normalise": 3.0}, rules, 12.0) == {
        "normalise": 3.0,
        "repeats": 4.0,
        "Gopher": 1.5,
        "C4 line rules": 0.25,
        "language": 2.0,
        "edits, columns": 1.25,
    }


def test_targets_are_named_for_the_languages_that_have_them() -> None:
    assert targets("en", {"a": 15.0, "b": 4.5}) == "(a) goal: 15, 10; (b) floor: 7, 4"
    assert targets("zh", {"a": 3.9, "b": 3.0}) == "(a) BELOW THE FLOOR: 7, 4; (b) goal: 3, 2"
    assert targets("uk", {"a": 1.0, "b": 1.0}) == ""


def test_a_sample_ends_with_the_text_that_fills_it(shared_data: Path) -> None:
    params = load_params(CleanParams, "clean")
    sample = read_sample("zh", shared_data, 20_000, params)
    sizes = [len(text.encode()) for text in sample.texts]
    assert sum(sizes[:-1]) < 20_000 <= sum(sizes)
    assert sum(len(block.texts) for block in sample.blocks) == len(sample.texts)
    assert 0 < share_seen(sample, params.rules) <= 100


@pytest.mark.parametrize("peer", [DATATROVE, DOLMA])
def test_all_that_a_peer_needs_is_pinned(peer: str) -> None:
    pins = requirements(peer)
    assert all(pin.count("==") == 1 for pin in pins)
    assert {DATATROVE: "datatrove==0.10.1", DOLMA: "dolma==1.2.1"}[peer] in pins


def test_datatrove_decides_rule_by_rule(tmp_path: Path) -> None:
    python = ENVIRONMENTS / DATATROVE / "bin" / "python"
    if not python.exists():
        pytest.skip("datatrove is not set up: `python -m bench.cleaning` does it")
    content = "Don't use cookies here.\nThe end of it is near."
    (tmp_path / "texts.jsonl").write_text(json.dumps({"text": content}) + "\n")
    script = ["-m", "bench.clean_datatrove", "decide", str(tmp_path / "texts.jsonl"), str(tmp_path / "verdicts.jsonl")]
    subprocess.run([str(python.absolute()), *script], check=True, capture_output=True, cwd=Path(__file__).parents[1])
    header, found = (json.loads(line) for line in (tmp_path / "verdicts.jsonl").read_text().splitlines())
    assert set(".!?") <= set(header["terminal"])
    assert found == {
        "words": ["Do", "n't", "use", "cookies", "here", ".", "The", "end", "of", "it", "is", "near", "."],
        "drops": [
            "gopher.too_few_words",
            "gopher.few_stop_words",  # The is not the
            "gopher.top_run_3",  # runs that stand once count
            "gopher.top_run_4",
            "fineweb.short_lines",
            "only.five_sentences",
        ],
        "kept_lines": [1],
    }
