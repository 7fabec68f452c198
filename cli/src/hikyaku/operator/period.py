"""Spans of time as a person types them."""

import datetime as dt
import re

from hikyaku.errors import UserError

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
SPAN = re.compile(r"(\d{1,6})([smhdw])")


def parse(text: str) -> dt.timedelta:
    """Read `30m`, `2h`, `7d`.

    Raises:
        UserError: it is no span. Exit code 2.
    """
    match = SPAN.fullmatch(text.strip())
    if match is None:
        raise UserError(f"{text}: no span of time", hint="Such as 30m, 2h, 7d.", exit_code=2)
    return dt.timedelta(**{UNITS[match[2]]: int(match[1])})


def shown(span: dt.timedelta) -> str:
    """In its largest unit but one: 90 s, 12 min, 5 h, 3 d."""
    seconds = max(int(span.total_seconds()), 0)
    for limit, size, unit in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{seconds // size} {unit}"
    return f"{seconds // 86_400} d"
