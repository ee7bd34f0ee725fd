"""Lineage: which modules and versions shape the bytes of a stage, read without running anything."""

import ast
import sys
from pathlib import Path

import pytest

from pipelines.spine import lineage
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.lineage import check_versions, installed_version, module_files, modules_digest

#: file -> source; nothing in it can be run.
PACKAGE = {
    "__init__.py": "",
    "run.py": "import mill_made.inner.far\nfrom mill_made import near\nraise RuntimeError('this was run')\n",
    "near.py": "import os, yaml\n\ndef late():\n    from mill_made.late import thing\n    return thing\n",
    "late.py": "from mill_made.near import late\nthing = 3\nraise RuntimeError('this was run')\n",
    "inner/__init__.py": "",
    "inner/far.py": "import numpy as np\nif False:\n    import mill_made.rare\n",
    "rare.py": "text = 'import mill_made.unused'\n",
    "unused.py": "",
}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of ours called ``mill_made``."""
    folder = tmp_path / "mill_made"
    for name, source in PACKAGE.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(lineage, "OUR_PACKAGES", ("mill_made",))
    return folder


def test_imports_for_type_checkers_alone_do_not_count_and_their_alternative_does(package: Path) -> None:
    guarded = "if TYPE_CHECKING:\n    import mill_made.unused\nelse:\n    import mill_made.inner.far\n"
    (package / "typed.py").write_text(f"from typing import TYPE_CHECKING\n{guarded}")
    found = module_files("mill_made.typed")
    assert "mill_made.unused" not in found
    assert "mill_made.inner.far" in found


#: An import in each kind of place that holds statements.
PLACES = """
import at_the_top, beside_it
class A:
    import in_a_class
    async def method(self):
        import in_a_function
        async with self: import in_async_with
        async for _ in self: import in_async_for
if True: import in_if
elif False: import in_elif
else: import in_else
for _ in (): import in_for
else: import after_for
while False: import in_while
else: import after_while
with open("x"): import in_with
try: import in_try
except OSError: import in_except
else: import after_try
finally: import at_last
try: import in_a_group_s_try
except* OSError: import in_a_group
match 3:
    case 3: import in_a_case
