"""Named points at which a crash test can kill the process, so that recovery is tested where it matters.

``reach("extract:written")`` does nothing unless the environment variable ``CORPUSMILL_KILL_AT`` names that point:
then the process dies by SIGKILL, as in a power cut. ``name@3`` dies the third time the point is reached.
"""

import os
import signal
from collections import Counter

VARIABLE = "CORPUSMILL_KILL_AT"
_reached: Counter[str] = Counter()


def reach(point: str) -> None:
    """Dies here when a crash test asked for it; otherwise costs one dictionary look-up."""
    wanted = os.environ.get(VARIABLE)
    if wanted is None:
        return
    name, _, times = wanted.partition("@")
    if name != point:
        return
    _reached[point] += 1
    if _reached[point] == int(times or 1):
        os.kill(os.getpid(), signal.SIGKILL)
