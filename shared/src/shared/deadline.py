"""Bounds on a task's time: a clock that rings inside its process, and a limit by size after which its process is killed from outside."""

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

from celery.worker.request import Request
from pydantic import ValidationError

from shared import protocol
from shared.contract import FileRef, UnknownPayloadError

FilesOf = Callable[[dict[str, Any]], Sequence[FileRef]]


@contextmanager
def alarm(seconds: float, ring: Callable[[], None], *, again: bool = False) -> Iterator[None]:
    """Call `ring` after so many seconds in this thread, wherever it is then (SIGALRM): what it raises ends the wait.

    A socket's timeout starts anew with every byte, and a server's own limits are no use when it is the server that hangs.
    Only a process's main thread gets signals, and Celery runs tasks in it; elsewhere there is no alarm.

    Args:
        seconds: until it rings.
        ring: raises, or lets the work go on.
        again: and again so many seconds after `ring` has returned.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def rung(_number: int, _frame: FrameType | None) -> None:
        ring()
        if again:
            # Not the timer's own interval: a slow `ring` would be rung for in its midst.
            signal.setitimer(signal.ITIMER_REAL, seconds)

    before, started = signal.signal(signal.SIGALRM, rung), time.monotonic()
    left, interval = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if left:
            # Somebody else's alarm, as pytest-timeout's.
            signal.setitimer(signal.ITIMER_REAL, max(left - (time.monotonic() - started), 0.001), interval)


def limited(files_of: FilesOf, task_deadline: float, longest: float, slack: float = 1.0) -> type[Request]:
    """A class of Celery requests whose hard time limit goes by the size of their files: at it, the worker kills the process.

    A process that is stopped or hangs in C hears no alarm. Without this it would take its slot for hours, and a file that stalls each
    process that gets it would soon have them all.

    Args:
        files_of: a task's argument.
        task_deadline: seconds for an empty file.
        longest: seconds that no task may exceed.
        slack: times what the poller waits for a chain.
    """

    class Limited(Request):
        def __init__(self, message: Any, **options: Any) -> None:
            super().__init__(message, **options)
            if not any(self.time_limits):
                size = sum(file.size for file in _files(files_of, self.args))
                self.time_limits = (min(longest, slack * protocol.allowance(size, task_deadline)), None)

    return Limited


def _files(files_of: FilesOf, args: Sequence[Any]) -> Sequence[FileRef]:
    try:
        return files_of(args[0]) if args and isinstance(args[0], dict) else ()
    except (ValidationError, UnknownPayloadError):
        # The task itself will say so.
        return ()
