"""The keyring: a directory of private keys, read again when it changes, so that keys are rotated by moving files.

A file is either age identities (`AGE-SECRET-KEY-1...`, one a line, `#` comments: what `age-keygen` writes) or one OpenSSH
ed25519 private key without a passphrase. Its name without the suffix is the identity's name in the ledger. Hidden files and
`*.pub` are ignored. Files that anyone but their owner may read are refused, as ssh refuses them, and those of other users.
OpenPGP secret keys are in files that end in `.asc`, `.pgp` or `.gpg` (`decryptor.gnupg_keys`); their names are their fingerprints.

At start every file must be in order. Later, a file that no longer is keeps the keys that it last had, loudly: a slip of the hand
on a running host stops nothing. A file that is removed takes its keys with it at once.
"""

import os
import shlex
import stat
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from decryptor import folder, gnupg_keys, key_file
from decryptor.folder import Fingerprint
from decryptor.gnupg import Gnupg
from decryptor.gnupg_home import GnupgError
from decryptor.gnupg_keys import KeyFile, KeyFileError
from decryptor.key_file import Identity, IdentityFileError
from shared.logging import get_logger

OTHERS = 0o077
ROOT = 0
OPENPGP = frozenset({".asc", ".pgp", ".gpg"})
"""Suffixes of files with OpenPGP secret keys."""


class Keyring:
    """The identities in `directory`. The first read happens at the first `refresh`.

    Args:
        directory: of the files.
        gnupg: reads OpenPGP keys.
    """

    def __init__(self, directory: Path, gnupg: Gnupg | None = None) -> None:
        self._directory = directory
        self._gnupg = gnupg or Gnupg()
        self._seen: Fingerprint | None = None
        self._good: Mapping[str, Identity | KeyFile] = {}
        """By file name: what it holds, or last held when it was in order."""
        self.problems: tuple[str, ...] = ()
        """What is wrong with the directory as last read, for the operator; empty when all is well."""

    @property
    def identities(self) -> tuple[Identity, ...]:
        """What age files are opened with, by name of their files."""
        return tuple(identity for identity in self._good.values() if isinstance(identity, Identity))

    @property
    def openpgp(self) -> tuple[KeyFile, ...]:
        """What OpenPGP files are opened with."""
        return tuple(key for key in self._good.values() if isinstance(key, KeyFile))

    def refresh(self) -> None:
        """Read the directory again if it changed: one stat a file. Files that can't be used are logged, see this module."""
        try:
            seen = folder.fingerprint(self._directory)
        except OSError as error:
            self._adopt(None, self._good, (f"{self._directory}: {error.strerror}",))
            return
        if seen != self._seen:
            good, problems, settled = _read_all(self._directory, seen, self._good, self._gnupg)
            self._adopt(seen if settled else None, good, problems)

    def _adopt(self, seen: Fingerprint | None, good: Mapping[str, Identity | KeyFile], problems: tuple[str, ...]) -> None:
        changed = (good, problems) != (self._good, self.problems)
        self._seen, self._good, self.problems = seen, good, problems
        if changed:
            names = [identity.name for identity in self.identities]
            openpgp = [fingerprint for key in self.openpgp for fingerprint in key.fingerprints]
            get_logger().info("keyring_read", action="keyring", identities=names, openpgp=openpgp)
            for problem in problems:
                get_logger().error("identity_unusable", action="keyring", problem=problem)


def _read_all(
    directory: Path, seen: Fingerprint, before: Mapping[str, Identity | KeyFile], gnupg: Gnupg
) -> tuple[Mapping[str, Identity | KeyFile], tuple[str, ...], bool]:
    """The identities by file name, what is wrong, and whether that is so until a file changes: gpg's own trouble may pass."""
    good: dict[str, Identity | KeyFile] = {}
    problems, settled = [], True
    names = Counter(Path(entry[0]).stem for entry in seen)
    for filename, mode, owner, *_ in seen:
        path = directory / filename
        try:
            if names[path.stem] > 1:
                raise IdentityFileError(f"another file is called {path.stem} too, and the ledger could not tell them apart: rename it")  # noqa: TRY301
            check_rights(path, mode, owner)
            good[filename] = _openpgp(path, gnupg) if path.suffix in OPENPGP else key_file.read(path)
        except (IdentityFileError, KeyFileError, GnupgError) as error:
            settled = settled and not isinstance(error, GnupgError)
            if filename in before:
                good[filename] = before[filename]
            problems.append(f"{path}: {error}{' (the keys that it had are kept)' if filename in before else ''}")
    if not seen:
        problems.append(f"{directory}: holds no identity file")
    return good, tuple(problems), settled


def _openpgp(path: Path, gnupg: Gnupg) -> KeyFile:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise IdentityFileError(str(error.strerror)) from error
    return gnupg_keys.secret(data, gnupg)


def check_rights(path: Path, mode: int, owner: int) -> None:
    """Whether a private key is its user's alone.

    Raises:
        IdentityFileError: it is not.
    """
    if not stat.S_ISREG(mode):
        raise IdentityFileError("is not a file")
    quoted, mine = shlex.quote(str(path)), os.geteuid()
    if mode & OTHERS:
        raise IdentityFileError(f"mode {stat.S_IMODE(mode):04o} lets others than its owner use it: chmod 600 {quoted}")
    if owner not in {mine, ROOT}:
        raise IdentityFileError(f"belongs to user {owner}, who may read and replace it: chown {mine} {quoted}")
