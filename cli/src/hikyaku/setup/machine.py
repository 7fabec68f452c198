"""What fits this machine. In a container too it is the host that is looked at, and not the container's own limits."""

import os
import re
from collections.abc import Mapping

MIB = 1024 * 1024
SPOOL_MIB = (256, 8192)
"""Least and most."""
BESIDES_SPOOL_MIB = 512
"""Memory of the decryptor besides the spool, which counts as its own: docker-compose.yml."""
WORKERS = (1, 4)
_SIZE = re.compile(r"(\d+)([mg])b?", re.IGNORECASE)


def values(env: Mapping[str, str]) -> dict[str, str]:
    """Values for `.env`.

    Args:
        env: what `.env` says already.
    """
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    spool = env.get("HIKYAKU_SPOOL_SIZE") or spool_size(memory)
    decryptor = decryptor_memory(spool)
    workers = str(concurrency(os.cpu_count() or 1))
    return {
        "HIKYAKU_SPOOL_SIZE": spool,
        **({"HIKYAKU_DECRYPTOR_MEMORY": decryptor} if decryptor else {}),
        "HIKYAKU_DECRYPTOR_CONCURRENCY": workers,
        "HIKYAKU_LOADER_CONCURRENCY": workers,
    }


def spool_size(memory: int) -> str:
    """A quarter of the memory (in bytes), as tmpfs writes sizes."""
    return _size(_within(memory // 4 // MIB, SPOOL_MIB))


def decryptor_memory(spool: str) -> str:
    """The decryptor's limit for a spool of that size; empty when the size is written in another way than `Ng` or `Nm`."""
    found = _SIZE.fullmatch(spool)
    return _size(int(found[1]) * (1024 if found[2] in "gG" else 1) + BESIDES_SPOOL_MIB) if found else ""


def concurrency(cores: int) -> int:
    """Half the cores: decryption and COPY each keep one busy, and PostgreSQL wants some."""
    return _within(cores // 2, WORKERS)


def _within(value: int, bounds: tuple[int, int]) -> int:
    return max(bounds[0], min(bounds[1], value))


def _size(mib: int) -> str:
    return f"{mib}m" if mib % 1024 else f"{mib // 1024}g"
