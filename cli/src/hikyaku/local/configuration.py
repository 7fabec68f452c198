"""supervisord.conf of the stack."""

import secrets
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hikyaku.local import files
from hikyaku.local.layout import Layout
from hikyaku.local.program import record
from hikyaku.local.state import State

USER = "hikyaku"
ENDLESS = 1_000_000
"""Tries to start a program that ends within a second; the pause between them grows by a second each time."""
LISTENER = "endpoints"


@dataclass(frozen=True)
class Ending:
    """How supervisor ends a program.

    Attributes:
        order: lower starts first and stops last.
        wait_s: seconds until it is killed instead.
        signal: asks it to end.
    """

    order: int
    wait_s: int
    signal: str = "TERM"


ENDINGS = {
    # SIGINT is PostgreSQL's fast shutdown: sessions are ended, nothing needs recovery.
    "postgres": Ending(order=10, wait_s=20, signal="INT"),
    "redis": Ending(order=20, wait_s=10),
    # It takes long to stop and keeps nothing anyway.
    "localstack": Ending(order=30, wait_s=3),
    "flower": Ending(order=40, wait_s=5),
    "loader": Ending(order=50, wait_s=15),
    "decryptor": Ending(order=60, wait_s=15),
    # First, so that what it holds can still be settled: its own bound (HIKYAKU_DRAIN_TIMEOUT) is 20 s.
    "poller": Ending(order=70, wait_s=25),
}

_HEAD = """\
[supervisord]
identifier={identifier}
directory={directory}
logfile={logs}/supervisord.log
logfile_maxbytes=5MB
logfile_backups=1
pidfile={run}/supervisord.pid
childlogdir={logs}
umask=022
nodaemon=false
strip_ansi=false

[inet_http_server]
port=127.0.0.1:{port}
username={user}
password={password}

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[eventlistener:{listener}]
command={listener_command}
events=PROCESS_STATE,TICK_5
buffer_size=200
autorestart=true
startretries={endless}
stopwaitsecs=3
stderr_logfile={listener_log}
stderr_logfile_maxbytes=1MB
stderr_logfile_backups=1
priority=1
"""

_PROGRAM = """
[program:{name}]
command={command}
autostart=false
autorestart=true
startsecs=1
startretries={endless}
stopsignal={ending.signal}
stopwaitsecs={ending.wait_s}
killasgroup=true
priority={ending.order}
redirect_stderr=true
stdout_logfile={log}
stdout_logfile_maxbytes=20MB
stdout_logfile_backups=2
"""


def quote(value: str) -> str:
    """A value for supervisor's INI file, where `%` starts an expansion."""
    return value.replace("%", "%%")


def quote_log(path: Path) -> str:
    """A program's log file: supervisor 4.3 expands this value twice (`options.py`, `processes_from_section`)."""
    return quote(quote(str(path)))


def quote_command(arguments: Sequence[str]) -> str:
    """A command line for it: supervisor splits it like a POSIX shell, so spaces, quotes and backslashes are quoted."""
    return quote(" ".join("'" + word.replace("'", "'\"'\"'") + "'" for word in arguments))


def render(layout: Layout, state: State, password: str) -> str:
    """supervisord.conf of one stack."""
    python = [sys.executable, "-m"]
    head = _HEAD.format(
        identifier=state.stack,
        directory=quote(str(layout.directory)),
        logs=quote(str(layout.logs)),
        run=quote(str(layout.run)),
        port=state.ports["supervisor"],
        user=USER,
        password=password,
        listener=LISTENER,
        listener_log=quote_log(layout.log(LISTENER)),
        listener_command=quote_command([*python, "hikyaku.local.listener", str(layout.root), str(layout.directory), str(layout.tools)]),
        endless=ENDLESS,
    )
    return head + "".join(_program(layout, name, ending) for name, ending in ENDINGS.items())


def _program(layout: Layout, name: str, ending: Ending) -> str:
    return _PROGRAM.format(
        name=name,
        command=quote_command([sys.executable, "-m", "hikyaku.local.run", str(record(layout, name))]),
        endless=ENDLESS,
        ending=ending,
        log=quote_log(layout.log(name)),
    )


def password(layout: Layout) -> str:
    """Password of supervisor's control port, made on first use."""
    return files.read_or_create(layout.secret("supervisor.password"), lambda: secrets.token_hex(24) + "\n")
