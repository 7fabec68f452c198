"""Secrets that belong to no server: the age identity of the decryptor and Flower's login."""

import secrets

import pyrage

from hikyaku.local import files
from hikyaku.local.layout import Layout

IDENTITY = "local.txt"
FLOWER_USER = "hikyaku"


def recipient(layout: Layout) -> str:
    """The public key (age1…) that senders encrypt to; its identity is made on first use, in the format of age-keygen(1)."""
    text = files.read_or_create(layout.identities / IDENTITY, _new_identity)
    secret = next(line for line in text.splitlines() if line.startswith("AGE-SECRET-KEY-"))
    return str(pyrage.x25519.Identity.from_str(secret).to_public())


def _new_identity() -> str:
    identity = pyrage.x25519.Identity.generate()
    return f"# public key: {identity.to_public()}\n{identity}\n"


def flower_login(layout: Layout) -> str:
    """`user:password` of Flower's one login, made on first use."""
    return files.read_or_create(layout.secret("flower.login"), lambda: f"{FLOWER_USER}:{secrets.token_hex(16)}\n")
