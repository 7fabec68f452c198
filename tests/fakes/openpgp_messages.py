"""OpenPGP messages that must be refused, made by gpg or by hand, each with the error code that it ends with."""

from collections.abc import Callable

from decryptor.openpgp import UNCONDITIONAL
from fakes import openpgp_packets as packets
from fakes.gpg import People

Maker = Callable[[People, bytes], bytes]
"""Who writes, and what about."""


def by_hand(people: People, content: bytes, make: Callable[[bytes], bytes]) -> bytes:
    """The packets of a good message, changed within the encryption."""
    message = people.seal(content, options=("--compress-algo", "none"))
    session, key = packets.inside(message, people.host)
    return session + packets.encrypted(key, make(packets.content(key, message)))


def for_another(people: People, content: bytes, *options: str) -> bytes:
    """For the stranger."""
    return people.acme.seal(content, people.stranger.card, options=options)


def _signed_only(people: People, content: bytes) -> bytes:
    return people.acme.gpg("--sign", data=content)


def _armored(people: People, content: bytes) -> bytes:
    return people.seal(content, options=("--armor",))


def _symmetric(people: People, content: bytes) -> bytes:
    return people.acme.gpg("--passphrase", "x", "--symmetric", data=content)


def _no_mdc(people: People, content: bytes) -> bytes:
    return people.seal(content, options=("--rfc2440", "--disable-mdc", "--cipher-algo", "AES256"))


def _a_hundred_recipients(people: People, content: bytes) -> bytes:
    sealed = people.seal(content)
    return packets.packet(packets.PKESK, packets.first(sealed)[0]) * 100 + sealed


REFUSED: dict[str, tuple[Maker, str]] = {
    "nothing": (lambda _people, _content: b"", "openpgp_invalid"),
    "text": (lambda _people, _content: b"id,item\n", "openpgp_invalid"),
    "noise": (lambda _people, _content: b"\xff" * 1000, "openpgp_invalid"),
    "gzip": (lambda _people, _content: b"\x1f\x8b\x08\x00" + bytes(100), "openpgp_invalid"),
    "armor": (_armored, "openpgp_invalid"),
    "armor after a blank line": (lambda people, content: b"\n" + _armored(people, content), "openpgp_invalid"),
    "signed, not encrypted": (_signed_only, "openpgp_invalid"),
    "literal, not encrypted": (lambda _people, content: packets.literal(content), "openpgp_invalid"),
    "a key": (lambda people, _content: people.acme.gpg("--export"), "openpgp_invalid"),
    "a detached signature": (lambda people, content: people.acme.gpg("--detach-sign", data=content), "openpgp_invalid"),
    "a passphrase": (_symmetric, "openpgp_invalid"),
    "no mdc": (_no_mdc, "openpgp_invalid"),
    "for another": (for_another, "no_matching_identity"),
    "for another, hidden": (lambda people, content: for_another(people, content, "--throw-keyids"), "no_matching_identity"),
    "junk behind": (lambda people, content: people.seal(content) + b"junk", "openpgp_invalid"),
    "a line feed behind": (lambda people, content: people.seal(content) + b"\n", "openpgp_invalid"),
    "much junk behind": (lambda people, content: people.seal(content) + bytes(5_000_000), "openpgp_invalid"),
    "a literal behind": (lambda people, content: people.seal(content) + packets.literal(b"x"), "openpgp_invalid"),
    "a literal before": (lambda people, content: packets.literal(b"x") + people.seal(content), "openpgp_invalid"),
    "twice": (lambda people, content: people.seal(content) * 2, "openpgp_invalid"),
    "signed outside": (lambda people, content: people.seal(content, sign=False) + _signed_only(people, content), "openpgp_invalid"),
    "two literals within": (lambda people, content: by_hand(people, content, lambda p: p + packets.literal(b"x")), "openpgp_invalid"),
    "another literal first": (lambda people, content: by_hand(people, content, lambda p: packets.literal(b"x") + p), "openpgp_invalid"),
    "another content": (
        lambda people, content: by_hand(people, content, lambda p: p.replace(content, content.swapcase())),
        "signature_invalid",
    ),
    "the signature cut off": (lambda people, content: by_hand(people, content, lambda p: p[:-60]), "openpgp_invalid"),
    "no literal": (lambda people, content: by_hand(people, content, lambda _: b""), "openpgp_invalid"),
    "an encrypted message within": (
        lambda people, content: by_hand(people, content, lambda _: people.seal(content)),
        "openpgp_invalid",
    ),
    "a hundred recipients": (_a_hundred_recipients, "openpgp_invalid"),
}

Packing = Callable[[bytes], bytes]

PACKINGS: dict[str, Packing] = {
    "zip": packets.zipped,
    "bzip2": packets.bzipped,
    "zip in zip": lambda data: packets.zipped(packets.zipped(data)),
    "bzip2 in zip in bzip2": lambda data: packets.bzipped(packets.zipped(packets.bzipped(data))),
}
"""In each of which a bomb may come."""


def packed(people: People, packing: Packing, content: bytes) -> bytes:
    """A message that nobody signed, packed so."""
    return by_hand(people, b"", lambda _: packing(packets.literal(content)))


def bomb(people: People, packing: Packing) -> bytes:
    """One byte too many."""
    return packed(people, packing, bytes(UNCONDITIONAL + 1))
