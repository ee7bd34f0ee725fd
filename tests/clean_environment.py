"""A Python of its own that holds Beam and the pinned packages and not this project: what a worker's machine has.

It is made in a twentieth of a second: a virtual environment with one ``.pth`` line that adds the packages of this one.
A ``.pth`` file inside a folder that was itself added so is not read, hence no editable install of the project.
"""

import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
#: What the build needs of a checkout.
SOURCES = ("pipelines", "tokenizer", "train", "pyproject.toml", "README.md", "LICENSE")


def create_environment(folder: Path) -> Path:
    """The Python of a new environment; the project is not importable there.

    Args:
        folder: where it is made.
    """
    venv.create(folder, symlinks=True)
    site = next(folder.glob("lib/python*/site-packages"))
    (site / "packages.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    python = folder / "bin" / "python"
    return python


def run_python(python: Path, code: str) -> str:
    """What the code prints in that environment, run in the root folder."""
    done = subprocess.run([str(python), "-I", "-c", code], check=True, capture_output=True, text=True, cwd="/")
    return done.stdout.strip()


def build_project(folder: Path) -> tuple[Path, Path]:
    """(sdist, wheel) of a copy of this checkout, built as ``python -m build`` does."""
    source, target = folder / "source", folder / "dist"
    source.mkdir(parents=True)
    for name in SOURCES:
        place = ROOT / name
        if place.is_dir():
            shutil.copytree(place, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(place, source / name)
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(target), str(source)]
    subprocess.run(build, check=True, capture_output=True)
    (sdist,), (wheel,) = target.glob("*.tar.gz"), target.glob("*.whl")
    return sdist, wheel


def install(python: Path, package: Path, target: Path) -> None:
    """Installs a package file and nothing that it depends on, with that Python's pip, from no index.

    Args:
        python: of a clean environment.
        package: a wheel or an sdist, which is built there.
        target: the folder that the modules go into.
    """
    options = ["--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check"]
    command = [str(python), "-I", "-m", "pip", "install", *options, "--target", str(target), str(package)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
