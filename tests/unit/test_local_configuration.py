"""supervisord.conf is read by supervisor's own parser, from folders with awkward names."""

import re
import shlex
import sys
from pathlib import Path

import pytest
from supervisor.options import ServerOptions

from hikyaku.local import configuration
from hikyaku.local.layout import Layout
from hikyaku.local.program import NAMES
from hikyaku.local.state import PORT_NAMES, State

STATE = State("a1b2", {name: 20_000 + i for i, name in enumerate(PORT_NAMES)}, "self")


def _parsed(folder: Path) -> ServerOptions:
    layout = Layout(folder, folder / ".local", folder / "tools")
    layout.logs.mkdir(parents=True)
    layout.run.mkdir()
    path = layout.run / "supervisord.conf"
    path.write_text(configuration.render(layout, STATE, "secret"), encoding="utf-8")
    options = ServerOptions()
    options.realize(["-c", str(path)])
    return options


@pytest.mark.parametrize("name", ["plain", "with space", "50% off", "it's", 'a "quoted" one', "飛脚"])
def test_supervisor_reads_every_program_from_any_folder(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    options = _parsed(folder)
    processes = {process.name: process for group in options.process_group_configs for process in group.process_configs}
    assert set(processes) == {*NAMES, configuration.LISTENER}
    assert shlex.split(processes["redis"].command) == [
        sys.executable,
        "-m",
        "hikyaku.local.run",
        str(folder / ".local" / "run" / "redis.json"),
    ]
    assert options.pidfile == str(folder / ".local" / "run" / "supervisord.pid")
    assert processes[configuration.LISTENER].stderr_logfile == str(folder / ".local" / "logs" / "endpoints.log")
    assert processes["redis"].stdout_logfile == str(folder / ".local" / "logs" / "redis.log")


def test_programs_restart_for_ever_but_wait_for_up_to_start_them(tmp_path: Path) -> None:
    options = _parsed(tmp_path)
    for group in options.process_group_configs:
        for process in group.process_configs:
            assert process.autorestart is not False
            assert process.startretries >= 1_000_000
            assert process.autostart is (process.name == configuration.LISTENER)


def test_control_port_is_on_loopback_with_a_password(tmp_path: Path) -> None:
    (server,) = _parsed(tmp_path).server_configs
    assert (server["host"], server["port"]) == ("127.0.0.1", STATE.ports["supervisor"])
    assert (server["username"], server["password"]) == (configuration.USER, "secret")


def test_servers_outlive_the_services_that_need_them() -> None:
    order = [name for name, _ in sorted(configuration.ENDINGS.items(), key=lambda item: item[1].order)]
    assert set(order[:3]) == {"postgres", "redis", "localstack"}
    assert order[-1] == "poller"


def test_every_program_has_its_ending() -> None:
    assert set(configuration.ENDINGS) == set(NAMES)


def test_no_secret_of_a_service_is_in_the_configuration(tmp_path: Path) -> None:
    layout = Layout(tmp_path, tmp_path / ".local", tmp_path / "tools")
    text = configuration.render(layout, STATE, "control")
    assert not re.search(r"^environment", text, re.MULTILINE)
