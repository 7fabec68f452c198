"""The event listener, on a supervisor that the test plays."""

import io
import subprocess
from pathlib import Path
from typing import Any, cast

import pytest

from hikyaku.local import aws, leftovers, listener
from hikyaku.local.layout import Layout
from hikyaku.local.state import PORT_NAMES, State
from hikyaku.local.supervise import Info, Supervisor

STATE = State("a1b2", {name: 20_000 + i for i, name in enumerate(PORT_NAMES)}, "self")
STACK = '{"bucket": "b", "queue_url": "http://127.0.0.1/q", "dlq_url": "http://127.0.0.1/dlq"}'


class FakeSupervisor:
    """Says what runs, or that it does not answer."""

    def __init__(self) -> None:
        self.pids: dict[str, int] = {}
        self.answers = True

    def processes(self) -> dict[str, Info]:
        if not self.answers:
            raise ConnectionRefusedError
        return {name: Info(name, "RUNNING" if pid else "EXITED", pid, 1, 1, 0) for name, pid in self.pids.items()}


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    where = Layout(tmp_path, tmp_path / ".local", tmp_path / "tools")
    where.run.mkdir(parents=True)
    keys = "[default]\naws_access_key_id = LKIA1\naws_secret_access_key = secret\n"
    aws.credentials(where, "operator").parent.mkdir(parents=True)
    aws.credentials(where, "operator").write_text(keys, encoding="utf-8")
    (where.localstack / "aws" / "stack.json").write_text(STACK, encoding="utf-8")
    where.endpoints.write_text("", encoding="utf-8")
    return where


@pytest.fixture
def supervisor() -> FakeSupervisor:
    return FakeSupervisor()


@pytest.fixture
def subject(layout: Layout, supervisor: FakeSupervisor) -> listener.Listener:
    return listener.Listener(layout, cast("Supervisor", supervisor), STATE)


def test_a_restarted_process_is_written_at_once(layout: Layout, supervisor: FakeSupervisor, subject: listener.Listener) -> None:
    supervisor.pids = {"redis": 4_000_001, "poller": 4_000_002, "endpoints": 4_000_003}
    subject.refresh()
    assert "HIKYAKU_PID_REDIS=4000001\n" in layout.endpoints.read_text(encoding="utf-8")
    supervisor.pids = {"redis": 4_000_009, "poller": 0}
    subject.refresh()
    text = layout.endpoints.read_text(encoding="utf-8")
    assert "HIKYAKU_PID_REDIS=4000009\n" in text
    assert "HIKYAKU_PID_POLLER" not in text
    assert "HIKYAKU_PID_ENDPOINTS" not in text


def test_while_localstack_deploys_again_the_last_outputs_hold(
    layout: Layout, supervisor: FakeSupervisor, subject: listener.Listener
) -> None:
    supervisor.pids = {"redis": 4_000_001}
    subject.refresh()
    (layout.localstack / "aws" / "stack.json").unlink()
    supervisor.pids = {"redis": 4_000_002}
    subject.refresh()
    text = layout.endpoints.read_text(encoding="utf-8")
    assert "HIKYAKU_PID_REDIS=4000002\n" in text
    assert "HIKYAKU_BUCKET=b\n" in text


def test_nothing_is_written_before_up_is_done_or_after_down(layout: Layout, supervisor: FakeSupervisor, subject: listener.Listener) -> None:
    layout.endpoints.unlink()
    supervisor.pids = {"redis": 4_000_001}
    subject.refresh()
    assert not layout.endpoints.exists()


def test_children_of_a_program_that_ended_are_ended(supervisor: FakeSupervisor, subject: listener.Listener) -> None:
    command = ["sh", "-c", "sleep 600 & echo $!; wait"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        supervisor.pids = {"loader": parent.pid}
        subject.refresh()
        assert not leftovers.ends(child, 0)
        parent.kill()
        parent.wait()
        supervisor.pids = {"loader": 4_000_001}
        subject.refresh()
        assert leftovers.ends(child, 30)


def test_each_event_is_answered_even_when_supervisor_is_not(supervisor: FakeSupervisor, subject: listener.Listener) -> None:
    supervisor.answers = False
    payload = "processname:redis groupname:redis from_state:RUNNING"
    event = f"ver:3.0 eventname:PROCESS_STATE_EXITED len:{len(payload)}\n{payload}"
    answers: Any = io.StringIO()
    listener.serve(subject, io.StringIO(event * 2), answers)
    assert answers.getvalue() == "READY\n" + "RESULT 2\nOKREADY\n" * 2
