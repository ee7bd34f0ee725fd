"""A Beam runner whose workers see nothing of the launching machine's folder: while it works, the folder is not there.

``--runner=elsewhere.Elsewhere``; the test says which folder (``hide``).
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from apache_beam.runners.portability.fn_api_runner import FnApiRunner

OPTION = "--runner=elsewhere.Elsewhere"
_hidden: list[Path] = []


@contextlib.contextmanager
def hide(folder: Path) -> Iterator[None]:
    """The folder is away, and another one current, whenever a pipeline runs within the block."""
    _hidden.append(folder)
    try:
        yield
    finally:
        _hidden.remove(folder)


class Elsewhere(FnApiRunner):
    """Beam's in-process runner, at work in another folder."""

    def run_pipeline(self, pipeline: Any, options: Any) -> Any:
        (folder,) = _hidden
        here, away = Path.cwd(), folder.with_name(f"{folder.name}-away")
        os.rename(folder, away)
        os.chdir("/")
        try:
            return super().run_pipeline(pipeline, options)
        finally:
            os.chdir(here)
            os.rename(away, folder)
