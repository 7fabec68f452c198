"""Becomes one program of the stack: `python -m hikyaku.local.run FILE`, as supervisor starts it.

The file (see `program.py`) gives the whole environment, so that no process inherits what another one may know, and values
of any shape pass. The process id stays the same, so supervisor watches the program itself.
"""

import os
import sys
from pathlib import Path

from hikyaku.local import leftovers, program, unprivileged


def main(path: Path) -> None:
    """Clear what a killed predecessor left, give up root where the program asks for it, and become the program."""
    told = program.read(path)
    if told.data:
        leftovers.end_inside(Path(told.data))
    unprivileged.become(told.identity)
    os.execve(told.argv[0], list(told.argv), dict(told.env))  # noqa: S606 - replacing this process is the point


if __name__ == "__main__":
    main(Path(sys.argv[1]))
