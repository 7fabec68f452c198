"""The spool: in memory, and large enough."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from hikyaku.operator.doctor.finding import CantLookError, Finding, fail, ok, warn
from hikyaku.operator.doctor.scope import Scope

IN_MEMORY = frozenset({"tmpfs", "ramfs"})
MOUNTS = Path("/proc/self/mountinfo")
MIB = 2**20
_SIZE = re.compile(r"(\d+)([kmg]?)b?", re.IGNORECASE)
_UNITS = {"": 1, "k": 2**10, "m": MIB, "g": 2**30}
_LARGEST = "SELECT max(size_bytes) AS largest FROM hikyaku.files WHERE status <> 'rejected'"
RESIZE = "HIKYAKU_SPOOL_SIZE in .env, then docs/operations.md#sizing: the volume is made anew"


def place(scope: Scope) -> Iterator[Finding]:
    """On a tmpfs: plaintext rests on no disk."""
    spool = _spool(scope)
    kind = kind_of(spool)
    if kind in IN_MEMORY:
        yield ok(f"the spool is memory ({kind})")
        return
    why = "plaintext rests on a disk, and is there to be found after it was deleted"
    told = fail if scope.environment.get("HIKYAKU_SPOOL_ON_DISK") != "allow" else warn
    yield told(
        f"the spool {spool} is on {kind or 'a file system that the kernel does not list'}, not a tmpfs",
        why,
        "mount a tmpfs there (docs/security.md#plaintext-at-rest)",
    )


def size(scope: Scope) -> Iterator[Finding]:
    """Against the largest file that the ledger has seen, and as many at once as there are workers."""
    room = _room(scope)
    with scope.ledger() as connection:
        row = connection.execute(_LARGEST).fetchone()
    largest = int(row["largest"]) if row and row["largest"] else 0
    workers = scope.number("HIKYAKU_DECRYPTOR_CONCURRENCY", "decryptor", 2)
    shown = f"the spool holds {room // MIB} MiB, the largest file so far was {largest / MIB:.1f} MiB"
    if largest > room:
        yield fail(shown, "such a file is rejected as too_large", RESIZE)
    elif largest * workers > room:
        yield warn(shown, f"{workers} of them at once do not fit: one of them is tried again later (spool_unavailable)", RESIZE)
    else:
        yield ok(shown)


def _spool(scope: Scope) -> Path:
    if scope.places.spool is None:
        raise CantLookError("HIKYAKU_SPOOL_DIR is not set; compose's spool is a volume that only decryptor and loader see, and a tmpfs")
    return scope.places.spool


def _room(scope: Scope) -> int:
    if scope.places.spool is None and (said := scope.places.env.get("HIKYAKU_SPOOL_SIZE")):
        return in_bytes(said)
    found = os.statvfs(_spool(scope))
    return found.f_blocks * found.f_frsize


def in_bytes(text: str) -> int:
    """A size as tmpfs writes it.

    Raises:
        CantLookError: it is none.
    """
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise CantLookError(f"HIKYAKU_SPOOL_SIZE={text} is no size in bytes, k, m or g")
    return int(found[1]) * _UNITS[found[2].lower()]


def kind_of(path: Path) -> str:
    """The file system that a path is on, as proc_pid_mountinfo(5) tells; "" where its device is not listed."""
    device = path.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        where, _, kind = line.partition(" - ")
        if where.split()[2] == number:
            return kind.split(" ", 1)[0]
    return ""
