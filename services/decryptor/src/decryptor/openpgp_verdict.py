"""What gpg's word on a message means for the file. gpg's exit status alone means little: it is 0 for a message that nobody signed.

A message is taken only if gpg exits with 0, and says that there was one message, encrypted to one of our keys and whole (its integrity
protected and checked), with one signature or none, which is right, lies within the encryption, and is by a sender's key.
"""

from collections.abc import Container
from dataclasses import dataclass
from typing import NoReturn

from decryptor.openpgp_status import Signature, Status
from shared.errors import ErrorCode, Rejected

NO_PUBLIC_KEY = "9"
"""ERRSIG's sixth field."""
KEYS = {1, 22}
"""Algorithms of signing keys (RFC 4880, section 9.1, and RFC 9580): RSA and EdDSA."""
HASHES = {8, 9, 10, 11}
"""SHA-256, SHA-384, SHA-512, SHA-224 (RFC 4880, section 9.4)."""
BYTES = "00"
SIGNED = ("NEWSIG", "GOODSIG", "VALIDSIG", "BADSIG", "ERRSIG", "EXPSIG", "EXPKEYSIG", "REVKEYSIG")
TROUBLE = ("ERROR", "FAILURE", "NODATA", "UNEXPECTED", "BADARMOR")


@dataclass(frozen=True, slots=True)
class Opened:
    """An authentic message."""

    identity: str
    """Fingerprint of the primary key, one of ours, whose subkey opened it."""
    signature: Signature | None
    """By one of the pinned keys."""


def judge(status: Status, code: int, pinned: Container[str], ours: Container[str]) -> Opened:
    """What gpg has made of a message.

    Args:
        status: what it said.
        code: its exit status.
        pinned: fingerprints of the senders' primary keys.
        ours: ids of the keys in the keyring that open messages.

    Raises:
        Rejected: `openpgp_invalid`, `no_matching_identity`, `ciphertext_corrupt`, `signature_invalid`, `signer_unknown`, `signer_expired`.
    """
    identity = _opener(status, ours)
    _one_message(status)
    # gpg stops at a bad one, so what was damaged often looks like that first.
    _no_bad_signature(status)
    _whole(status)
    signature = _signature(status, pinned) if status.has(*SIGNED) else None
    if code != 0 or status.has(*TROUBLE):
        _invalid("something follows the message, it is not well formed, or it has several hidden recipients and ours is not the first")
    return Opened(identity, signature)


def _opener(status: Status, ours: Container[str]) -> str:
    if status.has("NEED_PASSPHRASE_SYM", "NEED_PASSPHRASE"):
        _invalid("it is encrypted with a passphrase; encrypt it to our key")
    if not status.has("BEGIN_DECRYPTION"):
        _invalid("it is no encrypted OpenPGP message")
    opened = {fields[1] for fields in status.of("DECRYPTION_KEY") if len(fields) > 1}
    if len(opened) > 1:
        _invalid("it holds several messages; send one a file")
    if opened:
        return opened.pop()
    if any(fields[0] in ours for fields in status.of("ENC_TO") if fields):
        raise Rejected(ErrorCode.CIPHERTEXT_CORRUPT, "the file names our key, which does not open it: it was damaged on its way")
    raise Rejected(ErrorCode.NO_MATCHING_IDENTITY, "the file is encrypted for none of our OpenPGP keys; encrypt it to our key")


def _one_message(status: Status) -> None:
    if any("plaintext" in fields[0] for fields in status.of("ERROR") if fields):
        _invalid("it holds several messages; send one a file")
    if any(not _protected(fields) for fields in status.of("DECRYPTION_INFO")):
        _invalid("its integrity is not protected (no MDC); encrypt it with a newer program, or without --disable-mdc and --rfc2440")


def _no_bad_signature(status: Status) -> None:
    if status.has("BADSIG"):
        raise Rejected(ErrorCode.SIGNATURE_INVALID, "the OpenPGP signature is not of this content: it was damaged, or altered")
    if status.has("REVKEYSIG"):
        raise Rejected(ErrorCode.SIGNER_EXPIRED, "the sender has revoked the OpenPGP key that signed the file")
    if status.has("EXPKEYSIG", "EXPSIG"):
        raise Rejected(ErrorCode.SIGNER_EXPIRED, "the OpenPGP key, or signature, did not hold any more when S3 took the file")


def _whole(status: Status) -> None:
    if status.has("BADMDC", "DECRYPTION_FAILED") or not status.has("DECRYPTION_OKAY"):
        raise Rejected(ErrorCode.CIPHERTEXT_CORRUPT, "the file was damaged or cut after it was encrypted")
    once = ("DECRYPTION_INFO", "DECRYPTION_OKAY", "PLAINTEXT")
    if any(len(status.of(keyword)) != 1 or not status.within(keyword, "BEGIN_DECRYPTION", "END_DECRYPTION") for keyword in once):
        _invalid("it does not hold exactly one file; send one a message")


def _protected(fields: tuple[str, ...]) -> bool:
    """By the method of the MDC, or of AEAD, which newer programs use."""
    return fields[:1] not in {(), ("0",)} or fields[2:3] not in {(), ("0",)}


def _signature(status: Status, pinned: Container[str]) -> Signature:
    for fields in status.of("ERRSIG"):
        _unchecked(fields)
    if any(len(status.of(keyword)) != 1 for keyword in ("NEWSIG", "GOODSIG", "VALIDSIG")):
        raise Rejected(ErrorCode.SIGNATURE_INVALID, "the file is signed more than once, or by a signature that can't be checked")
    if not status.within("VALIDSIG", "BEGIN_DECRYPTION", "END_DECRYPTION"):
        raise Rejected(ErrorCode.SIGNATURE_INVALID, "the OpenPGP signature is outside of the encryption: gpg --sign --encrypt in one")
    return _acceptable(Signature.read(status.of("VALIDSIG")[0]), pinned)


def _unchecked(fields: tuple[str, ...]) -> NoReturn:
    if fields[5:6] == (NO_PUBLIC_KEY,):
        named = max(fields, key=len)  # its fingerprint, or the id alone
        raise Rejected(ErrorCode.SIGNER_UNKNOWN, f"no key of the OpenPGP senders is {named}, which signed the file")
    raise Rejected(ErrorCode.SIGNATURE_INVALID, "the OpenPGP signature can't be checked: its algorithm is not known, or it is damaged")


def _acceptable(signature: Signature, pinned: Container[str]) -> Signature:
    if signature.key_algorithm not in KEYS or signature.hash_algorithm not in HASHES or signature.kind != BYTES:
        message = "the OpenPGP signature is not of the file's bytes by RSA or EdDSA with SHA-2 (not SHA-1, DSA or --textmode)"
        raise Rejected(ErrorCode.SIGNATURE_INVALID, message)
    if signature.primary not in pinned:
        raise Rejected(ErrorCode.SIGNER_UNKNOWN, f"the OpenPGP key {signature.primary}, which signed the file, is no sender's")
    return signature


def _invalid(reason: str) -> NoReturn:
    raise Rejected(ErrorCode.OPENPGP_INVALID, f"the OpenPGP file can't be used: {reason}")
