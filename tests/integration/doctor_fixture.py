"""The doctor, called in this process; what it is told is this dictionary alone."""

import json
import os
import re
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from typer.testing import CliRunner

from hikyaku.app import app


@dataclass(frozen=True)
class Said:
    """What it found."""

    exit_code: int
    findings: list[dict[str, str]]

    def named(self, pattern: str, level: str = "fail") -> dict[str, str]:
        """The one finding of this level that says so."""
        found = [each for each in self.findings if each["level"] == level and re.search(pattern, each["what"])]
        assert len(found) == 1, f"{pattern}: {[(each['level'], each['what'], each['why']) for each in self.findings]}"
        return found[0]

    def of(self, level: str) -> list[str]:
        return [each["what"] for each in self.findings if each["level"] == level]


def doctor(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], *areas: str) -> Said:
    # boto3 keeps the first credentials that it has found.
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    others = {name: None for name in os.environ if name.startswith(("HIKYAKU_", "AWS_")) and name not in environment}
    arguments = [word for area in areas for word in ("--only", area)]
    result = CliRunner().invoke(app, ["doctor", "--json", *arguments], env={**others, **environment})
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    said: dict[str, Any] = json.loads(result.stdout)
    return Said(result.exit_code, said["findings"])
