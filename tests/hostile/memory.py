"""What each service holds of the machine's memory."""

import psutil  # type: ignore[import-untyped]
from line import Line
from test_memory import peak_bytes

SERVICES = ("poller", "decryptor", "loader", "flower")
MIB = 1024**2


def resident(line: Line) -> dict[str, float]:
    """MiB by service: its main process and its children together (RSS, proc(5))."""
    return {service: _of(line.pid(service)) / MIB for service in SERVICES}


def peaks(line: Line) -> dict[str, float]:
    """MiB by service: the highest that one process of it ever held (VmHWM, proc(5)), which nothing before and after would show."""
    return {service: max(peak_bytes(process.pid) for process in _all(line.pid(service))) / MIB for service in SERVICES}


def processes(line: Line) -> dict[str, int]:
    """The main process of each: another one at the end has died on the way."""
    return {service: line.pid(service) for service in SERVICES}


def _of(pid: int) -> int:
    return sum(int(process.memory_info().rss) for process in _all(pid))


def _all(pid: int) -> list[psutil.Process]:
    main = psutil.Process(pid)
    return [main, *main.children(recursive=True)]
