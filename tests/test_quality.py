"""The stage `quality`: sources in -> model, metrics and words out; the same bytes however the sources are cut."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from corpora import digests, words, write_documents, write_params

from pipelines import quality
from pipelines.classifying.examples import draw_keys
from pipelines.cleaning.hashing import mix64
from pipelines.cleaning.quality_model import FeatureSettings, QualityModel
from pipelines.cleaning.text_table import TextTable
from pipelines.spine.errors import CorpusmillError

PARAMS = {
    "positive": ["good"],
    "negative": ["bad"],
    "documents_per_class": 1000,
    "documents_per_other_source": 100,
    "held_out_per_1000": 250,
    "features": {"max_chars": 3000, "max_count": 3, "num_bits": 14},
    "epochs": 3,
    "learning_rate": 8,
    "words_shown": 3,
}
OFF = {**PARAMS, "positive": [], "negative": []}

Texts = list[tuple[str, str]]


def texts_of(name: str, number: int, share: int = 24) -> Texts:
    """(key, text) of a source: one word in so many is one of ten of its own, the others are common to all."""
    common, own = words(1, 200), [f"{name}{n}" for n in range(10)]
    texts = []
    for place in range(number):
        digest = hashlib.sha512(f"{name} {place}".encode()).digest()
        texts.append((str(place), " ".join(own[n % 10] if n % share == 0 else common[n % 200] for n in digest)))
    return texts


def run(folder: Path, out: str = "out", **changes: object) -> Path:
    params = write_params(folder / f"{out}.yaml", quality={**PARAMS, **changes})
    output, cache = folder / out, folder / f"cache-{out}"
    quality.main(
        ["--params", str(params), "--input", str(folder / "in"), "--output", str(output), "--cache", str(cache)]
    )
    return output


def write_sources(folder: Path, **sources: Texts) -> None:
    for name, rows in sources.items():
        write_documents(folder / "in" / f"{name}.parquet", rows, source=name)


def read(output: Path, name: str) -> dict:
    return json.loads((output / name).read_text())


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two classes of 120 texts and a third source, and what the stage made of them in ``out``."""
    folder = tmp_path_factory.mktemp("quality")
    write_sources(folder, good=texts_of("good", 120), bad=texts_of("bad", 120), other=texts_of("good", 40, share=60))
    run(folder)
    return folder


def test_two_classes_are_told_apart(three: Path) -> None:
    metrics = read(three / "out", "metrics.json")
    below = {name: source.pop("percent_below") for name, source in metrics["sources"].items()}
    assert metrics == {
        "model": "on",
        "languages": ["en"],
        "train": {"positive": 94, "negative": 89},
        "held_out": {"positive": 26, "negative": 31},
        # 24 of 26 good ones and 26 of 31 bad ones lie on their side of 500.
        "accuracy": 0.8809,
        "precision": 0.8513,
        "recall": 0.9231,
        "roc_auc": 0.9479,
        "sources": {"good": {"scored": 26}, "bad": {"scored": 31}, "other": {"scored": 40}},
    }
    assert [below[name]["100"] for name in ("good", "bad", "other")] == [0.0, 29.03, 0.0]
    assert [below[name]["500"] for name in ("good", "bad", "other")] == [7.69, 83.87, 5.0]
    assert [below[name]["900"] for name in ("good", "bad", "other")] == [53.85, 100.0, 60.0]
    ledger = read(three / "out", "ledger.json")
    assert (ledger["in"], ledger["out"], ledger["reasons"]) == (280, {"held_out": 57, "scored": 40, "train": 183}, {})


def test_the_published_model_scores_texts_without_further_settings(three: Path) -> None:
    model = QualityModel.load(str(three / "out" / "model.arrow"))
    assert (model.settings, model.languages) == (FeatureSettings(3000, 3, 14), ("en",))
    texts = ["good1 good2", "bad3 bad4", "never seen", ""]
    assert model.scores(TextTable.read(texts, ["en"] * 4)).tolist() == [984, 4, 484, 500]
    manifest = read(three / "out", "manifest.json")
    assert [(shard["name"], shard["rows"]) for shard in manifest["shards"]] == [("model.arrow", 1 << 14)]


def test_the_words_behind_the_strongest_weights_are_told(three: Path) -> None:
    found = read(three / "out", "words.json")
    shown = {name: [entry["words"][0][0] for entry in entries] for name, entries in found.items()}
    assert shown == {"positive": ["good0", "good6", "good2"], "negative": ["bad0", "bad4", "bad2"]}
    assert all(entry["weight"] > 0 for entry in found["positive"])
    assert all(entry["weight"] < 0 for entry in found["negative"])


