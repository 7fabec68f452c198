"""The one place where a file is encrypted: gzip first, unless it is packed already, then for the host's keys."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from hikyaku import parcel
from hikyaku.errors import UserError
from hikyaku.gpg import Gpg
from hikyaku.parcel import Readable, Recipient, Sealed, read_recipients


class Sealer(Protocol):
    """Encrypts files: age, or OpenPGP."""

    @property
    def suffix(self) -> str:
        """What the keys of such files end with."""
        ...

    @property
    def opened_by(self) -> str:
        """For whom it encrypts, as text that tells two recipients apart."""
        ...

    def seal(self, source: Readable, target: IO[bytes], *, compress: bool, progress: Callable[[int], object]) -> Sealed:
        """Write the sealed file to target.

        Args:
            source: the CSV, or already gzipped CSV with `compress=False`.
            target: receives the ciphertext.
            compress: whether to gzip first.
            progress: told the bytes read from source, chunk by chunk.
        """
        ...


@dataclass(frozen=True, slots=True)
class Age:
    """age, for one or several public keys."""

    recipients: list[Recipient]
    suffix: str = ".csv.gz.age"

    @property
    def opened_by(self) -> str:
        """The public keys."""
        return "\n".join(sorted(map(str, self.recipients)))

    def seal(self, source: Readable, target: IO[bytes], *, compress: bool, progress: Callable[[int], object]) -> Sealed:
        """Write age(gzip(source)) to target."""
        return parcel.seal(source, target, self.recipients, compress=compress, progress=progress)


@dataclass(frozen=True, slots=True)
class OpenPgp:
    """OpenPGP, by the sender's own gpg."""

    gpg: Gpg

    @property
    def suffix(self) -> str:
        """As gpg's messages have it."""
        return self.gpg.suffix

    @property
    def opened_by(self) -> str:
        """The key's file, or its fingerprint."""
        return " ".join(self.gpg.to)

    def seal(self, source: Readable, target: IO[bytes], *, compress: bool, progress: Callable[[int], object]) -> Sealed:
        """Write gpg(gzip(source)) to target."""
        return parcel.seal(source, target, self.gpg, compress=compress, progress=progress)


def chosen(recipients: list[str], files: list[Path], pgp: Gpg | None) -> Sealer:
    """What the options ask for.

    Raises:
        UserError: no key, or one that is none.
    """
    return OpenPgp(pgp) if pgp else age(recipients, files)


def age(recipients: list[str], files: list[Path]) -> Age:
    """Age for public keys given as text and as files.

    Raises:
        UserError: there is none, or one is no public key.
    """
    try:
        keys = read_recipients(recipients, files)
    except ValueError as error:
        raise UserError(str(error), exit_code=2) from None
    if not keys:
        raise UserError("no recipient", hint="Give the host's public key: -r age1… (or -R FILE, or --gpg KEY).", exit_code=2)
    return Age(keys)
