"""Writes the Python minor version that runs into ``versions.yaml`` when it is another one.

Run by ``make setup``. Text rules can differ between minor versions (3.11 carries Unicode 14, 3.12 carries 15), so
a workspace says which one built it; another one rebuilds the corpus.
"""

import re
import sys
from pathlib import Path

from pipelines.spine import storage
from pipelines.spine.lineage import VERSIONS_FILE, installed_version


def pin_python(path: Path) -> str | None:
    """The version that stood there before, or None when the file already names the running one."""
    text, running = path.read_text(encoding="utf-8"), installed_version("python")
    found = re.search(r'^python: "(.*)"$', text, re.MULTILINE)
    if found is None or found.group(1) == running:
        return None
    storage.write_text(path, text[: found.start(1)] + running + text[found.end(1) :])
    return found.group(1)


def main() -> int:
    """The command: says what it changed and what follows."""
    before = pin_python(Path(VERSIONS_FILE))
    if before is not None:
        print(
            f"{VERSIONS_FILE}: python {before} -> {installed_version('python')}; the artifacts of this workspace will "
            "be rebuilt, and dvc.lock will differ from the committed one",
            file=sys.stderr,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
