"""What it means for a parcel that it took its worker process down with it: the third time it is the file's own fault.

Celery hands a lost parcel out again with its `retries` counted up, after `RETRY_DELAY_S`, and that count is all the memory there is.
Only deaths whose parent outlived them count, so neither a worker's restart nor a lost host is held against a file.
"""

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from shared.celery_app import CHILD_LOSSES
from shared.contract import FileRef, Problem
from shared.errors import ErrorCode

TRIES = CHILD_LOSSES + 1
"""How often a file may take its process down. The parcel is handed out once more, only to be told `crashed`."""
MOST_RETRIES = TRIES + 1
"""And once more, should even that have cost a process: the decryptor looks whose part the file is, and does not the second time."""


def verdict(files: Sequence[FileRef], lost: int) -> Problem | None:
    """Why the files of a parcel are not tried again.

    Of several messages one has the sick file, and nobody knows which: all go back to SQS at once, and those travel alone.

    Args:
        files: of the parcel.
        lost: how many processes it has cost.

    Returns:
        None: try them.
    """
    if lost and len({file.message_id for file in files}) > 1:
        return Problem(error_code=ErrorCode.CRASHED, message="a file that travelled with it may have crashed the worker", retry=True)
    if lost >= TRIES:
        message = f"the worker process died {lost} times while it had this file: see its log and its memory limit, mend it and redrive"
        return Problem(error_code=ErrorCode.CRASHED, message=message, retry=False)
    return None


@contextmanager
def deadly_memory_error() -> Iterator[None]:
    """End this process when it is out of memory, so that it counts as lost.

    Celery takes a task's MemoryError for its own: the whole worker stops (`Unrecoverable error`), the task is not acknowledged, and
    comes again when the worker is back, and again.
    """
    try:
        yield
    except MemoryError:
        # No logger: it would need memory.
        os.write(2, b"hikyaku: out of memory, this process ends\n")
        os.kill(os.getpid(), signal.SIGKILL)
