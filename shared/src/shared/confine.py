"""What a process that has keys, passwords or plaintext in its memory shows to nobody else."""

import ctypes
import os
import resource
import sys

PR_SET_DUMPABLE = 4
"""Of prctl(2)."""


def confine() -> None:
    """Leave no core dump, and let no other process of the same user read this one's memory, environment or open files in /proc.

    It holds for the processes that are forked later too. A limit of 0 alone is not enough: a core dump that goes to a program
    (core(5), "Piping core dumps to a program") is not limited. Signals go on as before, and root may look into everything.

    Raises:
        OSError: the kernel refuses.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
