"""The decryptor's identities, and the host's other secrets."""

import os
import stat
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from hikyaku.operator.doctor.finding import CantLookError, Finding, fail, ok, unknown, warn
from hikyaku.operator.doctor.scope import Scope
from hikyaku.operator.keys.keyring import Key, read
from hikyaku.setup import files
from hikyaku.setup.layout import READERS, SERVICES, Host, file_rights, folder_rights

RECENT = timedelta(days=30)
MEND = "docker compose run --rm setup    # mends owners and modes"
_USED = """
SELECT recipient_identity AS name, count(*) AS files FROM hikyaku.files
WHERE recipient_identity IS NOT NULL AND event_time > %s GROUP BY 1 ORDER BY 1
"""


def identities(scope: Scope) -> Iterator[Finding]:
    """Each file can be used, by the decryptor alone."""
    folder = folder_of(scope)
    keys = read(folder)
    if not keys:
        yield fail(
            f"{folder} holds no identity",
            "the decryptor does not start, and no file can be opened",
            "docker compose run --rm setup, or hikyaku keys rotate",
        )
    for key in keys:
        yield _key(key)


def folder_of(scope: Scope) -> Path:
    """The keyring's folder.

    Raises:
        CantLookError: it can't be seen from here.
    """
    folder = scope.places.identities
    if folder is None:
        raise CantLookError(
            "the decryptor's secrets are not seen from here: run it on the host, in the project's folder, or set HIKYAKU_IDENTITIES_DIR"
        )
    return folder


def _key(key: Key) -> Finding:
    refused = "the decryptor refuses such a file: with the next start it ends with 2, and until then a new one is not taken"
    if key.mode & 0o077:
        return fail(
            f"{key.path} has mode {key.mode:04o}: others than its owner may use it",
            f"{refused}; whoever reads it opens every file",
            f"chmod 600 {key.path}",
        )
    if key.owner not in {0, SERVICES, os.geteuid()}:
        return fail(f"{key.path} belongs to user {key.owner}", refused, MEND)
    if key.problem:
        return fail(f"{key.path}: {key.problem}", refused, "docs/security.md#keys")
    return ok(f"{key.path.name}: {', '.join(key.recipients) or 'an OpenSSH key'}")


def secrets(scope: Scope) -> Iterator[Finding]:
    """Owners and modes of the host's folders, as setup makes them."""
    host = scope.places.host
    if host is None:
        raise CantLookError("there is no docker-compose.yml here: run it on the host, in the project's folder")
    if files.status(host.secrets) is None:
        raise CantLookError(f"{host.secrets} is not there: docker compose run --rm setup makes it")
    wrong = list(_wrong(host))
    for name, problem in wrong:
        yield fail(f"{name}: {problem}", "its service can't read it, or others can", MEND)
    if not wrong:
        yield ok("owners and modes of all secrets are right")


def _wrong(host: Host) -> Iterator[tuple[str, str]]:
    for folder in READERS:
        place = host.secrets / folder
        found = files.folder_status(place)
        if found and (problem := folder_rights(folder).problem(found)):
            yield host.name(place), problem
        for name in files.names(place):
            status = files.status(place / name)
            if status and stat.S_ISREG(status.st_mode) and (problem := file_rights(folder).problem(status)):
                yield host.name(place / name), problem


def recipients(scope: Scope) -> Iterator[Finding]:
    """No recipient is handed out, or in use, without its identity."""
    keys = read(folder_of(scope))
    known = {recipient for key in keys for recipient in key.recipients}
    given = scope.environment.get("HIKYAKU_RECIPIENT", "")
    why = "what is encrypted to it can't be opened: no_matching_identity"
    if given and given not in known:
        yield fail(
            f"the recipient {given} has no identity in the keyring",
            why,
            "put its identity back, or give the senders another recipient: hikyaku keys list",
        )
    with scope.ledger() as connection:
        rows = connection.execute(_USED, [scope.now() - RECENT]).fetchall()
    gone = [row for row in rows if row["name"] not in {key.name for key in keys}]
    for row in gone:
        what = f"{row['files']} files of the last {RECENT.days} days were opened by {row['name']}, which is not in the keyring any more"
        yield warn(what, f"should its senders not have changed over, then {why}", "hikyaku keys list; mv it back from retired/")
    if not rows:
        yield unknown("which recipients the senders use is not known", f"no file was opened in the last {RECENT.days} days")
    elif not gone:
        yield ok("every recipient in use has its identity")
