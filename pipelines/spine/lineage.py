"""What shapes the bytes of a stage: its parameters, the modules it imports, and the versions of packages.

The same answers serve three readers: the unit cache (its keys), ``lineage.json`` beside each manifest, and the
contract test that holds ``dvc.yaml`` to them.
"""

import ast
import dataclasses
import functools
import hashlib
import importlib.metadata
import importlib.util
import platform
from collections.abc import Iterable
from pathlib import Path

import yaml

from pipelines.spine.errors import CorpusmillError

OUR_PACKAGES = ("pipelines", "tokenizer", "train")
VERSIONS_FILE = "versions.yaml"


@dataclasses.dataclass(frozen=True)
class Release:
    """What shapes a stage's bytes beside its inputs and parameters, and must be the same on every worker.

    Attributes:
        module: the stage's.
        modules_sha256: `modules_digest` of it.
        versions: of Python and packages, by name.
    """

    module: str
    modules_sha256: str
    versions: dict[str, str]

    def expect_here(self) -> None:
        """Refuses to work where another version is installed than on the machine that launched the job.

        Raises:
            CorpusmillError: naming the package and both versions, or saying that our own code differs.
        """
        for name, version in self.versions.items():
            found = installed_version(name)
            if found != version:
                raise CorpusmillError(
                    f"a worker has another version of {name}", expected=version, got=found,
                    hint="install the project with its constraints.txt on the workers",
                )  # fmt: skip
        found = _modules_digest_here(self.module)
        if found != self.modules_sha256:
            raise CorpusmillError(
                "a worker has another source code of the project", where=self.module,
                expected=f"sha256 {self.modules_sha256[:12]}", got=f"sha256 {found[:12]}",
                hint="build the package that workers install, or their image, from this working tree (docs/runners.md)",
            )  # fmt: skip


def module_files(module: str) -> dict[str, Path]:
    """The modules of ours that ``module`` imports, itself and transitive ones included, with their files.

    Read from the source without running it; imports inside functions count too, those for type checkers alone do not.
    """
    found: dict[str, Path] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        path = _file_of(name)
        if path is None:
            continue
        found[name] = path
        waiting.extend(_imports(path))
        parent = name.rpartition(".")[0]
        if parent:
            waiting.append(parent)
    return dict(sorted(found.items()))


def modules_digest(module: str) -> str:
    """Hex sha256 over the names and sources of the modules that ``module`` imports."""
    digest = hashlib.sha256()
    for name, path in module_files(module).items():
        digest.update(f"{name}\n".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


#: Of the running process, whose code does not change: every step of a pipeline asks.
_modules_digest_here = functools.cache(modules_digest)


def installed_version(name: str) -> str:
    """The version that runs: of Python ``major.minor``, of a package its full version."""
    if name == "python":
        return ".".join(platform.python_version_tuple()[:2])
    try:
        # "+cpu" and "+cu130" name a build of the same source version.
        return importlib.metadata.version(name).partition("+")[0]
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def check_versions(names: Iterable[str], declared: str | Path) -> dict[str, str]:
    """The versions of the named packages, once they are those that the file declares.

    Args:
        names: keys of ``versions.yaml``.
        declared: that file; where there is none (the tools run outside a workspace) nothing is compared.
    Raises:
        CorpusmillError: another version is installed than declared.
    """
    installed = {name: installed_version(name) for name in names}
    if not Path(declared).exists():
        return installed
    expected = yaml.safe_load(Path(declared).read_text(encoding="utf-8"))
    for name, version in installed.items():
        if name not in expected:
            raise CorpusmillError(f"{name} is missing", where=str(declared), hint=f'add `{name}: "{version}"`')
        if str(expected[name]) != version:
            raise CorpusmillError(
                f"another version of {name} is installed than shaped these artifacts",
                where=str(declared), expected=expected[name], got=version,
                hint="run `rm .venv/installed; make setup` for the pinned one, or write the new version there and rebuild",
            )  # fmt: skip
    return installed


def _file_of(module: str) -> Path | None:
    if module.partition(".")[0] not in OUR_PACKAGES:
        return None
    package, *inner = module.split(".")
    spec = importlib.util.find_spec(package)
    # By path: find_spec of an inner name would import what it lies in, torch and all.
    for root in (spec.submodule_search_locations or []) if spec is not None else []:
        place = Path(root, *inner)
        for path in (place / "__init__.py", place.with_name(f"{place.name}.py")):
            if path.is_file():
                return path
    return None  # `from pipelines.spine.errors import CorpusmillError`: the name is no module


#: Where a statement holds others; an import is a statement, so no expression is looked into: of the 77 modules of
#: `pretrain` that is 0.003 s after 0.107 s of parsing, and all nodes were 0.05 s.
_HOLDS_STATEMENTS = ("body", "handlers", "cases", "orelse", "finalbody")


@functools.cache
def _imports(path: Path) -> tuple[str, ...]:
    names = []
    waiting: list[ast.AST] = [ast.parse(path.read_bytes())]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.append(node.module)
            names += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            waiting.extend(node.orelse)  # what never runs shapes no bytes
        else:
            for held in _HOLDS_STATEMENTS:
                waiting.extend(getattr(node, held, ()))
    return tuple(names)
