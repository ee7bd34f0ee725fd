"""Parameters: one section of a YAML file as a frozen dataclass, or a message that says what to write."""

from dataclasses import FrozenInstanceError, dataclass
from pathlib import Path

import pytest

from pipelines.fetch import FetchParams
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.params import load_params, to_jsonable


@dataclass(frozen=True)
class DedupParams:
    threshold: float
    num_bands: int
    exact: bool
    pattern: str


@dataclass(frozen=True)
class Limits:
    words: dict[str, int]
    percents: tuple[int, ...]
    cap: int | None


@dataclass(frozen=True)
class CleanParams:
    rules: tuple[Limits, ...]


GOOD = "dedup:\n  threshold: 0.8\n  num_bands: 20\n  exact: true\n  pattern: gpt2\n"


def write(folder: Path, text: str) -> Path:
    path = folder / "params.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def message(folder: Path, text: str, cls: type = DedupParams, section: str = "dedup") -> str:
    with pytest.raises(CorpusmillError) as caught:
        load_params(cls, section, write(folder, text))
    return str(caught.value)


def test_a_section_becomes_a_frozen_dataclass(tmp_path: Path) -> None:
    params = load_params(DedupParams, "dedup", write(tmp_path, GOOD + "clean: {}\n"))
    assert params == DedupParams(threshold=0.8, num_bands=20, exact=True, pattern="gpt2")
    with pytest.raises(FrozenInstanceError):
        params.num_bands = 3  # type: ignore[misc]


def test_a_misspelt_key_is_named_with_the_known_ones(tmp_path: Path) -> None:
    said = message(tmp_path, GOOD.replace("threshold", "treshold"))
    assert said == "params.yaml: dedup.treshold is not a parameter; known: threshold, num_bands, exact, pattern"


def test_a_missing_key_is_named_with_its_type(tmp_path: Path) -> None:
    assert message(tmp_path, GOOD.replace("  threshold: 0.8\n", "")) == (
        "params.yaml: dedup.threshold is missing\n"
        "  expected: a number\n"
        "  hint: every parameter is written in the file; there are no defaults in code"
    )


