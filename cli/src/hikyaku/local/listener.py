"""Supervisor's event listener: keeps endpoints.env true, and ends what a killed program left behind.

`python -m hikyaku.local.listener ROOT DIRECTORY TOOLS`, started by supervisor, which talks with it over stdin and stdout:
https://supervisord.org/events.html#event-listener-notification-protocol
"""

import http.client
import sys
import xmlrpc.client
from pathlib import Path
from typing import TextIO

from supervisor.childutils import EventListenerProtocol, get_headers

from hikyaku.local import aws, configuration, endpoints, leftovers, state
from hikyaku.local.layout import Layout
from hikyaku.local.program import NAMES
from hikyaku.local.supervise import Supervisor

NOTED = "processes.json"


class Listener:
    """What one listener knows between two events: the last process of each program, what LocalStack gave."""

    def __init__(self, layout: Layout, supervisor: Supervisor, ports: state.State) -> None:
        self._layout = layout
        self._supervisor = supervisor
        self._state = ports
        self._pids: dict[str, int] = {}
        self._outputs: aws.Outputs | None = None

    def refresh(self) -> None:
        """See what runs now, end what is left of a program that does not, and note it all.

        Raises:
            OSError: supervisor does not answer, it is probably stopping.
        """
        processes = self._supervisor.processes()
        pids = {name: processes[name].pid for name in NAMES if name in processes and processes[name].runs}
        for name, pid in self._pids.items():
            if pids.get(name) != pid:
                # A worker's children outlive its SIGKILL and would go on working beside its successor.
                leftovers.end_group(pid)
        self._pids = pids
        leftovers.remember(self._layout.run / NOTED, pids)
        # Before `up` has written it, or once `down` has taken it away, there is nothing to keep true.
        if self._layout.endpoints.exists():
            self._write_endpoints()

    def _write_endpoints(self) -> None:
        # While LocalStack deploys again the last outputs hold: names and URLs do not change.
        self._outputs = aws.read_outputs(self._layout) or self._outputs
        if self._outputs is not None:
            endpoints.write(self._layout, self._state, self._outputs, self._pids)


def serve(listener: Listener, stdin: TextIO, stdout: TextIO) -> None:
    """Answer supervisor until it closes the pipe."""
    protocol = EventListenerProtocol()
    while True:
        protocol.ready(stdout)
        if not (line := stdin.readline()):
            return
        headers = get_headers(line)
        stdin.read(int(headers["len"]))
        _refresh(listener, headers["eventname"])
        protocol.ok(stdout)


def _refresh(listener: Listener, event: str) -> None:
    # What happened does not matter, only what runs now: events may come late and in bursts.
    try:
        listener.refresh()
    except (OSError, http.client.HTTPException, xmlrpc.client.Error) as error:
        # The next event, five seconds away at most, tries again.
        sys.stderr.write(f"{event}: {error}\n")
        sys.stderr.flush()


def main(root: Path, directory: Path, tools: Path) -> None:
    """Run as supervisor's child."""
    layout = Layout(root, directory, tools)
    kept = state.load(layout.state)
    if kept is None:
        raise SystemExit(f"{layout.state} is missing")
    supervisor = Supervisor(kept.ports["supervisor"], configuration.password(layout))
    serve(Listener(layout, supervisor, kept), sys.stdin, sys.stdout)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
