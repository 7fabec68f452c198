"""The operator's commands, mounted beside the sender's."""

from collections.abc import Callable, Mapping
from typing import Any

import typer

from hikyaku.operator import dlq
from hikyaku.operator.actions import actions
from hikyaku.operator.audit.command import audit
from hikyaku.operator.cost.command import cost
from hikyaku.operator.doctor.command import doctor
from hikyaku.operator.files import errors, files
from hikyaku.operator.forget import forget
from hikyaku.operator.keys.app import app as keys
from hikyaku.operator.metrics import metrics
from hikyaku.operator.pausing import pause, resume
from hikyaku.operator.replay.command import replay
from hikyaku.operator.retry import retry
from hikyaku.operator.show import show
from hikyaku.operator.status import status
from hikyaku.rebuild.command import rebuild

COMMANDS: tuple[Callable[..., Any], ...] = (
    status,
    metrics,
    files,
    show,
    errors,
    audit,
    retry,
    replay,
    forget,
    pause,
    resume,
    doctor,
    rebuild,
    cost,
    actions,
)
GROUPS: Mapping[str, typer.Typer] = {"dlq": dlq.app, "keys": keys}


def mount(app: typer.Typer) -> None:
    """Add each command, in the order that `hikyaku --help` shows."""
    for command in COMMANDS:
        app.command(rich_help_panel="Operator")(command)
    for name, group in GROUPS.items():
        app.add_typer(group, name=name, rich_help_panel="Operator")
