"""GnuPG as a tool: a home of its own for each run, in memory, and nothing left of it: no folder, no agent, no key.

Each home is a folder that only this user may enter (0700), made for one run and removed after it. gpg is started by
`gpg-agent --daemon -- gpg …`, so that the agent, which holds the secret keys, ends by itself within seconds of gpg's end, even if the
worker is killed meanwhile; in all other cases it is told to end at once. While it lives, a home is locked (flock), so that a sweep
tells a dead worker's remains from a live one's.
"""

import fcntl
import os
import secrets
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from decryptor.gnupg_home import GnupgError, Home
from shared import spool_place
from shared.logging import get_logger

PREFIX = "hikyaku-gnupg-"
LONGEST = 60
"""Characters of the folder's path: the agent's sockets lie below it, and a socket's path has 107 at the most (unix(7))."""
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - mkdir with a random name, 0700
PROGRAMS = ("gpg", "gpg-agent")


def missing() -> str:
    """The program that is not installed, or nothing."""
    return next((program for program in PROGRAMS if shutil.which(program) is None), "")


@dataclass(frozen=True, slots=True)
class Gnupg:
    """Where homes are made."""

    place: Path = SHARED_MEMORY
    """A folder on a tmpfs, for secret keys lie there while gpg runs."""
    on_disk: bool = False
    """Whether it may be something else than a tmpfs."""

    def check(self) -> None:
        """Whether gpg can be run at all.

        Raises:
            GnupgError: it can't.
        """
        if absent := missing():
            raise GnupgError(f"{absent} is not installed: install GnuPG (Debian: gnupg)")
        if not self.place.is_dir() or not os.access(self.place, os.R_OK | os.W_OK | os.X_OK):
            raise GnupgError(f"HIKYAKU_GNUPG_DIR: {self.place}: is not a folder that this service may write to")
        if len(os.fsencode(self.place)) > LONGEST:
            raise GnupgError(f"HIKYAKU_GNUPG_DIR: {self.place}: the path is longer than {LONGEST} bytes, too long for the agent's socket")
        found = spool_place.mount_of(self.place)
        if not self.on_disk and (found is None or found.kind not in spool_place.IN_MEMORY):
            raise GnupgError(f"HIKYAKU_GNUPG_DIR: {self.place}: is not on a tmpfs, and secret keys must rest on no disk: mount one there")

    @contextmanager
    def home(self, files: Mapping[str, bytes] | None = None) -> Iterator[Home]:
        """A home with these files, gone at the end in every case.

        Raises:
            GnupgError: it can't be made.
        """
        self.check()
        try:
            home = Home(self.place / f"{PREFIX}{secrets.token_hex(4)}")
            home.path.mkdir(mode=0o700)
            lock = _locked(home.path)
        except OSError as error:
            raise GnupgError(f"{self.place}: no home for gpg can be made: {error.strerror}") from error
        try:
            home.fill(files or {})
            yield home
        finally:
            home.remove()
            os.close(lock)

    def sweep(self) -> int:
        """Remove the homes, and end the agents, of workers that are dead.

        Returns:
            How many there were.
        """
        found = [path for path in _entries(self.place) if _is_dead(path)]
        for path in found:
            Home(path).remove()
            get_logger().warning("gnupg_home_swept", action="sweep", name=path.name)
        return len(found)


def _locked(folder: Path) -> int:
    """A descriptor that holds the lock; closing it, or the end of the process, frees it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return descriptor


def _entries(place: Path) -> list[Path]:
    """Our homes there; those of other users are none of ours."""
    found = []
    for path in place.glob(f"{PREFIX}*"):
        with suppress(OSError):
            status = path.lstat()
            if stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid():
                found.append(path)
    return found


def _is_dead(home: Path) -> bool:
    try:
        os.close(_locked(home))
    except (FileNotFoundError, BlockingIOError):
        return False
    return True
