"""The operator's commands, mounted beside the sender's."""

from collections.abc import Callable
from typing import Any

import typer

from hikyaku.rebuild.command import rebuild

COMMANDS: tuple[Callable[..., Any], ...] = (rebuild,)


def mount(app: typer.Typer) -> None:
    """Add each command, in the order that `hikyaku --help` shows."""
    for command in COMMANDS:
        app.command(rich_help_panel="Operator")(command)
