"""For how long a run waits."""

import time
from collections.abc import Callable

BOUND_S = 40.0
"""For so long a batch may be in the main queue, and a good file on its way. A message whose turn has come is out of it within seconds; one
whose object is not there takes a decryptor 1.5 s, for it looks three times."""
POLL_S = 0.1


def within(seconds: float, holds: Callable[[], bool]) -> bool:
    """Whether it came to hold in time."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True
