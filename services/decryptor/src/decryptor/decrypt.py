"""Opening an age file (https://age-encryption.org/v1) with the one identity that it is for.

Header faults are `age_header_invalid`: everything up to the header's MAC and the nonce that follows it. What comes after is
authenticated in chunks of 64 KiB, and a fault there is `ciphertext_corrupt` - after earlier chunks were written already, so
nothing may be published before `decrypt` has returned.
"""

import io
import re
from typing import Protocol

import pyrage

from decryptor.download import Source
from decryptor.key_file import Identity
from decryptor.keyring import Keyring
from shared.errors import ErrorCode, Rejected, Retryable

MAGIC = b"age-encryption.org/v1\n"
ARMOR = b"-----BEGIN AGE ENCRYPTED FILE-----"
HEADER_MAX = 16 * 1024
STANZAS_MAX = 20
"""Bounds on a header, for pyrage's parsing costs time that grows with the square of its size."""
HEADER = re.compile(
    rb"""age-encryption\.org/v1\n
    (?:
      ->(?:\x20[!-~]++)++\n                               # a stanza: its kind and arguments,
      (?:[A-Za-z0-9+/]{64}\n)*+[A-Za-z0-9+/]{0,63}\n     # and its body, which ends with a line that is not full
    )++
    ---\x20[A-Za-z0-9+/]{43}\n                            # the MAC""",
    re.VERBOSE,
)
"""The grammar of C2SP's age.md. pyrage takes stanzas without their last line too; possessive repeats keep the match linear."""
STANZA_KIND = re.compile(rb"^-> ([!-~]+)", re.MULTILINE)
NONCE = bytes(16)
NO_MATCH = "No matching keys found"
"""How pyrage 1.4 words the one DecryptError that lets another identity be tried."""


class Sink(Protocol):
    """Where plaintext goes."""

    def write(self, data: bytes) -> int:
        """Take some of `data`; the number of bytes taken."""


def decrypt(source: Source, sink: Sink, keyring: Keyring) -> str:
    """Decrypt all of `source` into `sink`.

    Returns:
        The name of the identity that opened it.

    Raises:
        Rejected: `age_header_invalid`, `no_matching_identity` or `ciphertext_corrupt`.
        Retryable: what source or sink raise, or the keyring is not in order and the file is for none of what is left of it.
    """
    identity = _opener(read_header(source), keyring)
    try:
        pyrage.decrypt_io(source, sink, identity.keys)
    except pyrage.DecryptError as error:
        # pyrage swallows what a reader raises while it reads the header and the nonce.
        if source.failure is not None:
            raise source.failure from None
        raise _header_invalid(str(error)) from error
    except OSError as error:
        raise Rejected(ErrorCode.CIPHERTEXT_CORRUPT, f"the file was damaged or cut after it was encrypted: {error}") from error
    return identity.name


def read_header(source: Source) -> bytes:
    """The age header, up to the end of its MAC line, left in `source` for the decryption.

    Raises:
        Rejected: `age_header_invalid`, it is not one that we open.
    """
    ahead = source.peek(HEADER_MAX)
    if ahead.lstrip().startswith(ARMOR):
        raise _header_invalid("the file is armored (text); send age's binary output, without --armor")
    if not ahead.startswith(MAGIC):
        raise _header_invalid("the file is not an age v1 file")
    found = HEADER.match(ahead)
    if found is None:
        raise _header_invalid(f"it is not well formed, or longer than {HEADER_MAX} bytes")
    _check_stanzas(STANZA_KIND.findall(found[0]))
    return found[0]


def _check_stanzas(kinds: list[bytes]) -> None:
    if b"scrypt" in kinds:
        raise _header_invalid("the file is encrypted with a passphrase; encrypt it to our recipient")
    if len(kinds) > STANZAS_MAX:
        raise _header_invalid(f"it names {len(kinds)} recipients, more than {STANZAS_MAX}")


def _opener(header: bytes, keyring: Keyring) -> Identity:
    keyring.refresh()
    for identity in keyring.identities:
        if _opens(header, identity):
            return identity
    raise _no_opener(keyring)


def _opens(header: bytes, identity: Identity) -> bool:
    """Whether the header is for this identity, tried on the header alone: an opened file without payload is an OSError.

    Raises:
        Rejected: `age_header_invalid`.
    """
    try:
        pyrage.decrypt_io(io.BytesIO(header + NONCE), io.BytesIO(), identity.keys)
    except pyrage.DecryptError as error:
        if str(error) == NO_MATCH:
            return False
        raise _header_invalid(str(error)) from error
    except OSError:
        return True
    raise AssertionError("pyrage accepted an age file without a payload")


def _no_opener(keyring: Keyring) -> Retryable | Rejected:
    if keyring.problems:
        # The key that is out of order may be the one: a slip in the keyring must not reject good files for good.
        message = f"none of the usable identities opens this file, and the keyring is not in order: {'; '.join(keyring.problems)}"
        return Retryable(ErrorCode.NO_MATCHING_IDENTITY, message)
    names = ", ".join(identity.name for identity in keyring.identities)
    message = f"the file is encrypted for none of our identities ({names}); encrypt it to our recipient"
    return Rejected(ErrorCode.NO_MATCHING_IDENTITY, message)


def _header_invalid(reason: str) -> Rejected:
    return Rejected(ErrorCode.AGE_HEADER_INVALID, f"the age header can't be used: {' '.join(reason.split())}")
