import hashlib
import io
import zlib
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import pyrage
import pytest

from decryptor.decrypt import HEADER_MAX, NO_MATCH, STANZAS_MAX, decrypt, read_header
from decryptor.download import Source
from decryptor.keyring import Keyring
from fakes.s3 import Wire
from shared.errors import ErrorCode, Rejected, Retryable

VECTORS = sorted((Path(__file__).parents[1] / "data" / "age-testkit").iterdir())
AGE_KEY = "AGE-SECRET-KEY-1"
EXCLUDED: tuple[tuple[str, str, set[ErrorCode]], ...] = (
    ("armor_*", "armor: senders have no use for a third more bytes, and it is one more parser", {ErrorCode.AGE_HEADER_INVALID}),
    ("scrypt", "passphrases: nobody is there to type one, and a file could ask for hours of work", {ErrorCode.AGE_HEADER_INVALID}),
    ("scrypt_[!u]*", "the same; scrypt_uppercase is a stanza that nobody knows, and judged as such", {ErrorCode.AGE_HEADER_INVALID}),
    # Sound or not, it is for nobody here.
    ("hybrid*", "post-quantum identities: pyrage has none", {ErrorCode.NO_MATCHING_IDENTITY, ErrorCode.AGE_HEADER_INVALID}),
)
"""Vectors, by name, of what we do not open even where age does: why not, and the code that says so."""


@dataclass(frozen=True, slots=True)
class Vector:
    """One file of C2SP/CCTV's age/testdata: fields, an empty line, the age file (perhaps deflated)."""

    fields: dict[str, str]
    identities: tuple[str, ...]
    data: bytes


def read_vector(path: Path) -> Vector:
    head, _, data = path.read_bytes().partition(b"\n\n")
    lines = [line.split(": ", 1) for line in head.decode().splitlines()]
    fields = dict(lines)
    identities = tuple(value for name, value in lines if name == "identity" and value.startswith(AGE_KEY))
    return Vector(fields, identities, zlib.decompress(data) if fields.get("compressed") == "zlib" else data)


def keyring(directory: Path, identities: tuple[str, ...]) -> Keyring:
    for number, identity in enumerate(identities):
        path = directory / f"key{number}.txt"
        path.touch(0o600)
        path.write_text(identity)
    # Our keyring is never without a key: a stranger's.
    stranger = directory / "stranger.txt"
    stranger.touch(0o600)
    stranger.write_text(str(pyrage.x25519.Identity.generate()))
    return Keyring(directory)


def code_of(data: bytes, ring: Keyring) -> ErrorCode:
    with pytest.raises(Rejected) as caught:
        decrypt(Source(io.BytesIO(data)), io.BytesIO(), ring)
    return caught.value.error_code


def expected(name: str, vector: Vector) -> set[ErrorCode]:
    """What the vector must lead to, where it is not to be opened."""
    for pattern, _, codes in EXCLUDED:
        if fnmatchcase(name, pattern):
            return codes
    return {
        "header failure": {ErrorCode.AGE_HEADER_INVALID},
        "HMAC failure": {ErrorCode.AGE_HEADER_INVALID},
        "no match": {ErrorCode.NO_MATCHING_IDENTITY},
        "payload failure": {ErrorCode.CIPHERTEXT_CORRUPT},
        "success": set(),
    }[vector.fields["expect"]]


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.name)
def test_age_test_vector(path: Path, tmp_path: Path) -> None:
    vector = read_vector(path)
    ring = keyring(tmp_path, vector.identities)
    codes = expected(path.name, vector)
    if codes:
        assert code_of(vector.data, ring) in codes
        return
    sink = io.BytesIO()
    assert decrypt(Source(io.BytesIO(vector.data)), sink, ring) == "key0"
    assert hashlib.sha256(sink.getvalue()).hexdigest() == vector.fields["payload"]


def test_the_vectors_are_all_there() -> None:
    outcomes = [expected(path.name, read_vector(path)) for path in VECTORS]
    assert len(outcomes) == 143
    assert outcomes.count(set()) == 14
    names = [path.name for path in VECTORS]
    assert [sum(fnmatchcase(name, pattern) for name in names) for pattern, _, _ in EXCLUDED] == [33, 1, 23, 18]


IDENTITY = pyrage.x25519.Identity.generate()
SEALED = pyrage.encrypt(b"id\n1\n", [IDENTITY.to_public()])
HEADER = SEALED[: SEALED.index(b"\n", SEALED.index(b"\n--- ") + 1) + 1]


@pytest.fixture
def ring(tmp_path: Path) -> Keyring:
    return keyring(tmp_path, (str(IDENTITY),))


