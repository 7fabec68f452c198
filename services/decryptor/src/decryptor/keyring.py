"""The keyring: a directory of private keys, read again when it changes, so that keys are rotated by moving files.

A file is either age identities (`AGE-SECRET-KEY-1...`, one a line, `#` comments: what `age-keygen` writes) or one OpenSSH
ed25519 private key without a passphrase. Its name without the suffix is the identity's name in the ledger. Hidden files and
`*.pub` are ignored. Files that anyone but their owner may read are refused, as ssh refuses them, and those of other users.

At start every file must be in order. Later, a file that no longer is keeps the keys that it last had, loudly: a slip of the hand
on a running host stops nothing. A file that is removed takes its keys with it at once.
"""

import os
import shlex
import stat
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from decryptor import key_file
from decryptor.key_file import Identity, IdentityFileError
from shared.logging import get_logger

OTHERS = 0o077
ROOT = 0

Fingerprint = tuple[tuple[str, int, int, int, int, int], ...]
"""Name, mode, owner, inode, size and mtime (ns) of each file: it changes when the directory does."""


class Keyring:
    """The identities in `directory`. The first read happens at the first `refresh`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._seen: Fingerprint | None = None
        self._good: Mapping[str, Identity] = {}
        """By file name: what it holds, or last held when it was in order."""
        self.problems: tuple[str, ...] = ()
        """What is wrong with the directory as last read, for the operator; empty when all is well."""

    @property
    def identities(self) -> tuple[Identity, ...]:
        """What files are opened with, by name of their files."""
        return tuple(self._good.values())

    def refresh(self) -> None:
        """Read the directory again if it changed: one stat a file. Files that can't be used are logged, see this module."""
        try:
            seen = _fingerprint(self._directory)
        except OSError as error:
            self._adopt(None, self._good, (f"{self._directory}: {error.strerror}",))
            return
        if seen != self._seen:
            self._adopt(seen, *_read_all(self._directory, seen, self._good))

    def _adopt(self, seen: Fingerprint | None, good: Mapping[str, Identity], problems: tuple[str, ...]) -> None:
        changed = (good, problems) != (self._good, self.problems)
        self._seen, self._good, self.problems = seen, good, problems
        if changed:
            get_logger().info("keyring_read", action="keyring", identities=[identity.name for identity in self.identities])
            for problem in problems:
                get_logger().error("identity_unusable", action="keyring", problem=problem)


def _fingerprint(directory: Path) -> Fingerprint:
    paths = sorted(path for path in directory.iterdir() if not path.name.startswith(".") and path.suffix != ".pub")
    # A file that is removed between the two looks is gone, which is what its remover wanted.
    stats = [(path.name, path.stat()) for path in paths if path.exists()]
    return tuple((name, s.st_mode, s.st_uid, s.st_ino, s.st_size, s.st_mtime_ns) for name, s in stats)


def _read_all(directory: Path, seen: Fingerprint, before: Mapping[str, Identity]) -> tuple[Mapping[str, Identity], tuple[str, ...]]:
    """The identities by file name, and what is wrong."""
    good, problems = {}, []
    names = Counter(Path(entry[0]).stem for entry in seen)
    for filename, mode, owner, *_ in seen:
        path = directory / filename
        try:
            if names[path.stem] > 1:
                raise IdentityFileError(f"another file is called {path.stem} too, and the ledger could not tell them apart: rename it")  # noqa: TRY301
            _check_rights(path, mode, owner)
            good[filename] = key_file.read(path)
        except IdentityFileError as error:
            if filename in before:
                good[filename] = before[filename]
            problems.append(f"{path}: {error}{' (the keys that it had are kept)' if filename in before else ''}")
    if not seen:
        problems.append(f"{directory}: holds no identity file")
    return good, tuple(problems)


def _check_rights(path: Path, mode: int, owner: int) -> None:
    if not stat.S_ISREG(mode):
        raise IdentityFileError("is not a file")
    quoted, mine = shlex.quote(str(path)), os.geteuid()
    if mode & OTHERS:
        raise IdentityFileError(f"mode {stat.S_IMODE(mode):04o} lets others than its owner use it: chmod 600 {quoted}")
    if owner not in {mine, ROOT}:
        raise IdentityFileError(f"belongs to user {owner}, who may read and replace it: chown {mine} {quoted}")