def test_yamls_text_for_6e_4_gets_a_hint(tmp_path: Path) -> None:
    assert message(tmp_path, GOOD.replace("0.8", "6e-4")) == (
        "params.yaml: dedup.threshold: wrong type\n"
        "  expected: a number\n"
        "  got: '6e-4' (str)\n"
        "  hint: YAML reads 6e-4 as text; write 6.0e-4"
    )
    assert load_params(DedupParams, "dedup", write(tmp_path, GOOD.replace("0.8", "6.0e-4"))).threshold == 0.0006


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("20", "true", "dedup.num_bands: wrong type\n  expected: a whole number\n  got: True (bool)"),
        ("20", "20.0", "dedup.num_bands: wrong type\n  expected: a whole number\n  got: 20.0 (float)"),
        ("20", '"20"', "dedup.num_bands: wrong type\n  expected: a whole number\n  got: '20' (str)"),
        ("0.8", "true", "dedup.threshold: wrong type\n  expected: a number\n  got: True (bool)"),
        ("0.8", "", "dedup.threshold: wrong type\n  expected: a number\n  got: None (NoneType)"),
        ("true", "1", "dedup.exact: wrong type\n  expected: true or false\n  got: 1 (int)"),
        ("gpt2", "2", "dedup.pattern: wrong type\n  expected: text\n  got: 2 (int)"),
    ],
)
def test_a_wrong_type_is_named_with_what_was_there(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert message(tmp_path, GOOD.replace(old, new)) == f"params.yaml: {said}"


def test_a_whole_number_is_a_number_and_underscores_group_digits(tmp_path: Path) -> None:
    params = load_params(DedupParams, "dedup", write(tmp_path, GOOD.replace("0.8", "1").replace("20", "20_000_000")))
    assert (params.threshold, type(params.threshold), params.num_bands) == (1.0, float, 20_000_000)


NESTED = "clean:\n  rules:\n  - {words: {ja: 3, default: 2}, percents: [20, 18], cap: null}\n"


def test_lists_mappings_and_none_are_built_at_any_depth(tmp_path: Path) -> None:
    params = load_params(CleanParams, "clean", write(tmp_path, NESTED))
    assert params == CleanParams(rules=(Limits(words={"ja": 3, "default": 2}, percents=(20, 18), cap=None),))
    assert to_jsonable(params) == {"rules": [{"words": {"ja": 3, "default": 2}, "percents": [20, 18], "cap": None}]}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("18", "x", "clean.rules[0].percents[1]: wrong type\n  expected: a whole number\n  got: 'x' (str)"),
        ("ja: 3", "ja: 3.5", "clean.rules[0].words.ja: wrong type\n  expected: a whole number\n  got: 3.5 (float)"),
        ("null", "many", "clean.rules[0].cap: wrong type\n  expected: a whole number\n  got: 'many' (str)"),
        ("[20, 18]", "20", "clean.rules[0].percents: wrong type\n  expected: a list\n  got: 20 (int)"),
        ("cap", "cup", "clean.rules[0].cup is not a parameter; known: words, percents, cap"),
    ],
)
def test_a_nested_fault_is_named_with_its_place(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert message(tmp_path, NESTED.replace(old, new), CleanParams, "clean") == f"params.yaml: {said}"


SOURCE = (
    "{name: ニュース, kind: text, path: a, language: ja, licence: CC0, sha256: '', columns: {}, options: {split: line}}"
)


def test_sources_are_a_list_of_dataclasses_and_a_fault_in_the_second_is_named(tmp_path: Path) -> None:
    text = f"fetch:\n  evaluation_sets: []\n  sources:\n  - {SOURCE}\n  - {SOURCE}\n"
    sources = load_params(FetchParams, "fetch", write(tmp_path, text)).sources
    assert [source.name for source in sources] == ["ニュース", "ニュース"]
    twice = f"fetch:\n  evaluation_sets: []\n  sources:\n  - {SOURCE}\n  - {SOURCE.replace('licence', 'license')}\n"
    said = message(tmp_path, twice, FetchParams, "fetch")
    assert said.startswith("params.yaml: fetch.sources[1].license is not a parameter; known: name, kind, path")


def test_a_missing_section_is_named_with_those_there_are(tmp_path: Path) -> None:
    said = message(tmp_path, "clean: {}\n1: {}\n")
    assert said == f"{tmp_path}/params.yaml: section dedup is missing; known: clean, 1"


def test_an_empty_section_and_an_empty_file_are_refused(tmp_path: Path) -> None:
    assert message(tmp_path, "dedup:\n") == (
        "params.yaml: dedup: wrong type\n  expected: a mapping\n  got: None (NoneType)"
    )
    assert message(tmp_path, "") == f"{tmp_path}/params.yaml: section dedup is missing; known: none"


def test_a_file_that_is_missing_or_no_yaml_is_one_message(tmp_path: Path) -> None:
    with pytest.raises(CorpusmillError) as caught:
        load_params(DedupParams, "dedup", tmp_path / "no.yaml")
    assert str(caught.value) == (
        f"{tmp_path}/no.yaml: no such parameter file\n  hint: give --params FILE, or run in the repository root"
    )
    said = message(tmp_path, "dedup: [1, 2\nclean: {")
    assert said.startswith(f"{tmp_path}/params.yaml: not valid YAML: while parsing")
    assert "\n" not in said
    (tmp_path / "params.yaml").write_bytes(b"dedup: \xff\xfe")
    with pytest.raises(CorpusmillError, match="not valid YAML: 'utf-8' codec can't decode byte 0xff"):
        load_params(DedupParams, "dedup", tmp_path / "params.yaml")


@dataclass(frozen=True)
class LimitParams:
    limits: dict[str, int]


def test_a_key_that_yaml_reads_as_true_or_false_is_refused(tmp_path: Path) -> None:
    said = message(tmp_path, "clean:\n  limits: {de: 3, no: 4}\n", LimitParams, "clean")
    assert said == 'params.yaml: clean.limits: wrong type\n  expected: keys in quotes: "no"\n  got: False (bool)'
    assert load_params(LimitParams, "clean", write(tmp_path, 'clean:\n  limits: {"no": 4, 1: 2}\n')).limits == {
        "no": 4, "1": 2,
    }  # fmt: skip
