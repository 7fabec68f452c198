"""The `setup` command."""

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from hikyaku.errors import UserError
from hikyaku.setup import layout
from hikyaku.setup.work import Work, root_needed


def setup(
    *,
    directory: Annotated[
        Path | None, typer.Option("--dir", help="The project's folder, which holds docker-compose.yml; else this one.")
    ] = None,
    secrets: Annotated[Path | None, typer.Option("--secrets", help="Folder of the secrets; else HIKYAKU_SECRETS, .env, `secrets`.")] = None,
    config: Annotated[Path | None, typer.Option("--config", help="Folder of datasets.toml; else HIKYAKU_CONFIG, .env, `config`.")] = None,
    stack: Annotated[str, typer.Option("--stack", help="CloudFormation's stack to take the values of .env from.")] = "",
    local: Annotated[bool, typer.Option("--local", help="Make a world on a laptop, LocalStack in AWS's place.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit 1 if something is missing or wrong.")] = False,
) -> None:
    """Prepare this host for `docker compose up -d`: make the missing secrets and fill .env. What is there is kept.

    Example: docker compose run --rm setup
    """
    if local and stack:
        raise UserError("--local has no stack in AWS to ask.", hint="Leave --stack away.", exit_code=2)
    host = layout.find(directory, secrets, config, os.environ)
    root_needed(os.geteuid())
    console = Console(highlight=False)
    report = Work(host, check=check, local=local, stack=stack).run(lambda: console.print("Another setup is at work here: waiting for it."))
    report.show(console)
    if check and not report.is_ready():
        raise typer.Exit(1)
