"""What a person sees while the stack starts or stops: one line a step, with its time."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console


@dataclass
class Step:
    """A step under way; `detail` is shown once it is done."""

    title: str
    detail: str = ""


class Progress:
    """Prints steps: with a spinner on a terminal, as plain lines elsewhere."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False)

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Show that something is under way, then that it is done or has failed."""
        step = Step(title)
        start = time.monotonic()
        try:
            with self.console.status(title):
                yield step
        except BaseException:
            self.console.print(f"[red]✗[/red] {title}")
            raise
        took = f"[dim]{time.monotonic() - start:.1f} s[/dim]"
        self.console.print(f"[green]✓[/green] {title} {step.detail} {took}", soft_wrap=True)

    def note(self, text: str) -> None:
        """A line of its own."""
        self.console.print(text, soft_wrap=True)
