"""SIGUSR1, which asks training to stop, noted from the first line on. No torch here: its import takes seconds, and a
scheduler may ask meanwhile; unheard, the signal would end the process by status 138, which asks for no other try.
"""

import signal
from types import FrameType

#: EX_TEMPFAIL of sysexits.h: nothing is wrong, run again.
STATUS = 75


class Asked:
    """The handler of a signal, and whether one has come."""

    def __init__(self) -> None:
        self.yes = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.yes = True


def listen() -> Asked:
    """Takes note of SIGUSR1 from now on, and of one that came while it was held back; this process's first call's again.

    Whoever starts this process may hold the signal back (``signal.pthread_sigmask``), so that it waits for this call.
    """
    found = signal.getsignal(signal.SIGUSR1)
    asked = found if isinstance(found, Asked) else Asked()
    signal.signal(signal.SIGUSR1, asked)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})
    return asked
