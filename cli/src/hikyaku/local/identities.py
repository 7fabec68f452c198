"""Secrets that belong to no server: the decryptor's age identity and the key of its receipts, and Flower's login."""

import secrets

from hikyaku.local import files
from hikyaku.local.layout import Layout
from hikyaku.operator.keys import keyring
from hikyaku.setup import identity, receipt_key

IDENTITY = "local.txt"
FLOWER_USER = "hikyaku"


def recipient(layout: Layout) -> str:
    """The public key (age1…) that senders encrypt to: the newest identity's; one is made on first use, in the format of age-keygen(1)."""
    found = [key for key in keyring.read(layout.identities) if key.recipients]
    return found[-1].recipients[0] if found else identity.recipients(files.read_or_create(layout.identities / IDENTITY, identity.new))[0]


def write_receipt_signers(layout: Layout) -> None:
    """Lay down the line of allowed_signers by which this stack's receipts are checked; their key is made on first use."""
    key = files.read_or_create(layout.receipt_key, receipt_key.new)
    files.write_atomically(layout.receipt_signers, receipt_key.signers(f"{key}\n"))


def flower_login(layout: Layout) -> str:
    """`user:password` of Flower's one login, made on first use."""
    return files.read_or_create(layout.secret("flower.login"), lambda: f"{FLOWER_USER}:{secrets.token_hex(16)}\n")
