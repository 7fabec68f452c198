"""Reads `endpoints.env`, in which a stack of one's own says where everything is."""

import shlex
from pathlib import Path

VARIABLE = "HIKYAKU_ENDPOINTS"
"""Names the file; in the container `cli` it is set, whether or not there is one."""


def read_endpoints(path: Path) -> dict[str, str]:
    """KEY=VALUE lines, quoted as for a POSIX shell.

    Raises:
        OSError: there is no such file, or it can't be read.
    """
    pairs = (line.partition("=") for line in path.read_text(encoding="utf-8").splitlines())
    return {name: "".join(shlex.split(value)) for name, _, value in pairs}
