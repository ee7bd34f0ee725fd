"""Stages, parameter sections, modules, imports, versions and dependencies agree: dvc.yaml is held to the code."""

import importlib
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from pipelines.spine import lineage

ROOT = Path(__file__).resolve().parents[1]
DVC_FILE = yaml.safe_load((ROOT / "dvc.yaml").read_text())
DVC = DVC_FILE["stages"]
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text())
#: The flow in its order: stage -> module. DESIGN.md's table.
MODULES = {
    "fetch": "pipelines.fetch",
    "extract": "pipelines.extract",
    "quality": "pipelines.quality",
    "clean": "pipelines.clean",
    "dedup": "pipelines.dedup",
    "decontaminate": "pipelines.decontaminate",
    "shard": "pipelines.shard",
    "count": "pipelines.count",
    "learn": "tokenizer.learn",
    "measure": "tokenizer.measure",
    "pack": "pipelines.pack",
    "pretrain": "train.pretrain",
    "evaluate": "train.evaluate",
    "export": "train.export",
    "report": "pipelines.report",
}


#: Outputs that stages depend on by themselves, since the manifest beside them says nothing of them.
BESIDE_MANIFESTS = {
    "data/pack/languages.json",
    "data/fetch/evaluation.json",
    "data/decontaminate/sets.json",
    "data/learn/sizes.json",
}


def module_paths(module: str) -> set[str]:
    """The repository's files that a module imports; the spine counts as one folder."""
    paths = {path.relative_to(ROOT).as_posix() for path in lineage.module_files(module).values()}
    return {"pipelines/spine" if path.startswith("pipelines/spine/") else path for path in paths}


def listed(stage: str) -> tuple[set[str], set[str]]:
    """(source files, data) among a stage's dependencies; a folder of sources stands for the modules in it."""
    sources, data = set(), set()
    for dep in DVC[stage].get("deps", []):
        if dep.startswith("data/"):
            data.add(dep)
        elif (ROOT / dep).is_dir() and dep != "pipelines/spine":
            sources |= {path.relative_to(ROOT).as_posix() for path in (ROOT / dep).rglob("*.py")}
        else:
            sources.add(dep)
    return sources, data


def versions_of(stage: str) -> list[str]:
    return [name for entry in DVC[stage]["params"] if isinstance(entry, dict) for name in entry["versions.yaml"]]


def test_the_map_has_every_stage_once_and_in_order() -> None:
    assert list(DVC) == list(MODULES)


def test_every_stage_that_has_parameters_has_a_section_and_no_section_is_without_a_stage() -> None:
    assert set(PARAMS) - {"storage"} <= set(MODULES)  # where shards lie, on which no stage depends
    for stage in MODULES:
        sections = [entry for entry in DVC[stage].get("params", []) if isinstance(entry, str)]
        assert sections == ([stage] if stage in PARAMS else []), stage


@pytest.mark.parametrize("stage", MODULES)
def test_a_stage_runs_its_own_module_and_writes_its_own_folder(stage: str) -> None:
    command = " ".join(DVC[stage]["cmd"].split())
    assert command.startswith(f"python -m {MODULES[stage]} ")
    assert f"--output data/{stage}" in command
    outs = {out if isinstance(out, str) else next(iter(out)) for out in DVC[stage]["outs"]}
    files = {"data/fetch/manifest.json", "data/fetch/evaluation.json"}
    assert outs == (files if stage == "fetch" else {f"data/{stage}"})


@pytest.mark.parametrize("stage", [stage for stage in MODULES if stage != "fetch"])
def test_a_stage_depends_on_exactly_the_modules_it_imports(stage: str) -> None:
    sources, _ = listed(stage)
    assert sources == module_paths(MODULES[stage])


@pytest.mark.parametrize("stage", [stage for stage in MODULES if stage != "fetch"])
def test_a_stage_depends_on_the_manifests_of_the_folders_that_its_command_names(stage: str) -> None:
    command = DVC[stage]["cmd"].replace(f"--output data/{stage}", "").replace(f"data/{stage}/ledger.json", "")
    paths = set(re.findall(r"data/[\w/.]+", command))
    named = {"/".join(path.split("/")[:2]) for path in paths - BESIDE_MANIFESTS}
    _, data = listed(stage)
    if stage == "report":  # it reads every stage's ledger and metrics too
        wanted = {f"data/{name}/{file}" for name in MODULES for file in ("manifest.json", "ledger.json")}
        wanted -= {"data/fetch/ledger.json", "data/report/manifest.json", "data/report/ledger.json"}
        assert data == wanted | set(DVC_FILE["metrics"]) | {"data/decontaminate/sets.json"}
    else:
        assert data == {f"{folder}/manifest.json" for folder in named} | (paths & BESIDE_MANIFESTS)


@pytest.mark.parametrize("stage", [stage for stage in MODULES if stage != "fetch"])
def test_a_stage_names_the_versions_that_its_code_checks(stage: str) -> None:
    assert tuple(versions_of(stage)) == importlib.import_module(MODULES[stage]).STAGE.versions


def test_versions_are_those_of_the_constraints() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = dict(line.lower().split("==") for line in lines if "==" in line)
    versions = yaml.safe_load((ROOT / "versions.yaml").read_text())
    assert versions.pop("python") in ("3.11", "3.12")
    assert versions == {name: pinned[name] for name in versions}


def test_layers_hold_corpus_code_imports_no_torch_and_training_code_imports_no_beam() -> None:
    forbidden = {"pipelines": ("torch", "deepspeed"), "tokenizer": ("torch", "deepspeed", "apache_beam")}
    forbidden["train"] = ("apache_beam",)
    for package, names in forbidden.items():
        for path in sorted((ROOT / package).rglob("*.py")):
            for name in lineage._imports(path):
                assert name.partition(".")[0] not in names, f"{path} imports {name}"
    for module in (
        "train.pretrain",
        "train.evaluate",
        "train.export",
        "train.generate",
        "tokenizer.learn",
        "tokenizer.measure",
    ):
        for path in lineage.module_files(module).values():
            assert not any(name.startswith("apache_beam") for name in lineage._imports(path)), path


def test_a_wheel_holds_every_package_of_the_tree_and_the_files_beside_their_modules() -> None:
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "pipelines", "tokenizer", "train"]
    listed = subprocess.run(listing, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    paths = [Path(name) for name in listed if (ROOT / name).exists()]
    assert setuptools["packages"] == sorted({".".join(path.parent.parts) for path in paths})
    for path in paths:
        patterns = ["*.py", *setuptools["package-data"].get(".".join(path.parent.parts), [])]
        assert any(path.match(pattern) for pattern in patterns), f"{path} is in no wheel"
