"""`python -m loader.check`: what `hikyaku datasets check` does, with the loader's own settings, for its container.

Exit 0: fine. 1: problems. 2: the settings are wrong, the file is no TOML, or the database can't be reached.
"""

import argparse
import json
import sys
from pathlib import Path

from loader.check.examine import NotCheckedError, Report, examine
from loader.settings import DatabaseSettings
from shared.settings import load


class CheckSettings(DatabaseSettings):
    """What a check reads."""

    datasets: Path
    """datasets.toml."""


def main(arguments: list[str] | None = None) -> int:
    """Run as a program."""
    parser = argparse.ArgumentParser("python -m loader.check", description="Hold datasets.toml against the database. Nothing is written.")
    parser.add_argument("names", nargs="*", metavar="DATASET", help="with or without an entry; all entries unless told")
    parser.add_argument("--role", help="the loader's role in PostgreSQL; hikyaku_loader where there is one, else who connects")
    parser.add_argument("--json", action="store_true", help="for programs")
    asked = parser.parse_args(arguments)
    settings = load(CheckSettings)
    try:
        report = examine(settings.datasets, settings.database_url.get_secret_value(), asked.names, asked.role)
    except NotCheckedError as error:
        sys.stderr.write(f"hikyaku: {error}\n")
        return 2
    sys.stdout.write(json.dumps(report.as_json(), ensure_ascii=False, indent=2) + "\n" if asked.json else text(report))
    return 0 if report.is_fine() else 1


def text(report: Report) -> str:
    """For a person without a wide terminal."""
    lines = [f"problem: {problem}" for problem in report.problems]
    for plan in report.plans:
        key = f" on ({', '.join(plan.key)})" if plan.key else ""
        lines.append(f"{plan.dataset}: {plan.keys} -> {plan.table}, {plan.mode}{key}")
        width = max((len(column.name) for column in plan.columns), default=0)
        kind = max((len(column.type) for column in plan.columns), default=0)
        lines += [f"  {column.name:{width}}  {column.type:{kind}}  {column.comes_from}" for column in plan.columns]
        lines += [f"  problem: {problem}" for problem in plan.problems]
        lines += [f"  warning: {warning}" for warning in plan.warnings]
    return "\n".join([*lines, report.summary(), ""])


if __name__ == "__main__":
    sys.exit(main())
