"""What each service holds of the machine's memory."""

import psutil  # type: ignore[import-untyped]
from line import Line

SERVICES = ("poller", "decryptor", "loader", "flower")
MIB = 1024**2


def resident(line: Line) -> dict[str, float]:
    """MiB by service: its main process and its children together (RSS, proc(5))."""
    return {service: _of(line.pid(service)) / MIB for service in SERVICES}


def processes(line: Line) -> dict[str, int]:
    """The main process of each: another one at the end has died on the way."""
    return {service: line.pid(service) for service in SERVICES}


def _of(pid: int) -> int:
    main = psutil.Process(pid)
    return sum(int(process.memory_info().rss) for process in [main, *main.children(recursive=True)])
