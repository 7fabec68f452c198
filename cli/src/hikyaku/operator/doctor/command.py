"""`hikyaku doctor`."""

import os
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from hikyaku.operator import output, places
from hikyaku.operator.doctor import registry, values
from hikyaku.operator.doctor.finding import Finding, Level
from hikyaku.operator.doctor.scope import Scope
from hikyaku.operator.settings import OperatorSettings, adopt_endpoints
from hikyaku.printable import printable


class Area(StrEnum):
    """What `--only` takes: the areas of the registry."""

    SETTINGS = "settings"
    CLOCK = "clock"
    AWS = "aws"
    BUCKET = "bucket"
    QUEUE = "queue"
    KMS = "kms"
    DATABASE = "database"
    REDIS = "redis"
    SPOOL = "spool"
    KEYS = "keys"
    FLOWER = "flower"
    VERSIONS = "versions"


STYLES = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "bold red", Level.UNKNOWN: "cyan"}


def doctor(
    only: Annotated[list[Area] | None, typer.Option("--only", help="Only this area; may be given several times.")] = None,
    *,
    directory: Annotated[
        Path | None,
        typer.Option("--dir", help="The project's folder, which holds docker-compose.yml, secrets and config.", file_okay=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Look for what is wrong around the line: AWS, PostgreSQL, Redis, spool, keys, clocks. Changes nothing.

    Exit 0: nothing fails (a warning is none). 1: something does.

    Example: hikyaku doctor --only bucket --only queue
    """
    adopt_endpoints(os.environ)
    # A secret that can't be read is a finding, and stops no check that does not need it.
    left_out = values.unreadable(os.environ)
    settings = OperatorSettings.read(environment={name: value for name, value in os.environ.items() if name not in left_out})
    scope = Scope(settings, os.environ, places.look(directory, os.environ))
    found = list(registry.run(scope, [str(area) for area in only or ()]))
    if as_json:
        output.json_line({**counted(found), "findings": [as_dict(finding) for finding in found]})
    else:
        _show(found)
    if any(finding.level is Level.FAIL for finding in found):
        raise typer.Exit(1)


def counted(found: Sequence[Finding]) -> dict[str, int]:
    """How many of each level."""
    return {str(level): sum(finding.level is level for finding in found) for level in Level}


def as_dict(finding: Finding) -> dict[str, str]:
    """For programs."""
    return {"area": finding.area, "level": str(finding.level), "what": finding.what, "why": finding.why, "mend": finding.mend}


def _show(found: Sequence[Finding]) -> None:
    console = output.console()
    width = max(map(len, registry.AREAS))
    for finding in found:
        head = Text.assemble((f"{finding.level:7}", STYLES[finding.level]), f" {finding.area:{width}} {printable(finding.what)}")
        console.print(head)
        for word, text in (("why", finding.why), ("mend", finding.mend)):
            if text:
                console.print(Text.assemble(" " * (width + 9), (f"{word}: ", "dim"), printable(text)))
    console.print(", ".join(f"{number} {level}" for level, number in counted(found).items()))
