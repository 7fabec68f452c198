"""A stack for the demo alone, on this machine. This module needs the extra `local`."""

import os
from collections.abc import Callable

from rich.console import Console

from hikyaku.demo.stage import Stage
from hikyaku.local import lifecycle
from hikyaku.local.layout import locate
from hikyaku.local.progress import Progress


def play(perform: Callable[[Stage, Console], str], console: Console, *, keep: bool) -> None:
    """Start the stack, let the story be played on it, and stop it unless it shall be kept.

    Args:
        perform: plays the story; returns Flower's address.
        console: shows the steps.
        keep: leave the stack up.
    """
    layout, progress = locate(), Progress(console)
    ours = not layout.state.exists()
    stage = Stage(layout.endpoints, layout.root / "demo", f"Look at the logs in {layout.logs}.", "hikyaku local down --clean")
    with lifecycle.locked(layout):
        lifecycle.up(layout, progress, os.environ)
        try:
            flower = perform(stage, console)
        finally:
            if not keep:
                lifecycle.down(layout, progress)
                if ours:
                    # The next demo shall tell the same story; a stack that was there before keeps its data.
                    lifecycle.clean(layout, progress)
    if keep:
        progress.note(f"The stack is up. Flower: {flower}\nEvery URL: {layout.endpoints}\nStop it: hikyaku local down")
