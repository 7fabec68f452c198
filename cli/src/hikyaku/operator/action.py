"""A change by the operator: asked first, shown with `--dry-run`, and written down in `hikyaku.operator_actions`.

The row is there before anything changes, and gets its outcome afterwards: one without an outcome was cut short.
"""

import getpass
import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any

import psycopg
import typer

from hikyaku.errors import UserError
from hikyaku.operator import access, output

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]
Reason = Annotated[str, typer.Option("--reason", help="Why: it is written down with the action.", metavar="TEXT")]

BEGIN = """
INSERT INTO hikyaku.operator_actions (action, who, host, reason, target)
VALUES (%(action)s, %(who)s, %(host)s, %(reason)s, %(target)s::jsonb)
RETURNING action_id
"""
END = "UPDATE hikyaku.operator_actions SET outcome = %(outcome)s, ended_at = clock_timestamp() WHERE action_id = %(action_id)s"


@dataclass
class Action:
    """One change under way; `outcome` is what is written down when the block ends."""

    action_id: int
    outcome: str = "done"


def is_wanted(question: str, *, yes: bool, dry_run: bool) -> bool:
    """Whether to go on: asks, unless told not to.

    Args:
        question: what will be done, as a question.
        yes: answered already.
        dry_run: nothing is to be done; said on standard error.

    Raises:
        UserError: nobody is there to answer. Exit code 2.
    """
    if dry_run:
        output.note("Dry run: nothing was changed.")
        return False
    if yes:
        return True
    if not os.isatty(0):
        raise UserError(
            "this changes something, and there is no terminal to ask at", hint="Say --yes, or look first: --dry-run.", exit_code=2
        )
    return typer.confirm(question, err=True)


@contextmanager
def written_down(url: str, action: str, target: Mapping[str, Any], reason: str = "") -> Iterator[Action]:
    """Do the block between the two halves of its row in `hikyaku.operator_actions`, each committed on its own.

    Args:
        url: of the ledger.
        action: the command's name, as `dlq redrive`.
        target: what it is about: keys, versions, counts; no row data, no receipt handles.
        reason: the operator's words.

    Raises:
        UserError: the ledger can't be written to; the block did not run then.
    """
    values = {"action": action, "who": who(), "host": socket.gethostname(), "reason": reason or None, "target": json.dumps(target)}
    with access.ledger(url) as connection:
        row = connection.execute(BEGIN, values).fetchone()
    if row is None:
        raise UserError("the action could not be written down, so nothing was done")
    done = Action(row["action_id"])
    try:
        yield done
    except BaseException as error:
        done.outcome = f"failed: {error.message if isinstance(error, UserError) else type(error).__name__}"
        raise
    finally:
        with access.ledger(url) as connection:
            connection.execute(END, {"action_id": done.action_id, "outcome": done.outcome})


def who() -> str:
    """The person at the keyboard: of `sudo`, who called it; else the login name."""
    for name in ("HIKYAKU_OPERATOR", "SUDO_USER"):
        if value := os.environ.get(name):
            return value
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # In a container the user id has no name.
        return f"uid {os.getuid()}"


def listed(connection: "psycopg.Connection[Any]", most: int) -> list[dict[str, Any]]:
    """The last actions, newest first."""
    return connection.execute("SELECT * FROM hikyaku.operator_actions ORDER BY action_id DESC LIMIT %s", [most]).fetchall()
