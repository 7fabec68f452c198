"""`hikyaku keys list | rotate | retire`."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from hikyaku.errors import UserError
from hikyaku.operator import access, action, output, places
from hikyaku.operator.keys import change, evidence, report
from hikyaku.operator.keys.evidence import Use
from hikyaku.operator.keys.keyring import Key, named, read
from hikyaku.operator.settings import OperatorSettings

app = typer.Typer(help="The identities that open files: who uses them, a new one, the end of an old one.", no_args_is_help=True)

Folder = Annotated[
    Path | None, typer.Option("--dir", help="The project's folder, which holds docker-compose.yml and secrets.", file_okay=False)
]
AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]
DAYS = 30
IN_USE = "in use"


@app.command("list")
def list_(*, directory: Folder = None, as_json: AsJson = False) -> None:
    """Identities with their recipients, and by the ledger what each opened, when last, and which senders still use it.

    Example: hikyaku keys list
    """
    found = places.look(directory, os.environ)
    keys, retired = read(_keyring(found)), read(found.retired) if found.retired else []
    used = _uses(OperatorSettings.read())
    rows = [_row(key, state, used) for state, group in ((IN_USE, keys), ("retired", retired)) for key in group]
    if as_json:
        output.json_line(rows)
        return
    columns = ("name", "state", "since", "mode", "files", "last", "senders")
    console = output.console()
    console.print(output.table(columns, [[_shown(row[column]) for column in columns] for row in rows]))
    # In one piece, for the clipboard.
    console.print(output.pairs({row["name"]: "\n".join(row["recipient"]) or "an OpenSSH key" for row in rows if row["state"] == IN_USE}))


def _row(key: Key, state: str, used: dict[str, Use] | None) -> dict[str, Any]:
    use = None if used is None else used.get(key.name, Use())
    return {
        "name": key.name,
        "state": key.problem or state,
        "recipient": list(key.recipients),
        "since": key.since,
        "mode": f"{key.mode:04o}",
        "files": use and use.files,
        "last": use and use.last,
        "senders": None if use is None else list(use.senders),
    }


def _shown(value: Any) -> Any:
    return ", ".join(value) if isinstance(value, list) else value


def _uses(settings: OperatorSettings) -> dict[str, Use] | None:
    """What the ledger knows; None, and a note, without one."""
    if not settings.database_url:
        output.note("HIKYAKU_DATABASE_URL is not set: what each has opened is not shown.")
        return None
    with access.ledger(settings.database_url) as connection:
        return evidence.uses(connection)


@app.command()
def rotate(
    *,
    name: Annotated[str, typer.Option("--name", help="Of the new identity, as the ledger will call it; today's date unless given.")] = "",
    directory: Folder = None,
    yes: action.Yes = False,
    dry_run: action.DryRun = False,
    reason: action.Reason = "",
    as_json: AsJson = False,
) -> None:
    """Make a new identity beside those that there are. Both open files until you retire the old one; nothing is restarted.

    Prints the recipient for the senders. The private key stays in its file, and is for the backup.

    Example: hikyaku keys rotate --reason "yearly"
    """
    settings, found = OperatorSettings.read("database_url"), places.look(directory, os.environ)
    folder = _keyring(found)
    keys = read(folder)
    new = name or change.free_name(keys, datetime.now(UTC))
    olds = [key.name for key in keys]
    if any(key == new for key in olds):
        raise UserError(f"there is an identity {new} already", hint="Give another --name.", exit_code=2)
    if not action.is_wanted(f"Make the identity {new} in {folder}, beside {', '.join(olds) or 'none'}?", yes=yes, dry_run=dry_run):
        return
    target = {"identity": new, "beside": olds}
    with action.written_down(settings.database_url, "keys rotate", target, reason) as done:
        path, recipient = change.make(found, folder, new)
        done.outcome = f"done: {recipient}"
    if as_json:
        output.json_line({"name": new, "file": str(path), "recipient": recipient, "beside": olds})
        return
    output.console().print(recipient)
    output.note(*_next_steps(path, olds))


def _next_steps(path: Path, olds: list[str]) -> tuple[str, ...]:
    retire_them = "; ".join(f"hikyaku keys retire {old}" for old in olds) or "(there was none before)"
    return (
        f"Made {path}. What is left to do:",
        "  1. Back up the keys: docs/operations.md#backup",
        "  2. Give the senders the recipient above. Files to the old one are opened as before.",
        "  3. Watch who has changed over: hikyaku keys list",
        f"  4. Then: {retire_them}",
    )


@app.command()
def retire(
    name: Annotated[str, typer.Argument(help="Of the identity, as `hikyaku keys list` shows it.")],
    *,
    days: Annotated[int, typer.Option("--days", min=1, help="How long nobody must have used it.")] = DAYS,
    force: Annotated[bool, typer.Option("--force", help="Although it was used lately, or files wait that may need it.")] = False,
    directory: Folder = None,
    yes: action.Yes = False,
    dry_run: action.DryRun = False,
    reason: action.Reason = "",
    as_json: AsJson = False,
) -> None:
    """Take an identity out of use: its file is moved to retired/, not deleted. Shows first who still needs it.

    Refuses while files of the last days needed it, or files wait in the bucket that may. To take it back, move the file back.

    Example: hikyaku keys retire 2026 --reason "all senders have changed over"
    """
    settings, found = OperatorSettings.read("database_url", "bucket"), places.look(directory, os.environ)
    keys = read(_keyring(found))
    key, retired = named(keys, name), found.retired
    if retired is None or not any(other.recipients or not other.problem for other in keys if other is not key):
        raise UserError(f"{key.name} is the only identity: without it no file can be opened", hint="First: hikyaku keys rotate")
    told = report.gather(settings, key, days)
    report.show(told, as_json=as_json)
    if (told["recent_files"] or told["waiting_files"]) and not force:
        hint = "Wait until the senders have changed over and the line is empty; or --force, and move it back if it was too early."
        raise UserError(f"{key.name} is still needed", hint=hint)
    if not action.is_wanted(f"Move {key.path} to {retired}? It opens nothing from then on.", yes=yes, dry_run=dry_run):
        return
    with action.written_down(settings.database_url, "keys retire", {**told, "forced": force}, reason) as done:
        moved = change.retire(key, retired)
        done.outcome = f"done: moved to {retired.name}/{moved.name}"
    output.note(f"Moved. To take it back: mv {moved} {key.path}")


def _keyring(found: places.Places) -> Path:
    if found.identities is None or not found.identities.is_dir():
        hint = "Run this on the host, in the project's folder (or --dir), as root; else set HIKYAKU_IDENTITIES_DIR."
        raise UserError("the decryptor's keyring is not seen from here", hint=hint, exit_code=2)
    return found.identities
