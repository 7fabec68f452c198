"""Public keys of age (X25519) as people write them, `age1…`: what is mistyped is found before a file meets it. Pure.

They are Bech32 (BIP 173; age-encryption.org/v1, "The X25519 recipient type"), whose checksum finds any four wrong characters.
"""

from collections.abc import Iterable
from functools import reduce

ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
EXPRESSION = f"age1[{ALPHABET}]{{58}}"
"""256 bits in 52 characters, and 6 of checksum."""
GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
PREFIX = (*(ord(each) >> 5 for each in "age"), 0, *(ord(each) & 31 for each in "age"))
FIELD = 2**255 - 19
NO_SECRET = frozenset(
    {
        *(0, 1, FIELD - 1),
        325606250916557431795983626356110631294008115727848805560023387167927233504,
        39382357235489614581723060781553021112529911719440698176882885853963445705823,
    }
)
"""Points of small order (cr.yp.to/ecdh.html, "How do I validate"): a secret shared with them is none, and age does not encrypt to them."""


def is_sound(recipient: str) -> bool:
    """Whether a text that fits the expression is a key that age encrypts to."""
    values = [ALPHABET.index(each) for each in recipient.removeprefix("age1")]
    # The 52nd character holds one bit of the key; the rest of it is padding.
    if _polymod((*PREFIX, *values)) != 1 or values[51] & 0b1111:
        return False
    key = reduce(lambda bits, value: bits << 5 | value, values[:52], 0) >> 4
    return int.from_bytes(key.to_bytes(32, "big"), "little") % 2**255 % FIELD not in NO_SECRET


def _polymod(values: Iterable[int]) -> int:
    checksum = 1
    for value in values:
        top = checksum >> 25
        checksum = (checksum & 0x1FFFFFF) << 5 ^ value
        for bit, factor in enumerate(GENERATOR):
            checksum ^= factor if top >> bit & 1 else 0
    return checksum
