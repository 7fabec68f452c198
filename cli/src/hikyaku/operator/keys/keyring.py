"""The keyring's files as the decryptor takes them: hidden files and `*.pub` are none, and a name is the file's without its suffix."""

import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from hikyaku.errors import UserError
from hikyaku.setup import identity

_CREATED = re.compile(r"^# created: (\S+)$", re.MULTILINE)
_OPENSSH = "-----BEGIN OPENSSH PRIVATE KEY-----"


@dataclass(frozen=True, slots=True)
class Key:
    """One file.

    Attributes:
        path: of the file.
        recipients: age1…, what senders encrypt to; none of an OpenSSH key.
        since: when it was made, by its own comment or else by the file's time.
        mode: permission bits.
        owner: uid.
        problem: why it opens nothing, "" when it does.
    """

    path: Path
    recipients: tuple[str, ...]
    since: datetime
    mode: int
    owner: int
    problem: str = ""

    @property
    def name(self) -> str:
        """As the ledger calls it."""
        return self.path.stem


def read(folder: Path) -> list[Key]:
    """The identities in a folder, oldest first; none when there is no such folder.

    Raises:
        UserError: the folder, or a file in it, can't be read.
    """
    try:
        return sorted(_read(folder), key=lambda key: (key.since, key.name)) if folder.exists() else []
    except OSError as error:
        raise UserError(f"{error.filename}: {error.strerror}", hint="The keys are the decryptor's: run this as root.") from None


def _read(folder: Path) -> Iterator[Key]:
    for path in folder.iterdir():
        if not path.name.startswith(".") and path.suffix != ".pub":
            yield _key(path)


def _key(path: Path) -> Key:
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        return Key(path, (), _time(found.st_mtime), stat.S_IMODE(found.st_mode), found.st_uid, "is not a file")
    text = path.read_text(encoding="ascii", errors="replace")
    recipients = tuple(identity.recipients(text))
    problem = "" if recipients or text.lstrip().startswith(_OPENSSH) else "holds no age identity that can be read"
    return Key(path, recipients, _since(text, found.st_mtime), stat.S_IMODE(found.st_mode), found.st_uid, problem)


def _since(text: str, modified: float) -> datetime:
    said = _CREATED.search(text)
    try:
        # age-keygen(1) writes the local time with its offset.
        made = datetime.fromisoformat(said[1]) if said else _time(modified)
    except ValueError:
        return _time(modified)
    return made if made.tzinfo else made.replace(tzinfo=UTC)


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(int(seconds), UTC)


def named(keys: list[Key], name: str) -> Key:
    """The key of this name, with or without the file's suffix.

    Raises:
        UserError: there is none. Exit code 2.
    """
    for key in keys:
        if name in {key.name, key.path.name}:
            return key
    hint = f"There are: {', '.join(key.name for key in keys) or 'none'}."
    raise UserError(f"there is no identity {name} in the keyring", hint=hint, exit_code=2)