def grease(count: int, lines: int = 0) -> bytes:
    """A header of `count` stanzas of a kind that nobody knows."""
    stanza = b"-> grease x\n" + (b"A" * 64 + b"\n") * lines + b"\n"
    return b"age-encryption.org/v1\n" + stanza * count + b"--- " + b"A" * 43 + b"\n"


HOSTILE = {
    "empty": b"",
    "not age": b"id,name\n1,a\n",
    "gzip": b"\x1f\x8b\x08\x00",
    "armored": pyrage.encrypt(b"x", [IDENTITY.to_public()], armored=True),
    "armored after spaces": b" \r\n\t-----BEGIN AGE ENCRYPTED FILE-----\n",
    "OpenPGP": b"-----BEGIN PGP MESSAGE-----\n\n",
    "passphrase": pyrage.passphrase.encrypt(b"x", "correct horse"),
    "no stanza": grease(0),
    "too many stanzas": grease(STANZAS_MAX + 1) + bytes(100),
    "too long": grease(1, lines=HEADER_MAX // 65) + bytes(100),
    "far too long": grease(1, lines=100_000) + bytes(100),
    "endless": b"age-encryption.org/v1\n" + b"-> " + b"x" * 1_000_000,
    "no end": grease(3)[:-1],
    "another version": SEALED.replace(b"/v1", b"/v2"),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_header_that_is_not_ours_is_refused(data: bytes, ring: Keyring) -> None:
    assert code_of(data, ring) == ErrorCode.AGE_HEADER_INVALID


def test_a_hostile_header_is_not_read_to_its_end(ring: Keyring) -> None:
    source = Source(io.BytesIO(HOSTILE["far too long"]))
    with pytest.raises(Rejected):
        decrypt(source, io.BytesIO(), ring)
    assert source.size < len(HOSTILE["far too long"]) // 10


@pytest.mark.parametrize("data", [grease(STANZAS_MAX), grease(1, lines=HEADER_MAX // 65 - 2)], ids=["most stanzas", "longest"])
def test_a_header_within_the_bounds_is_only_for_somebody_else(data: bytes, ring: Keyring) -> None:
    assert code_of(data + bytes(100), ring) == ErrorCode.NO_MATCHING_IDENTITY


def test_a_refused_header_says_why(ring: Keyring) -> None:
    def message(name: str) -> str:
        with pytest.raises(Rejected) as caught:
            decrypt(Source(io.BytesIO(HOSTILE[name])), io.BytesIO(), ring)
        return caught.value.message

    assert "--armor" in message("armored")
    assert "passphrase" in message("passphrase")
    assert "not an age v1 file" in message("gzip")


def test_the_header_stays_in_the_source() -> None:
    source = Source(io.BytesIO(SEALED))
    assert read_header(source) == HEADER
    assert source.read(len(SEALED)) == SEALED


def test_as_many_recipients_as_allowed_open(ring: Keyring) -> None:
    others = [pyrage.x25519.Identity.generate().to_public() for _ in range(STANZAS_MAX - 2)]
    sink = io.BytesIO()
    data = pyrage.encrypt(b"id\n1\n", [*others, IDENTITY.to_public()])
    assert decrypt(Source(io.BytesIO(data)), sink, ring) == "key0"
    assert sink.getvalue() == b"id\n1\n"


def test_pyrage_words_a_missing_match_as_we_expect() -> None:
    with pytest.raises(pyrage.DecryptError) as caught:
        pyrage.decrypt(SEALED, [pyrage.x25519.Identity.generate()])
    assert str(caught.value) == NO_MATCH
    for damaged in (SEALED.replace(b"\n--- ", b"\n--- A", 1), HEADER):
        with pytest.raises(pyrage.DecryptError) as caught:
            pyrage.decrypt(damaged, [IDENTITY])
        assert str(caught.value) != NO_MATCH


class Interrupt(BaseException):
    """Such as a signal handler's exception."""


class ShortSighted(Source):
    """Looks no further ahead than the header, so that pyrage itself meets the failure behind it."""

    def peek(self, size: int) -> bytes:
        return super().peek(min(size, len(HEADER)))


@pytest.mark.parametrize(
    ("failure", "raised"), [(ConnectionResetError(), Retryable), (Interrupt(), Interrupt)], ids=["connection", "interruption"]
)
def test_what_pyrage_swallows_behind_the_header_comes_out(failure: BaseException, raised: type[BaseException], ring: Keyring) -> None:
    with pytest.raises(raised):
        decrypt(ShortSighted(Wire(HEADER, failure)), io.BytesIO(), ring)
