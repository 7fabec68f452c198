"""What lies in the folders of the secrets, and what is missing there."""

import secrets
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from hikyaku.errors import UserError
from hikyaku.setup import broker, database, files, identity, laptop, receipt_key
from hikyaku.setup.files import Place
from hikyaku.setup.layout import LAPTOPS_READERS
from hikyaku.setup.urls import Decision

LOGIN = "flower/login"
LOGIN_USER = "operator"
IDENTITIES = "decryptor/identities"
RECEIPT_KEY = "decryptor/receipt_key"
RECEIPT_SIGNERS = "decryptor/receipt_signers"
CREDENTIALS = {role: f"{role}/aws_credentials" for role in ("poller", "decryptor", "operator")}
"""Only AWS gives these."""
OURS = (*broker.URLS.values(), broker.ACL, *database.URLS.values(), database.ROLES, database.PASSWORD, LOGIN, RECEIPT_KEY)
"""What setup makes on every host, besides an identity."""


@dataclass(frozen=True, slots=True)
class Found:
    """What is there.

    Attributes:
        texts: content by path.
        links: links that are no business of ours: a person's own.
    """

    texts: dict[str, str]
    links: frozenset[str]

    def paths(self) -> set[str]:
        """Everything."""
        return {*self.texts, *self.links}


def look(place: Place) -> Found:
    """Read the folders of the secrets.

    Raises:
        UserError: a link, a folder or an empty file stands in a place of ours.
    """
    texts: dict[str, str] = {}
    links: set[str] = set()
    for path in (f"{folder}/{name}" for folder in LAPTOPS_READERS for name in files.names(place / folder)):
        found = files.status(place / path)
        if path in OURS or (found is not None and stat.S_ISREG(found.st_mode)):
            texts[path] = _text(place / path, ours=path in OURS)
        elif found is not None and stat.S_ISLNK(found.st_mode):
            links.add(path)
    return Found(texts, frozenset(links))


def _text(place: Place, *, ours: bool) -> str:
    text = (files.read(place) or b"").decode(errors="replace")
    if ours and not text.strip():
        raise UserError(f"{place} is empty.", hint="Remove it, and run this again.")
    return text


def decide(found: Found, template: str, *, local: bool) -> Decision:
    """What to make of what is missing, in the order in which it must be written.

    Args:
        found: what is there.
        template: text of redis/users.acl.template.
        local: for a laptop's world.

    Raises:
        UserError: what is there contradicts itself, or is not enough to derive the rest from.
    """
    redis, postgres = broker.decide(found.texts, template), database.decide(found.texts)
    made = {
        **(laptop.settings() if local else {}),
        **redis.make,
        **postgres.make,
        LOGIN: f"{LOGIN_USER}:{secrets.token_hex(16)}\n",
        **_identity(found),
        **_receipt_key(found),
    }
    if local and laptop.ENDPOINTS not in found.paths():
        made[laptop.ENDPOINTS] = _endpoints({**made, **found.texts})
    missing = {path: text for path, text in made.items() if path not in found.paths()}
    return Decision(missing, {**redis.ask, **postgres.ask}, redis.unneeded | postgres.unneeded)


def _identity(found: Found) -> dict[str, str]:
    # As the decryptor's keyring reads the folder.
    if any(path.startswith(f"{IDENTITIES}/") and not path.endswith(".pub") for path in found.paths()):
        return {}
    return {f"{IDENTITIES}/{datetime.now(UTC).year}.txt": identity.new()}


def _receipt_key(found: Found) -> dict[str, str]:
    """The key, and beside it its public half; of a key that was there, and is a link or not to be read, there is none."""
    if RECEIPT_KEY in found.links:
        return {}
    text = found.texts.get(RECEIPT_KEY) or receipt_key.new()
    line = receipt_key.signers(text)
    return {RECEIPT_KEY: text, **({RECEIPT_SIGNERS: line} if line else {})}


def recipients(texts: Mapping[str, str]) -> dict[str, str]:
    """Public key by the identity's file, in the order of their names; a file of several keys has its first."""
    folder = f"{IDENTITIES}/"
    keys = {path: identity.recipients(text) for path, text in sorted(texts.items()) if path.startswith(folder)}
    return {path.removeprefix(folder): found[0] for path, found in keys.items() if found}


def _endpoints(texts: Mapping[str, str]) -> str:
    keys = list(recipients(texts).values())
    url = texts.get(database.URLS["owner"], "").strip()
    if not keys or not url:
        where = f"secrets/{IDENTITIES}" if url else f"secrets/{database.URLS['owner']}"
        raise UserError(f"{where} holds nothing that the demo could use.", hint="Put an age identity, or the owner's URL, there.")
    # Identities are named by their year: the newest is the one to send to.
    return laptop.endpoints(url, keys[-1])


def needs_credentials(found: Found, role: str) -> bool:
    """Whether a role has nothing to log in to AWS with; `credential_process` in an AWS config file does it too."""
    path = CREDENTIALS[role]
    given = path in found.links or found.texts.get(path, "").strip() or "credential_process" in found.texts.get(f"{role}/aws_config", "")
    return not given
