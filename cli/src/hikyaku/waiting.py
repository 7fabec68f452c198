"""Waits for conditions, never longer than told."""

import time
from collections.abc import Callable
from typing import TypeVar

INTERVAL_S = 0.1
T = TypeVar("T")


def until(
    probe: Callable[[], T | None],
    timeout_s: float,
    error: Exception,
    *,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> T:
    """Ask `probe` again and again until it gives something.

    Args:
        probe: gives a true value once the condition holds; may raise to give up early.
        timeout_s: seconds until `error` is raised.
        error: what it means when the condition never holds.
        clock: monotonic seconds.
        pause: waits that many seconds.
    """
    deadline = clock() + timeout_s
    while True:
        if found := probe():
            return found
        if clock() >= deadline:
            raise error
        pause(INTERVAL_S)
