"""What datatrove and text-dedup drop of the same documents: each tool by its own command, in its own environment."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from bench.peers import DATATROVE, TEXT_DEDUP, pinned_python
from bench.tools import Usage, run_alone

FILES = 2  # of the documents, so that two workers have something to do


def write_json_lines(folder: Path, texts: Sequence[str]) -> None:
    """The documents as the peers read them, in the order of their numbers; the id is the number."""
    folder.mkdir(parents=True)
    size = -(-len(texts) // FILES)
    for file in range(FILES):
        with open(folder / f"part-{file}.jsonl", "w", encoding="utf-8") as target:
            for number in range(file * size, min((file + 1) * size, len(texts))):
                target.write(json.dumps({"id": str(number), "text": texts[number]}, ensure_ascii=False) + "\n")


def run_datatrove(documents: Path, scratch: Path, language: str, workers: int = 1) -> Usage:
    """Its four steps on a folder of JSON lines."""
    places = [str(documents), str(scratch), str(workers), language]
    return run_alone([str(pinned_python(DATATROVE)), "-m", "bench.duplicates_datatrove", *places], workers)


def run_text_dedup(documents: Path, scratch: Path, threshold: float) -> Usage:
    """Its ``minhash`` command: our threshold, apart from that its defaults (250 permutations, word 5-grams).

    Words are runs of ``\\w``: a Chinese sentence is one.
    """
    files = ["--path", "json", "--data_files", f"{documents}/*.jsonl", "--split", "train"]
    places = ["--output", str(scratch / "kept"), "--cache_dir", str(scratch / "cache"), "--num_proc", "1"]
    options = ["--column", "text", "--threshold", str(threshold)]
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(scratch / "home")}
    command = [str(pinned_python(TEXT_DEDUP)), "-m", "text_dedup.minhash", *files, *places, *options]
    return run_alone(command, 1, offline)


def kept_by_datatrove(scratch: Path) -> set[int]:
    """The numbers of the documents that it kept."""
    texts = [path.read_text(encoding="utf-8") for path in (scratch / "kept").glob("*.jsonl")]
    return {int(json.loads(line)["id"]) for text in texts for line in text.split("\n") if line}


def kept_by_text_dedup(scratch: Path) -> set[int]:
    """The numbers of the documents that it kept."""
    return {int(name) for path in (scratch / "kept").glob("data-*.arrow") for name in _ids(path)}


def _ids(path: Path) -> Iterator[str]:
    with pa.memory_map(str(path)) as file:
        for batch in pa.ipc.open_stream(file):
            yield from map(str, batch.column("id").to_pylist())