"""


def test_imports_are_found_in_every_place_that_a_statement_can_stand_in(tmp_path: Path) -> None:
    (tmp_path / "places.py").write_text(PLACES)
    assert sorted(lineage._imports(tmp_path / "places.py")) == [
        "after_for", "after_try", "after_while", "at_last", "at_the_top", "beside_it", "in_a_case", "in_a_class",
        "in_a_function", "in_a_group", "in_a_group_s_try", "in_async_for", "in_async_with", "in_elif", "in_else",
        "in_except", "in_for", "in_if", "in_try", "in_while", "in_with",
    ]  # fmt: skip


def imports_by_walking_all(tree: ast.AST) -> list[str]:
    """The same by a look at every node, expressions too."""
    guards = [node for node in ast.walk(tree) if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    unseen = {below for guard in guards for statement in guard.body for below in ast.walk(statement)}
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import) and node not in unseen:
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node not in unseen and node.module and node.level == 0:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return sorted(names)


def test_no_module_of_ours_has_an_import_that_is_not_found() -> None:
    root = Path(__file__).resolve().parents[1]
    paths = [path for package in lineage.OUR_PACKAGES for path in (root / package).rglob("*.py")]
    assert len(paths) > 200
    for path in paths:
        assert sorted(lineage._imports(path)) == imports_by_walking_all(ast.parse(path.read_bytes())), path


def test_the_modules_are_exact_transitive_and_inside_functions_too(package: Path) -> None:
    assert module_files("mill_made.run") == {
        "mill_made": package / "__init__.py",
        "mill_made.inner": package / "inner" / "__init__.py",
        "mill_made.inner.far": package / "inner" / "far.py",
        "mill_made.late": package / "late.py",
        "mill_made.near": package / "near.py",
        "mill_made.rare": package / "rare.py",
        "mill_made.run": package / "run.py",
    }
    assert list(module_files("mill_made.rare")) == ["mill_made", "mill_made.rare"]


def test_nothing_is_run_or_imported_to_find_them(package: Path) -> None:
    module_files("mill_made.run")
    assert not [name for name in sys.modules if name.startswith("mill_made")]


def test_a_module_of_the_spine_needs_what_it_imports_and_nothing_else() -> None:
    assert list(module_files("pipelines.spine.ledger")) == [
        "pipelines", "pipelines.spine", "pipelines.spine.errors", "pipelines.spine.ledger",
    ]  # fmt: skip


def test_a_module_of_nobody_of_ours_has_no_files() -> None:
    assert module_files("json") == {}
    assert module_files("pipelines.no_such_module") == {}


@pytest.mark.parametrize("changed", ["run.py", "inner/far.py", "late.py", "inner/__init__.py"])
def test_one_byte_of_any_source_changes_the_digest(package: Path, changed: str) -> None:
    before = modules_digest("mill_made.run")
    (package / changed).write_text(PACKAGE[changed] + "#")
    assert modules_digest("mill_made.run") != before
    (package / changed).write_text(PACKAGE[changed])
    assert modules_digest("mill_made.run") == before


def test_a_module_that_is_not_imported_does_not_change_the_digest(package: Path) -> None:
    before = modules_digest("mill_made.run")
    (package / "unused.py").write_text("changed = 1\n")
    assert modules_digest("mill_made.run") == before


def test_the_digest_does_not_depend_on_where_the_package_lies(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = modules_digest("mill_made.run")
    moved = package.parent / "elsewhere"
    moved.mkdir()
    package.rename(moved / "mill_made")
    monkeypatch.syspath_prepend(moved)
    assert module_files("mill_made.run")["mill_made.run"] == moved / "mill_made" / "run.py"
    assert modules_digest("mill_made.run") == before


def test_python_counts_by_its_minor_version_and_a_package_by_its_whole_one() -> None:
    assert installed_version("python") == f"{sys.version_info.major}.{sys.version_info.minor}"
    assert installed_version("pyarrow").count(".") == 2
    assert installed_version("no-such-package-anywhere") == "not installed"


def test_the_declared_versions_pass_and_come_back(tmp_path: Path) -> None:
    declared = tmp_path / "versions.yaml"
    declared.write_text(f'python: "{installed_version("python")}"\npyarrow: {installed_version("pyarrow")}\n')
    assert check_versions(("python", "pyarrow"), declared) == {
        "python": installed_version("python"), "pyarrow": installed_version("pyarrow"),
    }  # fmt: skip


def test_another_version_than_declared_is_refused(tmp_path: Path) -> None:
    declared = tmp_path / "versions.yaml"
    declared.write_text("pyarrow: 1.2.3\n")
    with pytest.raises(CorpusmillError) as caught:
        check_versions(("pyarrow",), declared)
    assert str(caught.value) == (
        f"{declared}: another version of pyarrow is installed than shaped these artifacts\n"
        f"  expected: 1.2.3\n  got: {installed_version('pyarrow')}\n"
        "  hint: run `rm .venv/installed; make setup` for the pinned one, or write the new version there and rebuild"
    )


def test_a_version_that_is_not_declared_says_what_to_add(tmp_path: Path) -> None:
    declared = tmp_path / "versions.yaml"
    declared.write_text("python: '3.11'\n")
    with pytest.raises(CorpusmillError) as caught:
        check_versions(("pyarrow",), declared)
    version = installed_version("pyarrow")
    assert str(caught.value) == f'{declared}: pyarrow is missing\n  hint: add `pyarrow: "{version}"`'


def test_outside_a_workspace_nothing_is_compared(tmp_path: Path) -> None:
    assert check_versions(("python",), tmp_path / "versions.yaml") == {"python": installed_version("python")}
