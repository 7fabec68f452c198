"""The keyring: a directory of private keys, read again when it changes, so that keys are rotated by moving files.

A file is either age identities (`AGE-SECRET-KEY-1...`, one a line, `#` comments: what `age-keygen` writes) or one OpenSSH
ed25519 private key without a passphrase. Its name without the suffix is the identity's name in the ledger. Hidden files and
`*.pub` are ignored. Files that anyone but their owner may read are refused, as ssh refuses them.
"""

import base64
import binascii
import stat
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyrage

from shared.logging import get_logger

OTHERS = 0o077
AGE_KEY = "AGE-SECRET-KEY-1"
SSH_BEGIN = "-----BEGIN OPENSSH PRIVATE KEY-----"
SSH_END = "-----END OPENSSH PRIVATE KEY-----"
SSH_PLAIN_ED25519 = b"openssh-key-v1\0" + b"\0\0\0\x04none" * 2 + b"\0\0\0\0" + b"\0\0\0\x01" + b"\0\0\0\x33" + b"\0\0\0\x0bssh-ed25519"
"""How the decoded key begins: no cipher, no key derivation, one key of 51 bytes (OpenSSH, PROTOCOL.key)."""

Fingerprint = tuple[tuple[str, int, int, int, int], ...]
"""Name, inode, mode, size and mtime (ns) of each file: it changes when the directory does."""


class IdentityFileError(Exception):
    """A file of the keyring can't be used; the message says why and never quotes the file."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The private keys of one file."""

    name: str
    keys: tuple[Any, ...]
    """pyrage identities; several lines of one file count as one identity."""


class Keyring:
    """The identities in `directory`. The first read happens at the first `refresh`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._seen: Fingerprint | None = None
        self.identities: tuple[Identity, ...] = ()
        self.problems: tuple[str, ...] = ()
        """What is wrong with the directory as last read, for the operator; empty when all is well."""

    def refresh(self) -> None:
        """Read the directory again if it changed: one stat a file. Files that can't be used are skipped and logged."""
        try:
            seen = _fingerprint(self._directory)
        except OSError as error:
            self._adopt(None, (), (f"{self._directory}: {error.strerror}",))
            return
        if seen != self._seen:
            self._adopt(seen, *_read_all(self._directory, seen))

    def _adopt(self, seen: Fingerprint | None, identities: tuple[Identity, ...], problems: tuple[str, ...]) -> None:
        changed = (identities, problems) != (self.identities, self.problems)
        self._seen, self.identities, self.problems = seen, identities, problems
        if changed:
            get_logger().info("keyring_read", action="keyring", identities=[identity.name for identity in identities])
            for problem in problems:
                get_logger().error("identity_unusable", action="keyring", problem=problem)


def _fingerprint(directory: Path) -> Fingerprint:
    paths = sorted(path for path in directory.iterdir() if not path.name.startswith(".") and path.suffix != ".pub")
    # A file that is removed between the two looks is gone, which is what its remover wanted.
    stats = [(path.name, path.stat()) for path in paths if path.exists()]
    return tuple((name, s.st_ino, s.st_mode, s.st_size, s.st_mtime_ns) for name, s in stats)


def _read_all(directory: Path, seen: Fingerprint) -> tuple[tuple[Identity, ...], tuple[str, ...]]:
    identities, problems = [], []
    names = Counter(Path(entry[0]).stem for entry in seen)
    for filename, _, mode, *_ in seen:
        path = directory / filename
        try:
            if names[path.stem] > 1:
                raise IdentityFileError(f"another file is called {path.stem} too, and the ledger could not tell them apart: rename it")  # noqa: TRY301
            identities.append(_read(path, mode))
        except IdentityFileError as error:
            problems.append(f"{path}: {error}")
    if not seen:
        problems.append(f"{directory}: holds no identity file")
    return tuple(identities), tuple(problems)


def _read(path: Path, mode: int) -> Identity:
    if not stat.S_ISREG(mode):
        raise IdentityFileError("is not a file")
    if mode & OTHERS:
        raise IdentityFileError(f"mode {stat.S_IMODE(mode):04o} lets others than its owner use it: chmod 600")
    try:
        text = path.read_text(encoding="ascii")
    except OSError as error:
        raise IdentityFileError(str(error.strerror)) from error
    except UnicodeDecodeError:
        # Not chained: the exception holds the file's bytes.
        raise IdentityFileError("is neither age identities nor an OpenSSH private key") from None
    return Identity(name=path.stem, keys=_ssh_key(text) if text.lstrip().startswith(SSH_BEGIN) else _age_keys(text))


def _age_keys(text: str) -> tuple[Any, ...]:
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), start=1)]
    keys = tuple(_age_key(number, line) for number, line in lines if line and not line.startswith("#"))
    if not keys:
        raise IdentityFileError("holds no key")
    return keys


def _age_key(number: int, line: str) -> Any:
    if not line.startswith(AGE_KEY):
        raise IdentityFileError(f"line {number} is not an {AGE_KEY} key")
    try:
        return pyrage.x25519.Identity.from_str(line)
    except pyrage.IdentityError:
        raise IdentityFileError(f"line {number} is a damaged {AGE_KEY} key") from None


def _ssh_key(text: str) -> tuple[Any, ...]:
    body = text.strip().removeprefix(SSH_BEGIN).removesuffix(SSH_END)
    try:
        if not base64.b64decode(body).startswith(SSH_PLAIN_ED25519):
            raise IdentityFileError("is not an ed25519 key without a passphrase")
        return (pyrage.ssh.Identity.from_buffer(text.encode()),)
    except (binascii.Error, pyrage.IdentityError):
        raise IdentityFileError("is a damaged OpenSSH private key") from None
