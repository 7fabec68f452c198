"""What a check says."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    """Works, but not as it should."""
    FAIL = "fail"
    """Files are not carried, or could be lost or read by others."""
    UNKNOWN = "unknown"
    """Could not be looked at from here."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        level: how bad it is.
        what: is so; a sentence without its stop.
        why: it matters, or (unknown) why it could not be looked at.
        mend: the command that mends it, or where to read how.
        area: which field it belongs to; the registry fills it in.
    """

    level: Level
    what: str
    why: str = ""
    mend: str = ""
    area: str = ""


class CantLookError(Exception):
    """A check can't be made from here; the message says why."""


def ok(what: str) -> Finding:
    """All is well."""
    return Finding(Level.OK, what)


def warn(what: str, why: str, mend: str) -> Finding:
    """Not as it should be."""
    return Finding(Level.WARN, what, why, mend)


def fail(what: str, why: str, mend: str) -> Finding:
    """Broken."""
    return Finding(Level.FAIL, what, why, mend)


def unknown(what: str, why: str, mend: str = "") -> Finding:
    """Not seen from here."""
    return Finding(Level.UNKNOWN, what, why, mend)
