"""URLs that hold a password, and what is decided about missing ones."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, urlsplit

from hikyaku.errors import UserError

PASSWORD_BYTES = 24


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do about missing files; nothing is said of those that are there.

    Attributes:
        make: content by path below the secrets' folder, in the order in which it must be written.
        ask: what only a person can put there, by path.
        unneeded: paths of files that this host can do without.
    """

    make: dict[str, str] = field(default_factory=dict)
    ask: dict[str, str] = field(default_factory=dict)
    unneeded: frozenset[str] = frozenset()


def new_password() -> str:
    """Safe in a URL, a shell and an ACL."""
    return secrets.token_hex(PASSWORD_BYTES)


def host(url: str) -> str:
    """The server that a URL names, empty when it is written in another way."""
    return _split(url).hostname or ""


def foreign(urls: Mapping[str, str], own: str) -> dict[str, str]:
    """Those of the URLs that name another server than the project's own container."""
    return {path: url for path, url in urls.items() if host(url) != own}


def password(path: str, url: str, user: str) -> str:
    """The password of a URL that must be that user's.

    Raises:
        UserError: it is another user's, or has none.
    """
    parts = _split(url)
    if unquote(parts.username or "") != user or not parts.password:
        hint = "Mend it, or remove it and run this again."
        raise UserError(f"secrets/{path} is not a URL of the form {parts.scheme or '...'}://{user}:<password>@<host>...", hint=hint)
    return unquote(parts.password)


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url.strip())
    except ValueError:
        # Its own words quote a piece of the URL, which may be the password.
        return urlsplit("")
