"""The one error that a person sees: a sentence, what to do, and where to look."""

from pathlib import Path

from hikyaku.printable import printable


class UserError(Exception):
    """Ends a command without a traceback.

    Attributes:
        message: one sentence that says what is wrong.
        hint: what to do about it, empty when the sentence says enough.
        log: the log to open, None when there is none.
        exit_code: 1 for what failed, 2 for what was asked wrongly.
    """

    def __init__(self, message: str, *, hint: str = "", log: Path | None = None, exit_code: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.log = log
        self.exit_code = exit_code

    def lines(self) -> list[str]:
        """What to print, one line each, whatever the names hold that are in them."""
        said = [f"hikyaku: {self.message}", *([f"  {self.hint}"] if self.hint else []), *([f"  log: {self.log}"] if self.log else [])]
        return [printable(line) for line in said]
