"""What workers install: the built sdist and wheel hold all of the project, and the images name what is there.

No image is built here. What can be held without Docker is: every file that a Dockerfile copies exists or is what
``python -m build`` writes, and every version in it is the pinned one.
"""

import re
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from clean_environment import ROOT, build_project, create_environment, run_python

DOCKERFILES = ("worker.Dockerfile", "training.Dockerfile")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(sdist, wheel)."""
    return build_project(tmp_path_factory.mktemp("built"))


def files_of_the_project() -> set[str]:
    """Every file of the three packages, by its path in the checkout."""
    paths = [path for package in ("pipelines", "tokenizer", "train") for path in (ROOT / package).rglob("*")]
    return {path.relative_to(ROOT).as_posix() for path in paths if path.is_file() and "__pycache__" not in path.parts}


def test_the_sdist_holds_every_file_of_the_project_and_what_it_is_built_from(built: tuple[Path, Path]) -> None:
    with tarfile.open(built[0]) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    assert files_of_the_project() <= held
    assert {"pyproject.toml", "README.md", "LICENSE"} <= held


def test_the_wheel_holds_every_file_of_the_project_and_nothing_else(built: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(built[1]) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert held == files_of_the_project()


def test_a_clean_environment_has_beam_and_not_the_project(tmp_path: Path) -> None:
    python = create_environment(tmp_path / "environment")
    assert run_python(python, "import importlib.util as u; print(bool(u.find_spec('apache_beam')))") == "True"
    assert run_python(python, "import importlib.util as u; print(bool(u.find_spec('pipelines')))") == "False"


def pinned(name: str) -> str:
    (version,) = re.findall(rf"^{re.escape(name)}==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    return version


@pytest.mark.parametrize("name", DOCKERFILES)
def test_every_file_that_an_image_copies_is_there_or_is_built(name: str, built: tuple[Path, Path]) -> None:
    text = (ROOT / "runners" / name).read_text()
    copied = [path for line in re.findall(r"^COPY (.+)$", text, re.MULTILINE) for path in line.split()[:-1]]
    assert f"dist/{built[1].name}" in copied
    for path in copied:
        assert path == f"dist/{built[1].name}" or (ROOT / path).is_file(), path


def test_the_worker_s_image_is_beam_s_own_of_the_pinned_versions() -> None:
    python = yaml.safe_load((ROOT / "versions.yaml").read_text())["python"]
    text = (ROOT / "runners" / "worker.Dockerfile").read_text()
    assert re.findall(r"^FROM (\S+)$", text, re.MULTILINE) == [
        f"apache/beam_python{python}_sdk:{pinned('apache-beam')}"
    ]


def test_the_image_that_trains_has_the_pinned_python_and_torch() -> None:
    python = yaml.safe_load((ROOT / "versions.yaml").read_text())["python"]
    text = (ROOT / "runners" / "training.Dockerfile").read_text()
    assert re.findall(r"--python (\S+)", text) == [python]
    assert re.findall(r"torch==(\S+)", text) == [pinned("torch")]
    assert re.search(r"^FROM nvidia/cuda:[\d.]+-devel-", text, re.MULTILINE)


def test_images_and_runner_files_name_the_version_that_is_built() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    for path in sorted((ROOT / "runners").iterdir()):
        for named in re.findall(r"(?:corpusmill-|/worker:|/training:)(\d+\.\d+\.\d+)", path.read_text()):
            assert named == version, path.name
