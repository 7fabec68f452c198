"""Spans and moments as an operator types them: `10m`, `7d`, `2026-11-01`, `2026-11-01T09:00+09:00`."""

import datetime as dt
import re

from hikyaku.errors import UserError

_SPAN = re.compile(r"(?P<count>\d{1,6})(?P<unit>[smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def span(text: str, option: str) -> dt.timedelta:
    """A span of seconds, minutes, hours or days, as `90s`, `10m`, `12h`, `30d`.

    Raises:
        UserError: it is none; names the option. Exit code 2.
    """
    if (match := _SPAN.fullmatch(text)) is None:
        raise UserError(f"{option} {text}: not a span", hint="As 90s, 10m, 12h or 30d.", exit_code=2)
    return dt.timedelta(**{_UNITS[match["unit"]]: int(match["count"])})


def moment(text: str, option: str) -> dt.datetime:
    """A moment in ISO 8601; without a zone, of this machine's. A span as `7d` is that long ago.

    Raises:
        UserError: it is none; names the option. Exit code 2.
    """
    if _SPAN.fullmatch(text):
        return dt.datetime.now(dt.UTC) - span(text, option)
    try:
        return dt.datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        hint = "As 2026-11-01, 2026-11-01T09:00, 2026-11-01T09:00+09:00, or 7d for the last seven days."
        raise UserError(f"{option} {text}: not a time", hint=hint, exit_code=2) from None
