"""A run that is asked to stop: it saves after the step that it is in, or the next one where that has given its loss
already, and ends with a status that says "go on later".

Asked by SIGUSR1 to any of its processes (Slurm sends it before the time limit: ``--signal=USR1@120``), by SIGTERM to a
Slurm task (preemption, ``scancel``), or by a file ``stop`` in the checkpoint folder, which any machine can put there.
"""

import os
import signal
import time
from pathlib import Path

from train.asked import listen
from train.world import World, any_of

NAME = "stop"
#: A shared disk is asked no more often.
LOOK_SECONDS = 1.0


class StopRequest:
    """Whether somebody asked this run to stop.

    Args:
        folder: the checkpoint folder.
    """

    def __init__(self, folder: Path, world: World) -> None:
        self.file, self._world, self._looked = folder / NAME, world, 0.0
        if world.leads:
            self.file.unlink(missing_ok=True)  # meant for an earlier life
        self._asked = listen()
        # Not below torchrun, which says by SIGTERM that another process has died.
        if world.size > 1 and "SLURM_STEP_ID" in os.environ and "TORCHELASTIC_RUN_ID" not in os.environ:
            signal.signal(signal.SIGTERM, self._asked)

    def agreed(self) -> bool:
        """The same answer in every process; every process calls it. The steps carry ``here`` along instead."""
        return any_of(self._world, self.here())

    def here(self) -> bool:
        """Whether this process was asked; the leading one looks for the file."""
        now = time.monotonic()
        if self._world.leads and now - self._looked >= LOOK_SECONDS:
            self._looked = now
            # Not Path.exists: of a shared disk that does not answer it raises, and it asks for nothing.
            self._asked.yes = self._asked.yes or os.path.exists(self.file)
        return self._asked.yes
