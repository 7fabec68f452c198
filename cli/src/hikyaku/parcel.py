"""Makes the ciphertext of one file: gzip, then age or OpenPGP, streamed with bounded memory."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

import pyrage
from isal import isal_zlib

from hikyaku.gpg import Gpg

CHUNK = 256 * 1024
GZIP_WBITS = 31
"""zlib's window size 15 plus 16: a gzip container, whose header carries no name and no time: same file, same bytes."""


class Readable(Protocol):
    """What can be read in pieces."""

    def read(self, size: int, /) -> bytes:
        """At most so many bytes; nothing at the end."""
        ...


class Recipient(Protocol):
    """A public key that age encrypts to, as pyrage makes it."""


Recipients = list[Recipient] | Gpg
"""Who may open a file: of age, or what gpg encrypts to."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """Facts of a ciphertext.

    Attributes:
        size: bytes.
        sha256: hex.
        content: hex SHA-256 of the gzip in it. For this machine alone: it tells whether a guess at the content is right.
    """

    size: int
    sha256: str
    content: str = ""


class _Reader:
    """A file-like object over chunks, as pyrage reads it."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._left = b""

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes; b"" at the end."""
        while not self._left:
            chunk = next(self._chunks, None)
            if chunk is None:
                return b""
            self._left = chunk
        if size < 0:
            size = len(self._left)
        piece, self._left = self._left[:size], self._left[size:]
        return piece


class _Writer:
    """Counts and hashes what passes on to `target`."""

    def __init__(self, target: IO[bytes]) -> None:
        self._target = target
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> int:
        """Write and hash; returns the number of bytes, as pyrage demands."""
        self._target.write(data)
        self._hash.update(data)
        self.size += len(data)
        return len(data)

    def flush(self) -> None:
        """Pass on."""
        self._target.flush()

    def sealed(self, content: str) -> Sealed:
        """The facts so far."""
        return Sealed(self.size, self._hash.hexdigest(), content)


def read_recipients(recipients: list[str], files: list[Path]) -> list[Recipient]:
    """Public keys given as text and as files of one key a line (`#` comments allowed).

    Raises:
        ValueError: one of them is no age or ssh-ed25519 recipient; the message names it.
    """
    lines = list(recipients)
    for file in files:
        lines += [line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip() and not line.startswith("#")]
    return [_recipient(line) for line in lines]


def _recipient(text: str) -> Recipient:
    parse = pyrage.ssh.Recipient.from_str if text.startswith("ssh-") else pyrage.x25519.Recipient.from_str
    try:
        recipient: Recipient = parse(text)
    except pyrage.RecipientError:
        raise ValueError(f"not an age recipient (age1… or ssh-ed25519 …): {text[:20]}…") from None
    return recipient


def seal(source: Readable, target: IO[bytes], recipients: Recipients, *, compress: bool, progress: Callable[[int], object]) -> Sealed:
    """Write age(gzip(source)), or gpg's, to target.

    Args:
        source: the CSV, or already gzipped CSV with `compress=False`.
        target: receives the ciphertext.
        recipients: public keys, any of whose identities opens it.
        compress: whether to gzip first.
        progress: told the bytes read from source, chunk by chunk.

    Raises:
        UserError: gpg does not encrypt or sign it.
    """
    writer = _Writer(target)
    chunks = _read(source, progress)
    content = hashlib.sha256()
    plain = _Reader(_hashed(_gzip(chunks) if compress else chunks, content))
    if isinstance(recipients, Gpg):
        recipients.encrypt(plain, writer)
    else:
        _encrypt(plain, writer, recipients)
    return writer.sealed(content.hexdigest())


def _encrypt(plain: _Reader, writer: _Writer, recipients: list[Recipient]) -> None:
    try:
        pyrage.encrypt_io(plain, writer, recipients)
    except pyrage.EncryptError as error:
        # Of whatever is raised in a read or a write, pyrage makes an error of its own whose text begins with the name.
        if str(error).startswith(KeyboardInterrupt.__name__):
            raise KeyboardInterrupt from None
        raise


def _read(source: Readable, progress: Callable[[int], object]) -> Iterator[bytes]:
    while chunk := source.read(CHUNK):
        progress(len(chunk))
        yield chunk


def _hashed(chunks: Iterator[bytes], digest: "hashlib._Hash") -> Iterator[bytes]:
    for chunk in chunks:
        digest.update(chunk)
        yield chunk


def _gzip(chunks: Iterator[bytes]) -> Iterator[bytes]:
    compressor = isal_zlib.compressobj(wbits=GZIP_WBITS)
    for chunk in chunks:
        if packed := compressor.compress(chunk):
            yield packed
    yield compressor.flush()
