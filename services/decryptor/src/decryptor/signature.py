"""One SSHSIG blob, taken apart strictly and checked (OpenSSH, PROTOCOL.sshsig and PROTOCOL).

The mathematics is the library `sshsig`'s. It reads short strings as if they were whole, passes over what follows them, takes any hash that
Python knows and stops with an AssertionError on a mixture of kinds: so nothing reaches it that was not taken apart here before.
"""

import base64
import hashlib
from dataclasses import dataclass

from sshsig import InvalidSignature, PublicKey, check_signature

from decryptor.ssh_wire import string, strings
from shared.errors import ErrorCode, Rejected
from shared.manifest import NAMESPACE

MAGIC = b"SSHSIG" + (1).to_bytes(4, "big")
"""With the version."""
KINDS = {b"ssh-ed25519": (2, {b"ssh-ed25519"}), b"ssh-rsa": (3, {b"rsa-sha2-256", b"rsa-sha2-512"})}
"""By kind of key: of how many strings it consists, and which signatures it makes. `ssh-rsa` as a signature is SHA-1."""
HASHES = {b"sha256", b"sha512"}
RSA_BITS = 2048
LEAST = {b"ssh-rsa": RSA_BITS // 8}
"""Bytes of a modulus."""


class UnsupportedKeyError(Exception):
    """A key that OpenSSH knows and we do not."""


@dataclass(frozen=True, slots=True)
class Signature:
    """A well-formed blob; whether it is true is for `check` to say."""

    blob: bytes
    key: bytes
    """The public key that it names, as SSH encodes it."""


def read(blob: bytes) -> Signature:
    """Take a blob apart.

    Raises:
        Rejected: `signature_invalid`.
    """
    try:
        key, namespace, _reserved, hash_name, signed = strings(_body(blob), 5)
        kind = read_key(key)
        algorithm, _ = strings(signed, 2)
    except UnsupportedKeyError as error:
        raise _invalid(str(error)) from None
    except ValueError as error:
        raise _invalid(f"it is damaged: {error}") from None
    if namespace != NAMESPACE.encode():
        raise _invalid(f"it is not of the namespace {NAMESPACE}: sign with ssh-keygen -Y sign -n {NAMESPACE}")
    if hash_name not in HASHES or algorithm not in KINDS[kind][1]:
        raise _invalid("its algorithm is not one that we take: ed25519, or RSA with SHA-2")
    return Signature(blob, key)


def read_key(blob: bytes) -> bytes:
    """The kind of a public key as SSH encodes it.

    Raises:
        ValueError: it is damaged.
        UnsupportedKeyError: we have no use for such a key.
    """
    kind, _ = string(blob)
    if kind not in KINDS:
        name = kind.decode("ascii", "replace") if kind[:1].isalpha() and len(kind) <= 64 else "unknown"  # noqa: PLR2004 - RFC 4250, names
        raise UnsupportedKeyError(f"keys of kind {name} are not supported: use ed25519 or RSA")
    parts = strings(blob, KINDS[kind][0])
    if len(parts[-1].lstrip(b"\0")) < LEAST.get(kind, 0):
        raise UnsupportedKeyError(f"the RSA key has less than {RSA_BITS} bits")
    PublicKey.from_ssh_encoding(blob)
    return kind


def check(signature: Signature, message: bytes) -> None:
    """Whether the key made this signature of this message. Ask it of keys that are known only: a stranger chooses his key's size.

    Raises:
        Rejected: `signature_invalid`.
    """
    armored = f"-----BEGIN SSH SIGNATURE-----\n{base64.b64encode(signature.blob).decode()}\n-----END SSH SIGNATURE-----\n"
    try:
        check_signature(message, armored, NAMESPACE)
    except InvalidSignature:
        raise _invalid("it is not of these bytes: the manifest was altered after it was signed") from None


def fingerprint(key: bytes) -> str:
    """A public key as `ssh-keygen -l` shows it."""
    return f"SHA256:{base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip('=')}"


def _body(blob: bytes) -> bytes:
    if not blob.startswith(MAGIC):
        raise ValueError("it does not begin as SSHSIG, version 1")
    return blob[len(MAGIC) :]


def _invalid(reason: str) -> Rejected:
    return Rejected(ErrorCode.SIGNATURE_INVALID, f"the sender's signature can't be used: {reason}")
