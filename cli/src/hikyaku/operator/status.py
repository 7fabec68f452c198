"""`hikyaku status`: is the line well, in one screen."""

import time
from collections.abc import Iterable
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from hikyaku.operator import output, period
from hikyaku.operator.files import Json
from hikyaku.operator.health import Poller, State, look
from hikyaku.operator.settings import OperatorSettings

COLUMNS = ("dataset", "last file", "loaded", "watermark", "24 h: loaded", "rejected", "failed", "groups that wait")


def status(
    *,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Stay, and look again and again; Ctrl-C ends.")] = False,
    every: Annotated[float, typer.Option("--every", help="With --watch: seconds between two looks.", min=0.2, max=3600)] = 2.0,
    as_json: Json = False,
) -> None:
    """Show queues, datasets, the poller and what needs a person. What can't be asked is said. Exit 1: something needs a person.

    Example: hikyaku status --watch
    """
    settings = OperatorSettings.read("database_url", "queue_url", "dlq_url")
    if watch:
        _watch(settings, every)
        return
    state = look(settings)
    if as_json:
        output.json_line(state.as_json())
    else:
        output.console().print(screen(state))
    if state.needs_a_person():
        raise typer.Exit(1)


def _watch(settings: OperatorSettings, every: float) -> None:
    try:
        with Live(screen(look(settings)), screen=True, auto_refresh=False) as live:
            while True:
                time.sleep(every)
                live.update(screen(look(settings)), refresh=True)
    except KeyboardInterrupt:
        return


def screen(state: State) -> RenderableType:
    """The whole of it, for a terminal."""
    queue, letters = state.queue, state.dead_letters
    lines = output.pairs(
        {
            "at": state.at,
            "queue": f"{queue.visible} waiting, {queue.in_flight} in flight, {queue.delayed} delayed",
            "dead-letter queue": output.counted(letters.visible + letters.in_flight, "message"),
            "poller": _poller(state.poller),
            "workers": f"unknown: {unknown}"
            if (unknown := state.workers.unknown)
            else ", ".join(state.workers.answered) or "nobody answers",
            "verdict": "; ".join(state.troubles()) or "well",
        }
    )
    return Group(lines, Text(""), output.table(COLUMNS, list(_rows(state.datasets))))


def _rows(datasets: Iterable[dict[str, Any]]) -> Iterable[list[Any]]:
    for row in datasets:
        age = f"{period.shown(row['age'])} ago" if row["age"] is not None else None
        counts = [row["loaded_24h"], row["rejected_24h"], row["failed"], row["groups_waiting"]]
        yield [row["dataset"], row["last_key"], age, row["watermark"], *counts]


def _poller(poller: Poller) -> str:
    if poller.unknown:
        return f"unknown: {poller.unknown}"
    away = f"; away: {', '.join(poller.away)}" if poller.away else "; nothing is away"
    return f"holds {output.counted(poller.held, 'message')}, the oldest for {poller.oldest_s:.0f} s{away}"
