"""One GNUPGHOME: its files, and how gpg is started in it and ended, see `decryptor.gnupg`."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from shared.logging import get_logger

SOCKET = "S.gpg-agent"
RUNTIME = Path("/run/user")
"""Where GnuPG puts its sockets instead, for a user who has a folder there; see gpgconf(1), --create-socketdir."""
PATIENCE_S = 10
POLL_S = 0.001
AGENT = ("gpg-agent", "--no-options", "--log-file", "/dev/null", "--disable-scdaemon", "--daemon", "--")
GPG = (
    *("gpg", "--no-options", "--batch", "--no-tty", "--quiet", "--no-autostart", "--disable-dirmngr", "--no-auto-key-retrieve"),
    *("--no-auto-key-import", "--lock-never", "--trust-model", "always", "--pinentry-mode", "loopback"),
)
"""No configuration, no network, no questions, no passphrase. Who is trusted is decided by fingerprint, not by gpg's web of trust."""


class GnupgError(Exception):
    """GnuPG, or the place for its homes, can't be used just now; the message says why, for the operator."""


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
        try:
            return subprocess.Popen(  # noqa: S603 - a list of arguments, no shell
                command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, pass_fds=(status,), env=_environment(self.path)
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
        place = self._socket()
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as agent:
                agent.settimeout(PATIENCE_S)
                agent.connect(str(place))
                agent.sendall(b"KILLAGENT\n")
                while agent.recv(1024):
                    # Its greeting, its consent, and the end, when it has closed all that it had open.
                    pass
        except OSError:
            return False
        _wait_until_gone(place)
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


def _wait_until_gone(place: Path) -> None:
    """The agent removes its socket last: if the next one's stood there by then, that one would be unreachable."""
    deadline = time.monotonic() + PATIENCE_S
    while place.exists() and time.monotonic() < deadline:
        time.sleep(POLL_S)


def _elsewhere() -> bool:
    return (RUNTIME / str(os.geteuid())).is_dir()


def _gpgconf(home: Path, *arguments: str) -> str:
    command = ["gpgconf", "--homedir", str(home), *arguments]
    try:
        done = subprocess.run(  # noqa: S603 - a list of arguments, no shell
            command, capture_output=True, text=True, check=False, timeout=PATIENCE_S, env=_environment(home)
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        get_logger().warning("gpgconf_failed", action="gnupg", path=str(home), reason=type(error).__name__)
        return ""
    return done.stdout


def _environment(home: Path) -> dict[str, str]:
    """Nothing of the service's own."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "HOME": str(home)}
