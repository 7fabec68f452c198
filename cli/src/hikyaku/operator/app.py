"""The operator's commands, mounted beside the sender's."""

from collections.abc import Callable
from typing import Any

import typer

from hikyaku.operator.audit.command import audit
from hikyaku.operator.cost.command import cost
from hikyaku.operator.replay.command import replay

COMMANDS: tuple[Callable[..., Any], ...] = (audit, replay, cost)


def mount(app: typer.Typer) -> None:
    """Add each command, in the order that `hikyaku --help` shows."""
    for command in COMMANDS:
        app.command(rich_help_panel="Operator")(command)
