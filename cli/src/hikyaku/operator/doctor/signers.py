"""The senders' keys: whose ends soon, whose has ended. Lines of OpenSSH's allowed_signers, ssh-keygen(1)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from hikyaku.operator.doctor.finding import CantLookError, Finding, fail, ok, warn
from hikyaku.operator.doctor.scope import Scope

SOON = timedelta(days=30)
OTHERS_WRITE = 0o022
_UNTIL = re.compile(r'valid-before="?(\d{8}(?:\d{4}(?:\d\d)?)?)(Z|UTC)?"?', re.IGNORECASE)
_FORMATS = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}


@dataclass(frozen=True, slots=True)
class Line:
    """One of the file's lines."""

    number: int
    principals: str
    until: datetime | None


def look(scope: Scope) -> Iterator[Finding]:
    """Each sender by its last key."""
    path = scope.places.signers
    if path is None:
        raise CantLookError("HIKYAKU_ALLOWED_SIGNERS is not set, and there is no config/allowed_signers here")
    if not path.is_file():
        why = "nobody is known: where a signature is required, every file is rejected as signer_unknown"
        yield warn(f"there is no {path}", why, "docs/security.md#who-may-send-what")
        return
    if path.stat().st_mode & OTHERS_WRITE:
        yield fail(f"{path} can be written by others than its owner", "whoever does may send as anybody", f"chmod 644 {path}")
    lines = parse(path.read_text(encoding="utf-8"))
    for principals in dict.fromkeys(line.principals for line in lines):
        yield _sender(principals, [line for line in lines if line.principals == principals], scope.now())


def _sender(principals: str, lines: list[Line], now: datetime) -> Finding:
    last = max(lines, key=lambda line: line.until or datetime.max.replace(tzinfo=UTC))
    if last.until is None or last.until > now + SOON:
        return ok(f"{principals} may sign {'without an end' if last.until is None else f'until {last.until:%Y-%m-%d}'}")
    mend = "get the sender's next public key and add a line for it (docs/security.md#who-may-send-what)"
    if last.until <= now:
        return fail(
            f"the last key of {principals} has ended on {last.until:%Y-%m-%d} (line {last.number})",
            "its files are rejected: signer_expired",
            mend,
        )
    return warn(
        f"the last key of {principals} ends on {last.until:%Y-%m-%d} (line {last.number})",
        "from then on its files are rejected: signer_expired",
        mend,
    )


def parse(text: str) -> list[Line]:
    """Lines with whom they are for and when they end. What is wrong with them the decryptor tells in its log."""
    found = [(number, line.strip()) for number, line in enumerate(text.splitlines(), start=1)]
    return [Line(number, line.split()[0], _until(line)) for number, line in found if line and not line.startswith("#")]


def _until(line: str) -> datetime | None:
    found = _UNTIL.search(line)
    if found is None or len(found[1]) not in _FORMATS:
        return None
    plain = datetime.strptime(found[1], _FORMATS[len(found[1])])  # noqa: DTZ007 - the zone is told apart
    return plain.replace(tzinfo=UTC) if found[2] else plain.astimezone()
