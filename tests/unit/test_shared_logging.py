"""Logging in processes of its own: it is configured once for a whole process."""

import json
import subprocess
import sys
from typing import Any

import pytest

CONFIGURE = "from shared import logging; logging.configure('poller', 'p1', {0!r}, 'INFO'); log = logging.get_logger()\n"


def run(code: str, log_format: str = "json") -> tuple[str, str]:
    command = [sys.executable, "-c", CONFIGURE.format(log_format) + code]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def lines(code: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run(code)[1].splitlines()]


def test_a_line_is_json_with_the_keys_that_join_the_services() -> None:
    [line] = lines("log.bind(action='receive', message_id='m').info('received', file='f', 名='飛脚')")
    assert (
        line.items()
        >= {
            "service": "poller",
            "instance": "p1",
            "level": "info",
            "event": "received",
            "action": "receive",
            "message_id": "m",
            "file": "f",
            "名": "飛脚",
        }.items()
    )
    assert line["timestamp"].endswith("Z")


def test_japanese_stays_readable() -> None:
    assert "飛脚" in run("log.info('飛脚')")[1]


def test_a_line_from_another_thread_has_the_same_keys() -> None:
    """The poller works in threads only."""
    [line] = lines("import threading; t = threading.Thread(target=log.info, args=('received',)); t.start(); t.join()")
    assert (line.get("service"), line.get("instance")) == ("poller", "p1")


@pytest.mark.parametrize("write", ["log.info('x')", "std.getLogger('some.library').warning('x')"])
def test_a_line_names_its_service_whatever_the_context_is(write: str) -> None:
    """Celery's and a library's lines too, in a thread, and after somebody cleared the context variables."""
    thread = f"t = threading.Thread(target=lambda: {write}); t.start(); t.join()"
    found = lines(f"import structlog, threading, logging as std\nstructlog.contextvars.clear_contextvars()\n{write}\n{thread}")
    assert [(line["event"], line["service"], line["instance"]) for line in found] == [("x", "poller", "p1")] * 2


def test_the_standard_librarys_lines_are_json_too() -> None:
    [line] = lines("import logging as std; std.getLogger('some.library').warning('%s of %d', 'one', 2)")
    assert (line["event"], line["level"], line["service"]) == ("one of 2", "warning", "poller")


def test_a_traceback_is_one_line() -> None:
    code = "try:\n    1 / 0\nexcept ZeroDivisionError:\n    log.exception('broken')"
    [line] = lines(code)
    assert "ZeroDivisionError" in line["exception"]


def test_a_traceback_shows_no_values_of_variables() -> None:
    code = "def f():\n    row = 'private' + ' row'\n    1 / 0\ntry:\n    f()\nexcept ZeroDivisionError:\n    log.exception('broken')"
    for log_format in ("json", "console"):
        shown = run(code, log_format)[1]
        assert "ZeroDivisionError" in shown
        assert "private row" not in shown


def test_chatty_libraries_are_quiet_and_their_warnings_show() -> None:
    found = lines("import logging as std; b = std.getLogger('botocore.hooks'); b.info('noise'); b.warning('matters')")
    assert [line["event"] for line in found] == ["matters"]


def test_celery_leaves_the_logging_alone() -> None:
    code = """
import logging as std
from celery import Celery
before = list(std.getLogger().handlers)
Celery('x', set_as_current=False).log.setup(loglevel='DEBUG')
assert std.getLogger().handlers == before
assert std.getLogger().level == std.INFO
std.getLogger('celery.worker').info('still json')
"""
    [line] = lines(code)
    assert line["event"] == "still json"


@pytest.mark.parametrize("log_format", ["auto", "json"])
def test_a_log_that_no_terminal_shows_is_json(log_format: str) -> None:
    assert json.loads(run("log.info('x')", log_format)[1])["event"] == "x"


def test_on_a_terminal_it_is_for_people() -> None:
    out, err = run("log.info('received', action='receive')", "console")
    assert out == ""
    assert "received" in err
    assert "{" not in err
