"""The key that signs receipts, as ssh-keygen(1) would make it, and what senders check them with."""

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_ssh_private_key,
)

from hikyaku.sending.receipt import NAMESPACE

SIGNER = "hikyaku"
"""Its principal, unless a person names it otherwise in his own file."""


def new() -> str:
    """Text of a new private key, without a passphrase."""
    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()


def signers(text: str) -> str:
    """The line of allowed_signers (ssh-keygen(1)) by which a private key's receipts are checked; empty for a key that we can't read."""
    try:
        key = load_ssh_private_key(text.encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # The decryptor says what is wrong with it.
        return ""
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    return f'{SIGNER} namespaces="{NAMESPACE}" {public}\n'
