"""`hikyaku datasets check`."""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from hikyaku.errors import UserError

app = typer.Typer(help="datasets.toml: which files go to which table.", no_args_is_help=True)
IN_CONTAINERS = "In containers: docker compose run --rm loader python -m loader.check. Else install hikyaku[local]."


@app.callback()
def _group() -> None:
    # A callback keeps the sub-command named while there is only one.
    pass


@app.command()
def check(
    names: Annotated[list[str] | None, typer.Argument(metavar="DATASET", help="Only these, with or without an entry.")] = None,
    *,
    file: Annotated[Path, typer.Option("--file", envvar="HIKYAKU_DATASETS", help="datasets.toml.", show_envvar=True)] = Path(
        "config/datasets.toml"
    ),
    url_file: Annotated[
        Path | None,
        typer.Option(
            "--database-url-file",
            envvar="HIKYAKU_DATABASE_URL_FILE",
            help="File with a postgresql:// URL, best of the loader's own role; else HIKYAKU_DATABASE_URL.",
        ),
    ] = None,
    url: Annotated[str, typer.Option(envvar="HIKYAKU_DATABASE_URL", hidden=True)] = "",
    role: Annotated[str, typer.Option("--role", help="The loader's role; hikyaku_loader where there is one, else who connects.")] = "",
    file_only: Annotated[bool, typer.Option("--file-only", help="Ask no database.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Hold datasets.toml against the database as the loader sees it. Exit 0: fine, 1: problems, 2: no file or no database. Writes nothing.

    Example: hikyaku datasets check --file config/datasets.toml --database-url-file secrets/loader/database_url
    """
    if not find_spec("loader"):
        raise UserError("The loader is not installed here, whose eyes the check looks with.", hint=IN_CONTAINERS, exit_code=2)
    from hikyaku.datasets.show import show  # noqa: PLC0415 - what they import comes with the extra `local` only
    from loader.check.examine import NotCheckedError, examine  # noqa: PLC0415 - likewise

    conninfo = None if file_only else _conninfo(url_file, url)
    try:
        report = examine(file, conninfo, names or (), role or None)
    except NotCheckedError as error:
        raise UserError(str(error), exit_code=2) from None
    if as_json:
        typer.echo(json.dumps(report.as_json(), ensure_ascii=False, indent=2))
    else:
        show(Console(highlight=False), report)
    if not report.is_fine():
        raise typer.Exit(1)


def _conninfo(url_file: Path | None, url: str) -> str:
    if url_file is None:
        if url:
            return url
        hint = "Name one with --database-url-file or HIKYAKU_DATABASE_URL, or look at the file alone with --file-only."
        raise UserError("There is no database to hold datasets.toml against.", hint=hint, exit_code=2)
    try:
        return url_file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8"
        raise UserError(f"{url_file} can't be read: {reason}.", exit_code=2) from None
