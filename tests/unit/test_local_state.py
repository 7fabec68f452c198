"""Ports and other choices: made once, kept, and mended when a stranger took a port."""

import socket
from pathlib import Path

import pytest

from hikyaku.errors import UserError
from hikyaku.local import state

STATE = state.State("a1b2", {name: 20_000 + i for i, name in enumerate(state.PORT_NAMES)}, "namespace")


def test_what_was_saved_is_loaded_again(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    assert state.load(path) is None
    state.save(path, STATE)
    assert state.load(path) == STATE


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"stack": "a", "ports": {"redis": "x"}, "postgres_as": "self"}'])
def test_a_damaged_file_is_said_in_a_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "state.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match="damaged"):
        state.load(path)


def test_ports_differ_and_are_not_ephemeral() -> None:
    ports = state.choose_ports(free=lambda _: True)
    assert set(ports) == set(state.PORT_NAMES)
    assert len(set(ports.values())) == len(ports)
    assert all(state.LOWEST_PORT <= port < state.HIGHEST_PORT < 32_768 for port in ports.values())


def test_a_taken_port_is_never_chosen() -> None:
    odd = state.choose_ports(free=lambda port: port % 2 == 1)
    assert all(port % 2 == 1 for port in odd.values())


def test_without_a_free_port_it_says_so() -> None:
    with pytest.raises(UserError, match="No free port"):
        state.choose_port([], free=lambda _: False)


def test_only_the_port_that_a_stranger_took_is_replaced() -> None:
    taken = STATE.ports["redis"]
    mended = state.with_free_ports(STATE, free=lambda port: port != taken)
    assert mended.ports["redis"] != taken
    assert {n: p for n, p in mended.ports.items() if n != "redis"} == {n: p for n, p in STATE.ports.items() if n != "redis"}


def test_a_listening_port_is_not_free() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        assert not state.is_free(server.getsockname()[1])
