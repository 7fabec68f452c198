"""Supervisor: its start, its end, and the calls to it."""

import http.client
import subprocess
import sys
import xmlrpc.client
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from hikyaku import waiting
from hikyaku.errors import UserError
from hikyaku.local import configuration, environment
from hikyaku.local.layout import Layout
from hikyaku.local.state import State

CALL_TIMEOUT_S = 60
START_TIMEOUT_S = 20
_ALREADY_STARTED, _NOT_RUNNING = 60, 70
"""Faults of the XML-RPC API: https://supervisord.org/api.html"""


@dataclass(frozen=True)
class Info:
    """One program as supervisor sees it.

    Attributes:
        name: of the program.
        state: RUNNING, STARTING, BACKOFF, STOPPED, …: https://supervisord.org/subprocess.html#process-states
        pid: 0 while it does not run.
        started: Unix time of the last start, 0 for never.
        uptime_s: seconds since then, 0 while it does not run.
        exit_status: of the last end.
    """

    name: str
    state: str
    pid: int
    started: int
    uptime_s: int
    exit_status: int

    @property
    def runs(self) -> bool:
        """Whether there is a process."""
        return self.pid != 0


class _Transport(xmlrpc.client.Transport):
    """With a bound: a supervisor that was stopped in mid-call must not hang the caller."""

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        connection = super().make_connection(host)
        connection.timeout = CALL_TIMEOUT_S
        return connection


class Supervisor:
    """Calls to a running supervisord."""

    def __init__(self, port: int, password: str) -> None:
        url = f"http://{configuration.USER}:{password}@127.0.0.1:{port}/RPC2"
        self._proxy: Any = xmlrpc.client.ServerProxy(url, transport=_Transport()).supervisor

    def identification(self) -> str:
        """Name of the stack that it supervises."""
        return str(self._proxy.getIdentification())

    def pid(self) -> int:
        """Its own process id."""
        return int(self._proxy.getPID())

    def processes(self) -> dict[str, Info]:
        """All programs by name, the listener too."""
        return {entry["name"]: _info(entry) for entry in self._proxy.getAllProcessInfo()}

    def start(self, name: str) -> None:
        """Start a program unless it runs; does not wait until it stays up."""
        with _ignoring(_ALREADY_STARTED):
            self._proxy.startProcess(name, False)  # noqa: FBT003 - XML-RPC knows no keywords

    def stop(self, name: str, *, wait: bool = True) -> None:
        """Stop a program if it runs; waiting takes at most its `stopwaitsecs` and a moment."""
        with _ignoring(_NOT_RUNNING):
            self._proxy.stopProcess(name, wait)

    def reread(self) -> None:
        """Take over a changed supervisord.conf: programs that were added, changed or removed there."""
        [[added, changed, removed]] = self._proxy.reloadConfig()
        for name in [*changed, *removed]:
            self._proxy.stopProcessGroup(name)
            self._proxy.removeProcessGroup(name)
        for name in [*added, *changed]:
            self._proxy.addProcessGroup(name)

    def shutdown(self) -> None:
        """Begin to stop everything, itself last."""
        self._proxy.shutdown()


@contextmanager
def _ignoring(fault_code: int) -> Iterator[None]:
    try:
        yield
    except xmlrpc.client.Fault as fault:
        if fault.faultCode != fault_code:
            raise


def _info(entry: Mapping[str, Any]) -> Info:
    pid = int(entry["pid"])
    started = int(entry["start"])
    uptime = int(entry["now"]) - started if pid else 0
    return Info(entry["name"], entry["statename"], pid, started, max(uptime, 0), int(entry["exitstatus"]))


def connect(layout: Layout, state: State) -> Supervisor | None:
    """The running supervisor of this stack; None when there is none, or a stranger has its port."""
    supervisor = Supervisor(state.ports["supervisor"], configuration.password(layout))
    try:
        return supervisor if supervisor.identification() == state.stack else None
    except (OSError, http.client.HTTPException, xmlrpc.client.Error, ValueError):
        return None


def launch(layout: Layout, state: State, caller: Mapping[str, str]) -> Supervisor:
    """Start supervisord in the background, with nothing of the caller's environment that it need not have.

    Raises:
        UserError: it does not start.
    """
    log = layout.log("supervisord")
    command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(layout.run / "supervisord.conf")]
    done = subprocess.run(  # noqa: S603 - an argument list of our own
        command,
        env=environment.base(caller),
        cwd=layout.directory,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=START_TIMEOUT_S,
        start_new_session=True,
        check=False,
    )
    if done.returncode != 0:
        raise UserError("The supervisor did not start.", hint=(done.stderr or done.stdout).strip()[-500:], log=log)
    return waiting.until(lambda: connect(layout, state), START_TIMEOUT_S, UserError("The supervisor does not answer.", log=log))
