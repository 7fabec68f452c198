"""PostgreSQL: a role's password lies in its URL and in roles.env, from which the roles are made once. Either is derived from the other."""

import shlex
from collections.abc import Mapping
from urllib.parse import quote

from hikyaku.errors import UserError
from hikyaku.setup import urls
from hikyaku.setup.urls import Decision

HOST = "postgres"
PASSWORD = "postgres/password"  # noqa: S105 - a path
ROLES = "postgres/roles.env"
ROLE_OF = {"loader": "loader", "migrate": "migrator", "operator": "operator", "owner": "owner"}
"""Role, without its prefix, by the folder of its URL."""
URLS = {folder: f"{folder}/database_url" for folder in ROLE_OF}


def decide(found: Mapping[str, str]) -> Decision:
    """What is missing of PostgreSQL's secrets.

    Args:
        found: content of the files that are there, by path.

    Raises:
        UserError: what is there is not enough to derive the rest from.
    """
    present = {path: found[path] for path in URLS.values() if path in found}
    foreign = urls.foreign(present, HOST)
    ask = {path: "the URL of your own PostgreSQL, as in the others" for path in URLS.values() if foreign and path not in present}
    # With some of them elsewhere, only the roles of the project's own PostgreSQL are its business.
    folders = [folder for folder, path in URLS.items() if path not in foreign and path not in ask]
    if not folders:
        return Decision(ask=ask, unneeded=frozenset({PASSWORD, ROLES}))
    passwords = {folder: _password(found, folder) for folder in folders if ROLES not in found or URLS[folder] not in found}
    texts = {
        **{URLS[folder]: _url(folder, password) for folder, password in passwords.items()},
        ROLES: "".join(f"{_variable(folder)}={shlex.quote(password)}\n" for folder, password in passwords.items()),
        PASSWORD: urls.new_password() + "\n",
    }
    return Decision({path: text for path, text in texts.items() if path not in found}, ask)


def _password(found: Mapping[str, str], folder: str) -> str:
    path = URLS[folder]
    # A URL may be newer than roles.env, which is read only once: it counts.
    if path in found:
        return urls.password(path, found[path], _user(folder))
    if ROLES not in found:
        return urls.new_password()
    if password := _roles(found[ROLES]).get(_variable(folder)):
        return password
    hint = f"Put one of them back from a backup, or give {_user(folder)} a password with ALTER ROLE and write its URL yourself."
    raise UserError(f"secrets/{path} is missing, and secrets/{ROLES} has no {_variable(folder)}.", hint=hint)


def _roles(text: str) -> dict[str, str]:
    """roles.env as the shell that sources it reads it."""
    try:
        words = shlex.split(text, comments=True)
    except ValueError as error:
        # The exception's words are about quotes, and quote nothing.
        raise UserError(f"secrets/{ROLES} is no list of NAME=value: {error}.", hint="Mend it, and run this again.") from error
    return {name: value for name, _, value in (word.partition("=") for word in words)}


def _url(folder: str, password: str) -> str:
    return f"postgresql://{_user(folder)}:{quote(password, safe='')}@{HOST}/hikyaku\n"


def _user(folder: str) -> str:
    return f"hikyaku_{ROLE_OF[folder]}"


def _variable(folder: str) -> str:
    return f"HIKYAKU_{ROLE_OF[folder].upper()}_PASSWORD"
