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
import socket
import stat
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from shared import spool_place
from shared.logging import get_logger

PREFIX = "hikyaku-gnupg-"
SOCKET = "S.gpg-agent"
LONGEST = 60
"""Characters of the folder's path: the agent's sockets lie below it, and a socket's path has 107 at the most (unix(7))."""
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - mkdir with a random name, 0700
RUNTIME = Path("/run/user")
"""Where GnuPG puts its sockets instead, for a user who has a folder there; see gpgconf(1), --create-socketdir."""
PATIENCE_S = 10
PROGRAMS = ("gpg", "gpg-agent")
AGENT = ("gpg-agent", "--no-options", "--log-file", "/dev/null", "--disable-scdaemon", "--daemon", "--")
GPG = (
    *("gpg", "--no-options", "--batch", "--no-tty", "--quiet", "--no-autostart", "--disable-dirmngr", "--no-auto-key-retrieve"),
    *("--no-auto-key-import", "--lock-never", "--trust-model", "always", "--pinentry-mode", "loopback"),
)
"""No configuration, no network, no questions, no passphrase. Who is trusted is decided by fingerprint, not by gpg's web of trust."""


class GnupgError(Exception):
    """GnuPG, or the place for its homes, can't be used just now; the message says why, for the operator."""


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
    def home(self, files: Mapping[str, bytes] | None = None) -> Iterator["Home"]:
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


@dataclass(frozen=True, slots=True)
class Home:
    """One GNUPGHOME."""

    path: Path

    def fill(self, files: Mapping[str, bytes]) -> None:
        """Put files there, by their paths in it.

        Raises:
            GnupgError: there is no room.
        """
        try:
            (self.path / "private-keys-v1.d").mkdir(mode=0o700, exist_ok=True)
            for name, data in files.items():
                (self.path / name).write_bytes(data)
        except OSError as error:
            raise GnupgError(f"{self.path.parent}: gpg's home can't be written: {error.strerror}") from error

    def files(self) -> dict[str, bytes]:
        """What `fill` needs to make another home with the same keys."""
        keys = sorted(self.path.glob("private-keys-v1.d/*.key"))
        rings = [path for path in (self.path / "pubring.kbx",) if path.exists()]
        return {str(path.relative_to(self.path)): path.read_bytes() for path in (*rings, *keys)}

    def start(self, *arguments: str, status: int, stdin: int | IO[bytes] = subprocess.PIPE) -> subprocess.Popen[bytes]:
        """Start gpg and its agent. Whoever starts it ends both: `stop`.

        Args:
            arguments: what gpg shall do.
            status: descriptor that it writes its status lines to.
            stdin: its input.

        Raises:
            GnupgError: it does not start.
        """
        home = ("--homedir", str(self.path))
        command = [AGENT[0], *home, *AGENT[1:], GPG[0], *home, *GPG[1:], "--status-fd", str(status), *arguments]
        environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "HOME": str(self.path)}
        try:
            return subprocess.Popen(  # noqa: S603 - a list of arguments, no shell
                command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, pass_fds=(status,), env=environment
            )
        except OSError as error:
            raise GnupgError(f"gpg can't be started: {error.strerror}") from error

    def run(self, *arguments: str, data: bytes = b"") -> bytes:
        """Let gpg do something small, and give back what it prints.

        Raises:
            GnupgError: it does not start, or does not come to an end.
        """
        descriptor = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        try:
            process = self.start(*arguments, status=descriptor)
        finally:
            os.close(descriptor)
        with process:
            try:
                return process.communicate(data, timeout=PATIENCE_S)[0]
            except subprocess.TimeoutExpired:
                raise GnupgError(f"gpg did not come to an end within {PATIENCE_S} s") from None
            finally:
                process.kill()
                self.stop()

    def stop(self) -> bool:
        """End the agent, and wait until it has.

        Returns:
            Whether it was there.
        """
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as agent:
                agent.settimeout(PATIENCE_S)
                agent.connect(str(self._socket()))
                agent.sendall(b"KILLAGENT\n")
                while agent.recv(1024):
                    # Its greeting, its consent, and the end, when it has closed all that it had open.
                    pass
        except OSError:
            return False
        return True

    def remove(self) -> None:
        """End the agent and remove all of it. An agent that did not hear ends when its home is gone."""
        self.stop()
        if _elsewhere():
            _gpgconf(self.path, "--remove-socketdir")
        shutil.rmtree(self.path, ignore_errors=True)
        if self.path.exists():
            get_logger().error("gnupg_home_left", action="gnupg", path=str(self.path), reason="it can't be removed: remove it by hand")

    def _socket(self) -> Path:
        if not _elsewhere():
            return self.path / SOCKET
        return Path(_gpgconf(self.path, "--list-dirs", "agent-socket").strip() or self.path / SOCKET)


def _elsewhere() -> bool:
    return (RUNTIME / str(os.geteuid())).is_dir()


def _gpgconf(home: Path, *arguments: str) -> str:
    command = ["gpgconf", "--homedir", str(home), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S)  # noqa: S603 - a list, no shell
    return done.stdout


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
