"""Going back to an earlier checkpoint: which one, and that it is the latest from then on."""

import re
import shutil
from pathlib import Path

from pipelines.spine import faults, storage

_NAME = re.compile(r"step-(\d{9})")


def checkpoint_steps(folder: Path) -> dict[int, Path]:
    """Step -> whole checkpoint, ascending."""
    found = ((_NAME.fullmatch(path.name), path) for path in folder.iterdir())
    return dict(sorted((int(match[1]), path) for match, path in found if match))


def go_back(folder: Path, step: int) -> Path | None:
    """Makes the last checkpoint at or before ``step`` the latest one; None: there is none, and nothing changed.

    The pointer first: a run that dies here goes on from that checkpoint, meets the same loss and goes back again.
    """
    earlier = [path for number, path in checkpoint_steps(folder).items() if number <= step]
    if not earlier:
        return None
    storage.write_text(folder / "latest", earlier[-1].name + "\n")
    faults.reach("pretrain:rollback")
    drop_later(folder, earlier[-1])
    return earlier[-1]


def drop_later(folder: Path, latest: Path) -> None:
    """Deletes the checkpoints after the latest one: of another course, they would count among the last that are kept."""
    for path in checkpoint_steps(folder).values():
        if path.name > latest.name:
            shutil.rmtree(path)
