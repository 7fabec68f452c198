"""OpenPGP packets by hand (RFC 4880), for messages that no honest program makes: any packets, encrypted to the host as gpg would."""

import bz2
import hashlib
import zlib
from tempfile import NamedTemporaryFile

from cryptography.hazmat.decrepit.ciphers.modes import CFB
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

from fakes.gpg import Person

LITERAL, COMPRESSED, SEIPD, PKESK, MARKER = 11, 8, 18, 1, 10
AES256 = b"\x09"
ZIP, BZIP2 = b"\x01", b"\x03"


def packet(tag: int, body: bytes) -> bytes:
    """In the new format, with a length of five octets (section 4.2.2)."""
    return bytes([0xC0 | tag, 0xFF]) + len(body).to_bytes(4, "big") + body


def literal(data: bytes) -> bytes:
    """A literal packet without a name (section 5.9)."""
    return packet(LITERAL, b"b\x00" + bytes(4) + data)


def zipped(data: bytes) -> bytes:
    """A compressed packet (section 5.6)."""
    compressor = zlib.compressobj(9, wbits=-15)
    return packet(COMPRESSED, ZIP + compressor.compress(data) + compressor.flush())


def bzipped(data: bytes) -> bytes:
    """A compressed packet of the other kind."""
    return packet(COMPRESSED, BZIP2 + bz2.compress(data))


def first(message: bytes) -> tuple[bytes, bytes]:
    """Body of the first packet, of gpg's old format with a length of one or two octets (section 4.2.1), and what follows it."""
    size = 1 << (message[0] & 3)
    length = int.from_bytes(message[1 : 1 + size], "big")
    return message[1 + size : 1 + size + length], message[1 + size + length :]


def inside(message: bytes, host: Person) -> tuple[bytes, bytes]:
    """The packet that holds the session key of a message, and the session key."""
    with NamedTemporaryFile() as file:
        options = ("--status-fd", "1", "--show-session-key", "--skip-verify", "--yes", "--output", file.name)
        said = host.gpg(*options, "--decrypt", data=message, passphrase=())
    [line] = [line for line in said.decode().splitlines() if " SESSION_KEY " in line]
    algorithm, key = line.split()[2].split(":")
    assert bytes([int(algorithm)]) == AES256
    return packet(PKESK, first(message)[0]), bytes.fromhex(key)


def encrypted(key: bytes, packets: bytes) -> bytes:
    """Packets within integrity protected encryption (sections 5.13 and 5.14)."""
    prefix = bytes(range(16)) + bytes([14, 15])
    plain = prefix + packets + b"\xd3\x14"
    plain += hashlib.sha1(plain, usedforsecurity=False).digest()
    encryptor = Cipher(algorithms.AES(key), CFB(bytes(16))).encryptor()
    return packet(SEIPD, b"\x01" + encryptor.update(plain) + encryptor.finalize())


def content(key: bytes, message: bytes) -> bytes:
    """The packets within gpg's own encryption: the inverse of `encrypted`, for partial lengths too."""
    _, rest = first(message)
    body, rest = _new_body(rest)
    decryptor = Cipher(algorithms.AES(key), CFB(bytes(16))).decryptor()
    plain = decryptor.update(body[1:]) + decryptor.finalize()
    assert rest == b""
    return plain[18:-22]


def _new_body(data: bytes) -> tuple[bytes, bytes]:
    body, at = b"", 1
    while True:
        octet = data[at]
        if octet < 192:
            size, at, more = octet, at + 1, False
        elif octet < 224:
            size, at, more = ((octet - 192) << 8) + data[at + 1] + 192, at + 2, False
        elif octet == 255:
            size, at, more = int.from_bytes(data[at + 1 : at + 5], "big"), at + 5, False
        else:
            size, at, more = 1 << (octet & 31), at + 1, True
        body, at = body + data[at : at + size], at + size
        if not more:
            return body, data[at:]
