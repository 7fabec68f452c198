"""Time limits of the services that must relate: each service sees its own, and the doctor all of them."""

from collections.abc import Iterator
from dataclasses import dataclass

from hikyaku.operator.doctor.finding import CantLookError, Finding, ok, warn
from hikyaku.operator.doctor.scope import Scope

POLLER, DECRYPTOR, LOADER = "poller", "decryptor", "loader"
SERVICES = (POLLER, DECRYPTOR, LOADER)
DEADLINE, LEASE, LIMIT = "HIKYAKU_TASK_DEADLINE", "HIKYAKU_BROKER_VISIBILITY_TIMEOUT", "HIKYAKU_TASK_TIME_LIMIT"
DEFAULTS = {
    DEADLINE: 600,
    LEASE: 60,
    LIMIT: 14400,
    "HIKYAKU_DECRYPT_TIMEOUT": 300,
    "HIKYAKU_SPOOL_MAX_AGE": 21600,
    "HIKYAKU_LOCK_TIMEOUT": 300,
    "HIKYAKU_STATEMENT_TIMEOUT": 10800,
}
"""Seconds, as in the services' settings."""


@dataclass(frozen=True, slots=True)
class Order:
    """The first must be below the second; each is a service and its setting."""

    low: tuple[str, str]
    high: tuple[str, str]
    why: str


_COSTS = "instead of being tried again at no cost, the file's message goes back to SQS, which counts the attempt"
SAME = {
    DEADLINE: "the poller and the workers give a chain up at different times: the one works on what the other has begun anew",
    LEASE: "whoever has the shortest hands on tasks at which others still work: files are decrypted and loaded twice at a time",
}
"""By setting, why it must be the same in all three."""
ORDERS = (
    Order((LOADER, "HIKYAKU_LOCK_TIMEOUT"), (POLLER, DEADLINE), f"a wait for a busy table outlasts its chain: {_COSTS}"),
    Order((LOADER, "HIKYAKU_STATEMENT_TIMEOUT"), (LOADER, LIMIT), f"a long COPY is ended by a kill, not by PostgreSQL: {_COSTS}"),
    Order((DECRYPTOR, "HIKYAKU_DECRYPT_TIMEOUT"), (DECRYPTOR, DEADLINE), f"a slow download is ended by a kill: {_COSTS}"),
    Order((DECRYPTOR, DEADLINE), (DECRYPTOR, LIMIT), "every task ends at the limit, whatever its size: a large file never gets its time"),
    Order((LOADER, DEADLINE), (LOADER, LIMIT), "every task ends at the limit, whatever its size: a large file never gets its time"),
    Order(
        (POLLER, DEADLINE),
        (DECRYPTOR, "HIKYAKU_SPOOL_MAX_AGE"),
        "a file that still waits for the loader is swept from the spool, and decrypted once more",
    ),
)


def look(scope: Scope) -> Iterator[Finding]:
    """What must be the same, and what must be below what."""
    if scope.places.host is None and not DEFAULTS.keys() & scope.environment.keys():
        raise CantLookError("the services' settings.env are not seen from here: run it in the project's folder, or name it with --dir")
    found = [*_unequal(scope), *_disordered(scope)]
    yield from found or [ok("the services' time limits fit together")]


def _unequal(scope: Scope) -> Iterator[Finding]:
    for name, why in SAME.items():
        seconds = {service: _seconds(scope, service, name) for service in SERVICES}
        if len(set(seconds.values())) > 1:
            said = ", ".join(f"{service} {each} s" for service, each in seconds.items())
            yield warn(f"{name} is not the same everywhere: {said}", why, _mend(f"one {name}", *SERVICES))


def _disordered(scope: Scope) -> Iterator[Finding]:
    for order in ORDERS:
        low, high = _seconds(scope, *order.low), _seconds(scope, *order.high)
        if low >= high:
            (service, name), (other, bound) = order.low, order.high
            what = f"the {service}'s {name} is {low} s, not below the {other}'s {bound}, {high} s"
            yield warn(what, order.why, _mend(f"{name} below {bound}", *dict.fromkeys((service, other))))


def _seconds(scope: Scope, service: str, name: str) -> int:
    return scope.number(name, service, DEFAULTS[name])


def _mend(what: str, *services: str) -> str:
    paths = ", ".join(f"secrets/{service}/settings.env" for service in services)
    return f"set {what} in {paths}, then: docker compose restart {' '.join(services)}"
