"""The flow of the corpus stages as commands, on Dataflow's stand-in or here, over a corpus that gives each of them work."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml
from corpora import words, write_documents
from test_decontaminate import fetched, one_set
from warm_runs import PipelineRuns

from pipelines.spine import storage
from pipelines.spine.manifest import read_manifest

ROOT = Path(__file__).resolve().parents[1]
STAGES = ("extract", "clean", "dedup", "decontaminate", "shard", "count", "learn", "pack")
SUBMITTED = tuple(stage for stage in STAGES if stage != "learn")  # which needs no Beam
BOILERPLATE = "This line stands in every text of the source, and so it goes away."
#: The repository's parameters, but for what a small corpus needs to give every step something to do.
CHANGED = {
    "vocab_size": 300, "more_sizes": "[]", "min_unit_mb": 0, "max_units_per_file": 1, "max_documents": 20,
    "val_per_10000": 2000, "test_per_10000": 2000, "bands_per_round": 10, "seq_len": 32, "positive": "[made]",
    "negative": "[poor]",
}  # fmt: skip


class LaunchRuns(PipelineRuns):
    """Commands that have Beam's client for Dataflow from the start."""

    modules = (*PipelineRuns.modules, "pipelines.decontaminate", "apache_beam.runners.dataflow.dataflow_runner",
               "google.cloud.storage")  # fmt: skip


def write_workspace(folder: Path, *outputs: Path) -> None:
    """Raw files, parameters and an evaluation set below the folder; its texts in the cache of each folder of outputs."""
    (folder / "raw").mkdir(parents=True)
    for part in range(3):
        lines = [json.dumps({"id": f"{part}-{index}", "text": text_of(part, index)}) for index in range(14)]
        (folder / "raw" / f"{part}.jsonl").write_text("\n".join(lines) + "\n")
    text = (ROOT / "params.yaml").read_text()
    for name, value in CHANGED.items():
        text = re.sub(rf"^(\s*){name}: [^#\n]+", rf"\g<1>{name}: {value} ", text, flags=re.MULTILINE)
    (folder / "params.yaml").write_text(text)
    poor = [(f"{index}", f"buy now {index} " * 20) for index in range(20)]
    write_documents(folder / "poor.parquet", poor, "poor")
    shutil.copyfile(ROOT / "versions.yaml", folder / "versions.yaml")
    copied = " ".join(words(205, 20))  # stands in one of the texts
    (folder / "quiz.jsonl").write_text(json.dumps({"question": copied, "answer": "yes"}) + "\n")
    fetched(folder, one_set(folder / "quiz.jsonl"))
    for output in outputs:
        shutil.copytree(folder / "cache" / "raw", output / "cache" / "raw")


def text_of(part: int, index: int) -> str:
    """Number 0 is the same in every file, number 1 differs in a word, the others differ; all share a line."""
    found = words(100 * part * (index > 1) + index, 60)
    if index == 1:
        found[30] = f"word{part}"
    return (
        f"The {' '.join(found)} and that is what there is to say, with all the rest that was to be said.\n{BOILERPLATE}"
    )


def command(stage: str, workspace: Path, output: Path) -> list[str]:
    """Module and arguments of a stage that reads and writes below ``output``."""
    before = {"extract": workspace / "raw", "quality": output / "extract", "clean": output / "extract",
              "dedup": output / "clean", "decontaminate": output / "clean", "shard": output / "clean",
              "count": output / "shard",
              "learn": output / "count", "pack": output / "shard"}  # fmt: skip
    options = {
        "quality": ["--input", str(output / "extract"), str(workspace / "poor.parquet")],  # the last --input counts
        "extract": ["--kind", "jsonl", "--source", "made", "--language", "en"],
        "decontaminate": ["--sets", str(workspace / "fetch" / "evaluation.json")],
        "shard": ["--drops", str(output / "dedup"), "--contaminated", str(output / "decontaminate")],
        "pack": ["--tokenizer", str(output / "learn" / "tokenizer.json")],
    }
    module = "tokenizer.learn" if stage == "learn" else f"pipelines.{stage}"
    given = ["--input", str(before[stage]), "--output", str(output / stage)]
    where = ["--params", str(workspace / "params.yaml"), "--cache", str(output / "cache")]
    return [module, *given, *where, *options.get(stage, [])]


def write_runner_file(path: Path, endpoint: str, bucket: str, **changes: Any) -> Path:
    """A runner file as a person would fill it in, for the service at ``endpoint``; a change to None leaves one out."""
    options = {
        "runner": "DataflowRunner", "project": "my-project", "region": "europe-west1", "no_auth": True,
        "dataflow_endpoint": endpoint, "temp_location": f"{bucket}/tmp", "staging_location": f"{bucket}/staging",
        "sdk_container_image": "europe-docker.pkg.dev/my-project/corpusmill/worker:0.1.0",
        "sdk_location": "container", "service_account_email": "workers@my-project.iam.gserviceaccount.com",
        "no_use_public_ips": True, "subnetwork": "regions/europe-west1/subnetworks/default",
        "machine_type": "n2-standard-4", "num_workers": 2, "max_num_workers": 16, "disk_size_gb": 50,
        "autoscaling_algorithm": "THROUGHPUT_BASED", "number_of_worker_harness_threads": 1,
        "labels": ["application=corpusmill", "team=words"],
    }  # fmt: skip
    path.write_text(yaml.safe_dump({**options, **changes}, sort_keys=False))
    return path


def start(arguments: list[str], folder: Path, environment: dict[str, str]) -> subprocess.Popen[str]:
    """``python -m <stage> ...`` as a process of its own, in ``folder``."""
    return subprocess.Popen(
        [sys.executable, "-m", *arguments], cwd=folder, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def same_texts(here: Path, there: Path) -> None:
    """The manifest, the ledger and whatever else lies in a stage's folder there is equal to what lies here."""
    texts = sorted(path.relative_to(there) for path in there.rglob("*") if path.is_file())
    names = [name for name in texts if str(name) not in ("lineage.json", "places.json")]
    assert {Path("manifest.json"), Path("ledger.json")} <= set(names)
    assert [(there / name).read_bytes() for name in names] == [(here / name).read_bytes() for name in names]


def same_shards(here: Path, there: Path, prefix: str) -> None:
    """What workers left under the root, shards and evidence, is byte for byte what lies here."""
    assert read_manifest(there).shards
    places = json.loads((there / "places.json").read_text())
    assert {shard.name for shard in read_manifest(there).shards} <= set(places)
    for name, place in places.items():
        assert place.startswith(prefix)
        assert storage.read_bytes(place) == (here / name).read_bytes(), name
    held = {path.relative_to(here).as_posix() for path in here.rglob("*") if path.suffix in (".parquet", ".arrow")}
    assert held == set(places)
