"""`hikyaku rebuild`."""

import datetime as dt
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress

from hikyaku.errors import UserError
from hikyaku.operator import action, output

IN_CONTAINERS = "In containers: docker compose run --rm rebuild …. Else install hikyaku[local]."
MEMORY = Path("/dev/shm")  # noqa: S108 - memory is the point: no plaintext on a disk
FORMATS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M:%S.%f%z"]


def rebuild(
    dataset: Annotated[str, typer.Argument(help="Name of the dataset.")],
    into: Annotated[str, typer.Option("--into", help="The table to make: TABLE or SCHEMA.TABLE.", metavar="TABLE")],
    *,
    as_of: Annotated[
        dt.datetime | None, typer.Option("--as-of", help="Leave out what the live table got later; UTC unless it says.", formats=FORMATS)
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Drop the table first, if a rebuild made it.")] = False,
    reason: action.Reason = "",
    dry_run: action.DryRun = False,
    yes: action.Yes = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Load what the bucket still has of a dataset into a new table, in the order in which the live one got it.

    A time machine after an accident, and a proof: the new table is compared with the live one. Nothing else is touched: the ledger, the
    live table and the bucket stay as they are. Exit 0: done and, without --as-of, equal; 1: something lacks or differs.

    Example: hikyaku rebuild orders --into orders_rebuilt --as-of 2026-11-20T09:00:00
    """
    if not (find_spec("loader") and find_spec("decryptor")):
        raise UserError("The decryptor and the loader are not installed here, whose code loads the files.", hint=IN_CONTAINERS, exit_code=2)
    from hikyaku.rebuild.run import Rebuild  # noqa: PLC0415 - what it imports comes with the extra `local` only

    moment = as_of.replace(tzinfo=as_of.tzinfo or dt.UTC) if as_of else None
    with _spool() as spool:
        work = Rebuild.prepare(dataset, into, moment, spool)
        output.note(*work.plan())
        if not action.is_wanted(f"Make {work.into} from {len(work.history.versions)} file versions?", yes=yes, dry_run=dry_run):
            return
        with Progress(console=Console(stderr=True), disable=not Console(stderr=True).is_terminal) as progress:
            result = work.run(progress, replace=replace, reason=reason)
    _show(result.as_json(), as_json=as_json)
    if not result.is_fine():
        raise typer.Exit(1)


@contextmanager
def _spool() -> Iterator[Path]:
    """A folder in memory for the files on their way, unless HIKYAKU_SPOOL_DIR names one."""
    with tempfile.TemporaryDirectory(prefix="hikyaku-rebuild-", dir=MEMORY if MEMORY.is_dir() else None) as made:
        yield Path(os.environ.get("HIKYAKU_SPOOL_DIR") or made)


def _show(result: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        output.json_line(result)
    else:
        output.console().print(output.pairs({name.replace("_", " "): value for name, value in result.items()}))
