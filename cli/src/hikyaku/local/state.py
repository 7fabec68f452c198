"""Choices made once and kept, so that a restarted stack is found where it was."""

import json
import secrets
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from hikyaku.errors import UserError
from hikyaku.local import files

PORT_NAMES = ("supervisor", "postgres", "redis", "localstack", "flower")
LOWEST_PORT, HIGHEST_PORT = 20_000, 32_000
"""Below the ephemeral ports (32768 on Linux, see ip(7)): a client that keeps connecting to a server which is just being
restarted could otherwise be given that very port as its own, and so keep the server from coming back."""
ATTEMPTS = 200


@dataclass(frozen=True)
class State:
    """What `state.json` holds.

    Attributes:
        stack: random name of this stack, by which its supervisor is recognised.
        ports: TCP port on 127.0.0.1 of each of `PORT_NAMES`.
        postgres_as: whom PostgreSQL runs as, see `unprivileged.py`.
    """

    stack: str
    ports: Mapping[str, int]
    postgres_as: str


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of 127.0.0.1 now."""
    with socket.socket() as probe:
        # As servers do: connections of a predecessor that linger in TIME_WAIT do not make it taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def choose_port(taken: Iterable[int], free: Callable[[int], bool] = is_free) -> int:
    """A free port that is none of `taken`.

    Raises:
        UserError: none was found.
    """
    avoid = set(taken)
    for _ in range(ATTEMPTS):
        port = LOWEST_PORT + secrets.randbelow(HIGHEST_PORT - LOWEST_PORT)
        if port not in avoid and free(port):
            return port
    raise UserError(f"No free port between {LOWEST_PORT} and {HIGHEST_PORT} on 127.0.0.1.")


def choose_ports(free: Callable[[int], bool] = is_free) -> dict[str, int]:
    """A free port for each of `PORT_NAMES`, all different."""
    ports: dict[str, int] = {}
    for name in PORT_NAMES:
        ports[name] = choose_port(ports.values(), free)
    return ports


def with_free_ports(state: State, free: Callable[[int], bool] = is_free) -> State:
    """The same state, with another port wherever a stranger took ours while the stack was down."""
    ports = dict(state.ports)
    for name, port in state.ports.items():
        if not free(port):
            ports[name] = choose_port(ports.values(), free)
    return replace(state, ports=ports)


def load(path: Path) -> State | None:
    """Read the kept choices, None when there are none yet.

    Raises:
        UserError: the file is damaged.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise UserError(f"{path} belongs to another user.", hint="Run this as that user, or choose another folder with --dir.") from error
    try:
        data = json.loads(text)
        return State(data["stack"], {name: int(data["ports"][name]) for name in PORT_NAMES}, data["postgres_as"])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is damaged.", hint="Run `hikyaku local down --clean`, then up again.") from error


def save(path: Path, state: State) -> None:
    """Keep the choices."""
    data = {"stack": state.stack, "ports": dict(state.ports), "postgres_as": state.postgres_as}
    files.write_atomically(path, json.dumps(data, indent=2) + "\n")
