"""Where the spool lies. Decrypted files wait there, and plaintext must rest on no disk: so it is memory, or the service does not start."""

import os
from dataclasses import dataclass
from pathlib import Path

from shared.logging import get_logger
from shared.settings import SpoolOnDisk, WorkerSettings

IN_MEMORY = frozenset({"tmpfs", "ramfs"})
PROC = Path("/proc")
CGROUPS = Path("/sys/fs/cgroup")
COMPRESSED_MEMORY = "/dev/zram"
"""A swap that is no disk."""


@dataclass(frozen=True, slots=True)
class Mount:
    """A file system, as proc_pid_mountinfo(5) tells of it."""

    kind: str
    options: frozenset[str]


def problems(settings: WorkerSettings, proc: Path = PROC) -> list[str]:
    """What is wrong with the spool, for a person. A spool on a disk that the operator allows is none, but is told in the log.

    Args:
        settings: of the decryptor or the loader.
        proc: where procfs is mounted.
    """
    spool = settings.spool_dir
    if not spool.is_dir():
        return [f"{spool}: the spool is not a directory"]
    if not os.access(spool, os.R_OK | os.W_OK | os.X_OK):
        return [f"{spool}: the spool is not writable"]
    found = mount_of(spool, proc)
    if found is not None and found.kind in IN_MEMORY:
        return []
    kind = "on a file system that this service can't tell" if found is None else f"on {found.kind}"
    if settings.spool_on_disk is SpoolOnDisk.REFUSE:
        return [f"{spool}: the spool is {kind}, not a tmpfs, so plaintext would rest on a disk: mount a tmpfs there (docs/security.md)"]
    get_logger().warning("spool_on_disk", action="spool", path=str(spool), reason=f"it is {kind}; HIKYAKU_SPOOL_ON_DISK allows it")
    return []


def warn_of_swap(settings: WorkerSettings, proc: Path = PROC, cgroups: Path = CGROUPS) -> bool:
    """Say in the log that the spool's memory may be written to a swap device.

    Returns:
        Whether it may: there is such a device, the tmpfs is not mounted with `noswap` (Linux 6.4), and no limit forbids swapping.
    """
    found = mount_of(settings.spool_dir, proc)
    if found is None or found.kind != "tmpfs" or "noswap" in found.options or not _swaps(proc) or _never_swaps(proc, cgroups):
        return False
    get_logger().warning(
        "spool_may_be_swapped",
        action="spool",
        path=str(settings.spool_dir),
        reason="swap is on: switch it off, encrypt it, or mount the spool with noswap (Linux 6.4); docs/security.md",
    )
    return True


def mount_of(path: Path, proc: Path = PROC) -> Mount | None:
    """The file system that a path is on; None where the kernel does not list its device."""
    device = path.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in (proc / "self" / "mountinfo").read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        place, _, kind = line.partition(" - ")
        if place.split()[2] == number:
            name, _, options = kind.split(" ", 2)
            return Mount(name, frozenset(options.split(",")))
    return None


def _swaps(proc: Path) -> bool:
    _, *devices = (proc / "swaps").read_text(encoding="utf-8").splitlines() or [""]
    return any(not device.startswith(COMPRESSED_MEMORY) for device in devices)


def _never_swaps(proc: Path, cgroups: Path) -> bool:
    """Whether the control group (version 2) of this process may not swap: compose's `memswap_limit` like `mem_limit`."""
    groups = (proc / "self" / "cgroup").read_text(encoding="utf-8").splitlines()
    own = next((group.removeprefix("0::") for group in groups if group.startswith("0::")), None)
    limit = cgroups / (own or "").lstrip("/") / "memory.swap.max"
    return own is not None and limit.is_file() and limit.read_text(encoding="ascii").strip() == "0"
