"""A clock that only the test moves."""

from dataclasses import dataclass


@dataclass(slots=True)
class Clock:
    """Seconds, like `time.monotonic`; call it to read it."""

    now: float = 1_000.0

    def __call__(self) -> float:
        """The present moment."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
