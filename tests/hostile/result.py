"""What a run has found."""

from dataclasses import dataclass, field

from hostile.case import Case


@dataclass(frozen=True, slots=True)
class Verdict:
    """A case, what was seen of it, and how long its batch took."""

    batch: str
    case: Case
    seen: str
    error: str = ""

    @property
    def is_right(self) -> bool:
        """Whether it is what was expected."""
        return self.seen == self.case.expected


@dataclass(slots=True)
class Result:
    """What a run has found."""

    verdicts: list[Verdict] = field(default_factory=list)
    batches: list[tuple[str, int, float, float]] = field(default_factory=list)
    """Name, cases, seconds until the main queue was empty, seconds of the good file behind."""
    before: dict[str, float] = field(default_factory=dict)
    after: dict[str, float] = field(default_factory=dict)
    peaks: dict[str, float] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)
