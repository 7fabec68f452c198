"""Ends what a killed parent left behind, and nothing else.

Processes are recognised by what can't be mistaken: the folder that PostgreSQL's processes work in, or a process id together
with its start time.
"""

import contextlib
import json
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from hikyaku.local import files

END_TIMEOUT_S = 5


@dataclass(frozen=True)
class Seen:
    """A process of the stack as it was last seen; the start time tells it from a later one with the same id."""

    pid: int
    started: float


def end_inside(data: Path) -> None:
    """Kill the processes that work in PostgreSQL's data directory, and drop the dead postmaster's lock file.

    Backends of a postmaster that was killed notice it only when they next wait. Until then they hold its shared memory,
    and a new postmaster refuses to start. Its lock file misleads, too, once another process got the dead one's id.
    """
    orphans = [process for process in psutil.process_iter() if _works_in(process, data.resolve())]
    for process in orphans:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(orphans, timeout=END_TIMEOUT_S)
    (data / "postmaster.pid").unlink(missing_ok=True)


def _works_in(process: psutil.Process, folder: Path) -> bool:
    try:
        return bool(process.cwd() == str(folder) and process.name() == "postgres")
    except psutil.Error:
        return False


def end_group(leader: int) -> None:
    """Kill what is left of the process group of a program that ended: supervisor makes each program lead its own."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def ends(pid: int, timeout_s: float) -> bool:
    """Wait for a process to end; False when it still runs after that many seconds."""
    try:
        psutil.Process(pid).wait(timeout=timeout_s)
    except psutil.NoSuchProcess:
        return True
    except psutil.TimeoutExpired:
        return False
    return True


def remember(path: Path, pids: Mapping[str, int]) -> None:
    """Note the running processes, for the case that supervisor itself is killed."""
    seen = {name: [pid, started] for name, pid in pids.items() if (started := _started(pid)) is not None}
    files.write_atomically(path, json.dumps(seen) + "\n")


def recall(path: Path) -> dict[str, Seen]:
    """Those of the noted processes that still run."""
    try:
        noted = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    seen = {name: Seen(int(pid), float(started)) for name, (pid, started) in noted.items()}
    return {name: process for name, process in seen.items() if _started(process.pid) == process.started}


def _started(pid: int) -> float | None:
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return None


def end_remembered(path: Path) -> list[str]:
    """End the noted processes that outlived their supervisor: politely, then by force, with all of their groups.

    Returns:
        Their names.
    """
    alive = recall(path)
    processes = []
    for process in alive.values():
        with contextlib.suppress(psutil.NoSuchProcess):
            processes.append(found := psutil.Process(process.pid))
            found.terminate()
    psutil.wait_procs(processes, timeout=END_TIMEOUT_S)
    for process in alive.values():
        end_group(process.pid)
    psutil.wait_procs(processes, timeout=END_TIMEOUT_S)
    path.unlink(missing_ok=True)
    return list(alive)
