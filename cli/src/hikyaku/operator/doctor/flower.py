"""Flower: only with its login, only on loopback."""

import socket
from collections.abc import Iterator
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, Request, build_opener

from hikyaku.operator.doctor.finding import CantLookError, Finding, fail, ok
from hikyaku.operator.doctor.scope import Scope

TIMEOUT_S = 3
UNAUTHORIZED = 401
NOWHERE = ("192.0.2.1", 9)
"""RFC 5737: reaches nobody; connecting a UDP socket to it sends nothing and tells which address of ours would."""
WHY = "it names every file, dataset and worker, and would be there for everybody in the network to try passwords on"


def look(scope: Scope) -> Iterator[Finding]:
    """Ask it without a login, and at this machine's other addresses."""
    port = _port(scope)
    status = _answer("127.0.0.1", port)
    if status is None:
        raise CantLookError(f"nothing answers on 127.0.0.1:{port}: Flower is down, or is not published where this runs")
    if status != UNAUTHORIZED:
        mend = "HIKYAKU_FLOWER_AUTH_FILE=/run/secrets/login (docker compose run --rm setup; docker compose up -d flower)"
        yield fail(f"Flower shows its tasks without a login (HTTP {status})", WHY, mend)
    else:
        yield ok("Flower asks for its login")
    open_at = [address for address in _addresses() if _answer(address, port) is not None]
    if open_at:
        mend = 'ports: ["127.0.0.1:5555:5555"] in docker-compose.yml; without compose HIKYAKU_FLOWER_ADDRESS=127.0.0.1'
        yield fail(f"Flower answers at {', '.join(open_at)}:{port}", WHY, mend)
    else:
        yield ok("Flower answers on loopback only")


def _port(scope: Scope) -> int:
    if url := scope.environment.get("HIKYAKU_FLOWER_URL"):
        return urlsplit(url).port or 80
    said = scope.environment.get("HIKYAKU_FLOWER_PORT") or scope.places.env.get("HIKYAKU_FLOWER_PORT") or ""
    return int(said) if said.isdecimal() else 5555


def _answer(address: str, port: int) -> int | None:
    """HTTP status of Flower's API without a login; None when nobody answers."""
    shown = f"[{address}]" if ":" in address else address
    try:
        # No proxy stands between this machine and itself.
        with build_opener(ProxyHandler({})).open(Request(f"http://{shown}:{port}/api/workers"), timeout=TIMEOUT_S) as answer:
            return int(answer.status)
    except HTTPError as error:
        return error.code
    except (URLError, OSError):
        return None


def _addresses() -> list[str]:
    """This machine's own, but loopback."""
    found = {str(info[4][0]) for info in _resolved()}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        # Without a route there is no such address.
        if probe.connect_ex(NOWHERE) == 0:
            found.add(str(probe.getsockname()[0]))
    return sorted(address for address in found if not address.startswith(("127.", "::1", "fe80:")))


def _resolved() -> list[tuple[object, object, object, object, tuple[object, ...]]]:
    try:
        return list(socket.getaddrinfo(socket.gethostname(), None))
    except OSError:
        # A host whose name is in no table: then the route's address is all that is known.
        return []
