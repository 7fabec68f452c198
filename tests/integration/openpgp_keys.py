"""OpenPGP keys of a stack: where they are put, and what of them must be found nowhere else."""

from collections.abc import Mapping
from pathlib import Path

from fakes import openpgp_packets as packets
from fakes.gpg import Person

SECRET_KEYS = {5, 7}
"""Tags of packets: a primary key, a subkey (RFC 4880, section 4.3)."""
CHECKSUM, PIECE = 2, 14
"""Bytes. gpg breaks a number that it writes down after some 70 columns: then one of two pieces is whole."""


def introduce(folder: Path, host: Person, senders: Mapping[str, tuple[Person, ...]]) -> None:
    """Put the host's secret key, and the senders' public keys, where a stack that runs already finds them."""
    key = folder / "secrets" / "identities" / "openpgp.asc"
    key.touch(0o600)
    key.write_bytes(host.secret())
    (folder / "openpgp_senders").mkdir(exist_ok=True)
    for name, persons in senders.items():
        (folder / "openpgp_senders" / f"{name}.asc").write_bytes(b"".join(each.public() for each in persons))


def secrets(person: Person) -> list[bytes]:
    """The last two pieces of each key's secret number; its first bytes may be zeros, which nobody writes.

    Without a passphrase, a packet ends with the number and a checksum (RFC 4880, section 5.5.3).
    """
    found, rest = [], person.gpg("--export-secret-keys", person.fingerprint, passphrase=())
    while rest:
        tag = rest[0] >> 2 & 15
        body, rest = packets.first(rest)
        if tag in SECRET_KEYS:
            number = body[:-CHECKSUM]
            found += [number[-2 * PIECE : -PIECE], number[-PIECE:]]
    return found


def armored(person: Person) -> bytes:
    """The last whole line of its armored secret key."""
    return [line for line in person.secret().splitlines() if len(line) > PIECE and not line.startswith(b"-")][-1]
