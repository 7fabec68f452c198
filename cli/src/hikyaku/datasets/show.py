"""A check's report on a terminal."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from loader.check.examine import Report
from loader.check.plan import Plan
from shared.contract import AfterLoad
from shared.datasets_problems import Problem


def show(console: Console, report: Report) -> None:
    """A table for each dataset, with what is wrong below it."""
    _list(console, "red", "problem", report.problems)
    for plan in report.plans:
        _plan(console, plan)
    colour = "green" if report.is_fine() else "red"
    console.print(f"[{colour}]{escape(report.summary())}[/{colour}]", soft_wrap=True)


def _plan(console: Console, plan: Plan) -> None:
    key = f" on ({', '.join(plan.key)})" if plan.key else ""
    then = "" if plan.after_load == AfterLoad.KEEP else f", then {plan.after_load} the object in S3"
    how = f"{plan.mode}{escape(key)}{then}"
    console.print(f"[bold]{escape(plan.dataset)}[/bold]: {escape(plan.keys)} → {escape(plan.table)}, {how}", soft_wrap=True)
    if plan.columns:
        columns = Table("column", "type", "comes from")
        for column in plan.columns:
            columns.add_row(*map(escape, (column.name, column.type, column.comes_from)))
        console.print(columns)
    _list(console, "red", "problem", plan.problems)
    _list(console, "yellow", "warning", plan.warnings)


def _list(console: Console, colour: str, word: str, said: list[Problem]) -> None:
    for each in said:
        console.print(f"  [{colour}]{word}[/{colour}] {escape(str(each))}", soft_wrap=True)
