"""OpenPGP keys in files: which keys a file holds, or in words why none that can be used. No message quotes the file.

gpg itself reads them, into a home that is gone afterwards; what it lists (GnuPG, doc/DETAILS, Format of the colon listings) is judged here.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from decryptor.gnupg import Gnupg
from decryptor.gnupg_home import Home

LARGEST = 1024**2
"""Bytes of a file."""
RSA, ECDH, EDDSA = 1, 18, 22
RSA_BITS = 2048
CURVES = {ECDH: "cv25519", EDDSA: "ed25519"}
ENCRYPTS, SIGNS = "e", "s"
PACKET = re.compile(r"^:secret (?:sub )?key packet:\n(?P<about>(?:\t.*\n)*?)\tkeyid: (?P<key_id>[0-9A-F]{16})", re.MULTILINE)
"""Of gpg --list-packets."""
PASSPHRASE, ABSENT = " S2K,", "gnu-dummy S2K"
"""What it says of a key behind a passphrase, and of one that was left out of the export."""


class KeyFileError(Exception):
    """A file holds no key that can be used; the message says why and never quotes the file."""


@dataclass(frozen=True, slots=True)
class Part:
    """A primary key or a subkey."""

    primary: bool
    bits: int
    algorithm: int
    key_id: str
    uses: str
    curve: str
    fingerprint: str = ""

    @property
    def is_strong(self) -> bool:
        """Whether it is of a kind that we take."""
        return self.bits >= RSA_BITS if self.algorithm == RSA else CURVES.get(self.algorithm) == self.curve


@dataclass(frozen=True, slots=True)
class KeyFile:
    """The OpenPGP keys of one file."""

    data: bytes = field(repr=False)
    fingerprints: tuple[str, ...]
    """Of the primary keys."""
    key_ids: tuple[str, ...] = ()
    """Of what opens messages."""


def secret(data: bytes, gnupg: Gnupg) -> KeyFile:
    """The secret keys of a file.

    Raises:
        KeyFileError: there is none that can be used.
        GnupgError: gpg can't be asked.
    """
    with gnupg.home() as home:
        parts = _imported(data, home)
        held = dict(_held(home.run("--list-packets", data=data).decode("utf-8", "replace")))
    opening = [part for part in parts if ENCRYPTS in part.uses and part.key_id in held]
    if not opening:
        raise KeyFileError("holds no secret key that opens messages: gpg --export-secret-keys writes it, with its encryption subkey")
    if any(held[part.key_id] for part in opening):
        raise KeyFileError("is protected by a passphrase, and nobody is there to type it: take it off (gpg --edit-key KEY passwd)")
    _strong(opening)
    return KeyFile(data, _primaries(parts), tuple(part.key_id for part in opening))


def public(data: bytes, gnupg: Gnupg) -> KeyFile:
    """The public keys of a sender's file.

    Raises:
        KeyFileError: there is none that can be used.
        GnupgError: gpg can't be asked.
    """
    with gnupg.home() as home:
        parts = _imported(data, home)
        secrets = [name for name in home.files() if name.endswith(".key")]
    if secrets:
        raise KeyFileError("holds a secret key, which is its owner's alone: have the public key exported (gpg --armor --export)")
    signing = [part for part in parts if SIGNS in part.uses]
    if not signing:
        raise KeyFileError("holds no key that signs")
    _strong(signing)
    return KeyFile(data, _primaries(parts))


def ring(keys: Iterable[KeyFile], gnupg: Gnupg) -> dict[str, bytes]:
    """The files of a home that has all these keys.

    Raises:
        GnupgError: gpg can't be asked.
    """
    with gnupg.home() as home:
        for key in keys:
            home.run("--import", data=key.data)
        return home.files()


def _imported(data: bytes, home: Home) -> list[Part]:
    if len(data) > LARGEST:
        raise KeyFileError(f"has more than {LARGEST} bytes")
    home.run("--import", data=data)
    found = listed(home.run("--list-keys", "--with-colons").decode("utf-8", "replace"))
    if not found:
        raise KeyFileError("holds no OpenPGP key that gpg can read")
    return found


def listed(text: str) -> list[Part]:
    """The keys of a listing `--with-colons`, those that were revoked left out; each primary key before its subkeys."""
    parts: list[Part] = []
    for line in text.splitlines():
        fields = line.split(":")
        if fields[0] in {"pub", "sub"}:
            uses = "" if fields[1] == "r" else "".join(use for use in fields[11] if use.islower())
            parts.append(Part(fields[0] == "pub", int(fields[2]), int(fields[3]), fields[4], uses, fields[16]))
        elif fields[0] == "fpr" and parts:
            parts[-1] = replace(parts[-1], fingerprint=fields[9])
    return parts


def _held(packets: str) -> Iterator[tuple[str, bool]]:
    """The id of each secret key in a listing of packets, and whether it is behind a passphrase."""
    for packet in PACKET.finditer(packets):
        if ABSENT not in packet["about"]:
            yield packet["key_id"], PASSPHRASE in packet["about"]


def _primaries(parts: list[Part]) -> tuple[str, ...]:
    return tuple(part.fingerprint for part in parts if part.primary)


def _strong(parts: list[Part]) -> None:
    weak = next((part for part in parts if not part.is_strong), None)
    if weak is not None:
        raise KeyFileError(f"holds the key {weak.fingerprint}, which is neither Curve25519 nor RSA of {RSA_BITS} bits and more")
