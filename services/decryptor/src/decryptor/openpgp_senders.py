"""The folder of the senders' OpenPGP keys: who is known, and by which fingerprints. Read again when it changes.

A file holds the public keys of one sender, as `gpg --armor --export` writes them; its name without the suffix is the sender's name, which
`senders` of datasets.toml knows. A key that is in no file vouches for nothing, however well it is known elsewhere.

At start every file must be in order. Later, a file that no longer is keeps the keys that it last had, and the log says so.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from decryptor import folder, gnupg_keys
from decryptor.folder import Fingerprint
from decryptor.gnupg import Gnupg
from decryptor.gnupg_home import GnupgError
from decryptor.gnupg_keys import KeyFile, KeyFileError
from shared.logging import get_logger


@dataclass(frozen=True, slots=True)
class Sender:
    """One file."""

    name: str
    keys: KeyFile


class OpenPgpSenders:
    """Who is known. The first look happens at the first `refresh`.

    Args:
        directory: of the files. It need not exist: then nobody is known.
        gnupg: reads them.
    """

    def __init__(self, directory: Path | None, gnupg: Gnupg) -> None:
        self._directory = directory
        self._gnupg = gnupg
        self._seen: Fingerprint | None = ()
        self._good: Mapping[str, Sender] = {}
        """By file name."""
        self.problems: tuple[str, ...] = ()
        """What is wrong with the folder as last read."""

    @property
    def senders(self) -> tuple[Sender, ...]:
        """By name of their files."""
        return tuple(self._good.values())

    def by_fingerprint(self) -> dict[str, Sender]:
        """Who vouches by which primary key."""
        return {fingerprint: sender for sender in self.senders for fingerprint in sender.keys.fingerprints}

    def refresh(self) -> None:
        """Read the folder again if it changed."""
        try:
            seen = folder.fingerprint(self._directory) if self._directory is not None and self._directory.exists() else ()
        except OSError as error:
            self._adopt(None, self._good, (f"{self._directory}: {error.strerror}",))
            return
        if seen != self._seen:
            self._adopt(*self._read(seen))

    def _adopt(self, seen: Fingerprint | None, good: Mapping[str, Sender], problems: tuple[str, ...]) -> None:
        changed = (good, problems) != (self._good, self.problems)
        self._seen, self._good, self.problems = seen, good, problems
        if changed:
            get_logger().info("openpgp_senders_read", action="signers", senders=[sender.name for sender in self.senders])
            for problem in problems:
                get_logger().error("openpgp_sender_unusable", action="signers", problem=problem)

    def _read(self, seen: Fingerprint) -> tuple[Fingerprint | None, Mapping[str, Sender], tuple[str, ...]]:
        good: dict[str, Sender] = {}
        problems, settled = [], True
        for filename, *_ in seen:
            path = Path(self._directory or "") / filename
            try:
                sender = Sender(path.stem, gnupg_keys.public(_content(path), self._gnupg))
                _only(sender, good.values())
                good[filename] = sender
            except (KeyFileError, GnupgError) as error:
                # gpg's own trouble may pass without a change of the folder.
                settled = settled and not isinstance(error, GnupgError)
                kept = self._good.get(filename)
                problems.append(f"{path}: {error}{' (the keys that it had are kept)' if kept else ''}")
                if kept:
                    good[filename] = kept
        return (seen if settled else None), good, tuple(problems)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise KeyFileError(f"{error.strerror}") from error


def _only(sender: Sender, others: Iterable[Sender]) -> None:
    """Whether its keys are no other sender's: one signature can't be two senders'."""
    for other in others:
        if set(sender.keys.fingerprints) & set(other.keys.fingerprints):
            raise KeyFileError(f"holds a key that is {other.name}'s too: a key speaks for one sender")