def test_bytes_do_not_depend_on_files_units_or_workers(three: Path, tmp_path: Path, monkeypatch) -> None:
    good, bad = texts_of("good", 120), texts_of("bad", 120)
    for name, rows in (("a", good[70:]), ("b", good[:70]), ("z", bad[::-2]), ("y", bad[-2::-2])):
        write_documents(tmp_path / "in" / f"{name}.parquet", rows[::-1], source="good" if name in "ab" else "bad")
    write_documents(tmp_path / "in" / "o.parquet", texts_of("good", 40, share=60), source="other")
    monkeypatch.setenv("CORPUSMILL_WORKERS", "2")
    assert digests(run(tmp_path)) == digests(three / "out")


def test_held_out_texts_do_not_train(three: Path, tmp_path: Path) -> None:
    sources = {name: texts_of(name, 120) for name in ("good", "bad")}
    for rows in sources.values():
        held = mix64(draw_keys([text for _, text in rows])) % 1000 < 250
        assert 15 < held.sum() < 45
        rows[:] = [row for row, out in zip(rows, held.tolist(), strict=True) if not out]
    write_sources(tmp_path, **sources)
    output = run(tmp_path)
    assert (output / "model.arrow").read_bytes() == (three / "out" / "model.arrow").read_bytes()
    metrics = read(output, "metrics.json")
    assert (metrics["held_out"], "accuracy" in metrics) == ({"positive": 0, "negative": 0}, False)


def test_off_by_default_nothing_is_read_and_no_model_is_published(tmp_path: Path) -> None:
    params = write_params(tmp_path / "off.yaml", quality=OFF)
    options = f"['--params', {str(params)!r}, '--input', {str(tmp_path / 'nowhere')!r}, '--output', 'out']"
    command = f"import sys; from pipelines import quality; quality.main({options}); print('apache_beam' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", command], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
    output = tmp_path / "out"
    assert sorted(path.name for path in output.iterdir()) == [
        "ledger.json", "lineage.json", "manifest.json", "metrics.json",
    ]  # fmt: skip
    assert (read(output, "manifest.json")["shards"], read(output, "metrics.json")) == ([], {"model": "off"})
    assert (read(output, "ledger.json")["in"], read(output, "ledger.json")["out"]) == (0, {})


def test_a_model_that_is_switched_off_again_is_taken_away(tmp_path: Path) -> None:
    write_sources(tmp_path, good=texts_of("good", 20), bad=texts_of("bad", 20))
    run(tmp_path)
    output = run(tmp_path, positive=[], negative=[])
    assert not (output / "model.arrow").exists()
    assert not (output / "words.json").exists()


def test_every_document_is_accounted_for(tmp_path: Path) -> None:
    good, bad = texts_of("good", 30), texts_of("bad", 30)
    twice = [("again", good[0][1]), ("once more", good[0][1])]
    both = [("x", "the same text in both"), ("y", "another one in both")]
    empty = [("e", ""), ("f", " \n\u3000")]
    write_sources(tmp_path, good=[*good, *twice, *both, *empty], bad=[*bad, *both, ("yy", both[1][1])])
    write_documents(tmp_path / "in" / "more.parquet", [*good[5:7]], source="good")
    ledger = read(run(tmp_path), "ledger.json")
    assert ledger["in"] == 36 + 33 + 2
    # Empty twice in different white space; 2 + 1 + 2 copies; two texts in either class.
    assert ledger["reasons"] == {"in_both_classes": 4, "repeated": 5, "without_words": 2}
    assert sum(ledger["out"].values()) == 60


def test_of_more_documents_than_asked_for_about_so_many_are_drawn(tmp_path: Path) -> None:
    write_sources(tmp_path, good=texts_of("good", 300), bad=texts_of("bad", 30), other=texts_of("other", 200))
    output = run(tmp_path, documents_per_class=60, documents_per_other_source=50)
    metrics, ledger = read(output, "metrics.json"), read(output, "ledger.json")
    drawn = {name: metrics["train"][name] + metrics["held_out"][name] for name in ("positive", "negative")}
    assert drawn == {"positive": 59, "negative": 30}
    assert (ledger["out"]["scored"], ledger["reasons"]) == (55, {"not_drawn": 386})


