"""Which messages of the dead-letter queue a change is about."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from hikyaku.errors import UserError
from hikyaku.operator import output
from hikyaku.operator.letters import Letter
from hikyaku.printable import printable

Names = Annotated[
    list[str] | None, typer.Argument(metavar="[KEY|MESSAGE_ID]...", help="Keys, patterns such as 'incoming/orders/*', or message ids.")
]
Code = Annotated[str | None, typer.Option("--error-code", "-e", help="All with this error code.", metavar="CODE")]
All = Annotated[bool, typer.Option("--all", help="Every message.")]
MOST_KEYS = 100
"""That are written down with an action."""
MOST_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Choice:
    """What was asked for."""

    names: tuple[str, ...]
    error_code: str | None
    everything: bool

    @classmethod
    def of(cls, names: Sequence[str] | None, error_code: str | None, *, everything: bool) -> "Choice":
        """Check that something was asked for.

        Raises:
            UserError: it was not, or twice. Exit code 2.
        """
        if not names and not error_code and not everything:
            raise UserError("which messages?", hint="Name keys, or say --error-code CODE, or --all.", exit_code=2)
        if everything and (names or error_code):
            raise UserError("--all is everything: leave the rest away", exit_code=2)
        return cls(tuple(names or ()), error_code, everything)

    def of_these(self, letters: Sequence[Letter]) -> list[Letter]:
        """Those that are meant. A name and an error code together: both must fit."""
        return [letter for letter in letters if self._fits(letter)]

    def _fits(self, letter: Letter) -> bool:
        named = not self.names or any(letter.is_called(name) for name in self.names)
        return named and self.error_code in {None, letter.error_code}

    def target(self, letters: Sequence[Letter]) -> dict[str, Any]:
        """What is written down: no receipt handles, and no more keys than a person reads."""
        keys = sorted({letter.key for letter in letters if letter.key})[:MOST_KEYS]
        return {"messages": len(letters), "keys": keys, "error_code": self.error_code, "all": self.everything}


def question(verb: str, letters: Sequence[Letter]) -> str:
    """Show what a change will be about, on standard error, and ask for it.

    Args:
        verb: what would be done, as "Drop".
        letters: that are meant.

    Raises:
        UserError: there is none.
    """
    if not letters:
        raise UserError("the dead-letter queue holds none of these", hint="`hikyaku dlq list` shows what it holds.")
    for letter in letters[:MOST_SHOWN]:
        output.note(f"{letter.error_code}  {printable(letter.key) or letter.message_id}")
    if len(letters) > MOST_SHOWN:
        output.note(f"… and {len(letters) - MOST_SHOWN} more")
    return f"{verb} {output.counted(len(letters), 'message')}?"
