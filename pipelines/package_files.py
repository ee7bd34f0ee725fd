"""``package://gensim/test/test_data/lee.cor``: a file inside an installed package."""

import importlib.util
import os

from pipelines.spine.errors import CorpusmillError

PACKAGE = "package://"


def package_path(path: str, where: str) -> str:
    """Where ``package://<package>/<file in it>`` lies, found without importing the package.

    Raises:
        CorpusmillError: the package is not installed.
    """
    package, _, rest = path.removeprefix(PACKAGE).partition("/")
    spec = importlib.util.find_spec(package) if package.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise CorpusmillError(
            f"the package {package} is not installed", where=where, got=path,
            hint=f"run `make setup`, or `pip install {package}`",
        )  # fmt: skip
    return os.path.join(next(iter(spec.submodule_search_locations)), rest)