def test_sources_without_documents_and_sources_that_nobody_asked_about_do_no_harm(three: Path, tmp_path: Path) -> None:
    write_sources(tmp_path, good=texts_of("good", 120), bad=texts_of("bad", 120), other=texts_of("other", 20))
    write_documents(tmp_path / "in" / "empty.parquet", [])
    output = run(tmp_path, documents_per_other_source=0)
    assert (output / "model.arrow").read_bytes() == (three / "out" / "model.arrow").read_bytes()
    assert read(output, "ledger.json")["reasons"] == {"not_drawn": 20}


def test_chinese_without_spaces_is_learned(tmp_path: Path) -> None:
    for source, topic in (("good", "本章介绍数学中的基本概念"), ("bad", "点击下载最新版本免费领取")):
        rows = [(str(n), "".join(topic[(n * k) % 12] for k in range(1, 9)) + f"第{n}号。") for n in range(60)]
        write_documents(tmp_path / "in" / f"{source}.parquet", rows, source=source, language="zh-Hans")
    output = run(tmp_path)
    model = QualityModel.load(str(output / "model.arrow"))
    table = TextTable.read(["数学概念介绍", "免费下载", "数学", "数学"], ["zh", "zh", "en", ""])
    assert model.scores(table).tolist() == [957, 28, 970, 970]
    assert model.judges(table).tolist() == [True, True, False, False]


def test_a_huge_document_costs_no_more_than_its_beginning(tmp_path: Path) -> None:
    book = " ".join(text for _, text in texts_of("good", 120)) * 40
    assert len(book) > 1_000_000
    write_sources(
        tmp_path, good=[*texts_of("good", 20), ("book", book)], bad=[*texts_of("bad", 20), ("x", "x" * 10**6)]
    )
    metrics = read(run(tmp_path), "metrics.json")
    assert {name: metrics["train"][name] + metrics["held_out"][name] for name in metrics["train"]} == {
        "positive": 21, "negative": 21,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "where", "message"),
    [
        ({"negative": []}, "quality.negative", "sources of one class alone"),
        ({"positive": []}, "quality.positive", "sources of one class alone"),
        ({"negative": ["bad", "good"]}, "params.yaml: quality", "good is in both classes"),
        ({"positive": ["god"]}, "quality.positive", "no source god in the input; known: bad, blank, good"),
        ({"negative": ["blank"]}, "quality.negative", "no negative text to learn from"),
        ({"epochs": 0}, "quality.epochs", "out of range"),
        ({"held_out_per_1000": 1000}, "quality.held_out_per_1000", "out of range"),
        ({"features": {"max_chars": 3000, "max_count": 3, "num_bits": 30}}, "features.num_bits", "out of range"),
    ],
)
def test_what_cannot_be_learned_from_is_said(tmp_path: Path, changes: dict, where: str, message: str) -> None:
    write_sources(tmp_path, good=texts_of("good", 10), bad=texts_of("bad", 10), blank=[("1", ""), ("2", " ")])
    with pytest.raises(CorpusmillError) as error:
        run(tmp_path, **changes)
    assert message in error.value.message
    assert where in error.value.where
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_two_classes_of_the_same_texts_are_an_error(tmp_path: Path) -> None:
    write_sources(tmp_path, good=texts_of("good", 10), bad=texts_of("good", 10))
    with pytest.raises(CorpusmillError, match="no positive text to learn from") as error:
        run(tmp_path)
    assert error.value.got == "0 texts held out, 10 of both classes"


@pytest.mark.parametrize("content", [None, b"", b"not arrow", "a model of other size"], ids=str)
def test_a_file_that_is_no_model_is_an_error_with_a_hint(
    tmp_path: Path, three: Path, content: bytes | str | None
) -> None:
    path = tmp_path / "model.arrow"
    if content == "a model of other size":
        path.write_bytes((three / "out" / "model.arrow").read_bytes().replace(b'"num_bits": 14', b'"num_bits": 15'))
    elif isinstance(content, bytes):
        path.write_bytes(content)
    with pytest.raises(CorpusmillError, match="quality model") as error:
        QualityModel.load(str(path))
    assert "dvc repro quality" in error.value.hint


def test_a_model_that_was_trained_again_is_read_again(tmp_path: Path) -> None:
    write_sources(tmp_path, good=texts_of("good", 20), bad=texts_of("bad", 20))
    path = str(run(tmp_path) / "model.arrow")
    first = QualityModel.load(path)
    assert QualityModel.load(path) is first
    run(tmp_path, learning_rate=1)
    assert QualityModel.load(path).weights.tolist() != first.weights.tolist()
