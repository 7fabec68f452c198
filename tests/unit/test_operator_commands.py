import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from hikyaku.app import app
from hikyaku.errors import UserError
from hikyaku.operator import advice, health, output, period, workers
from hikyaku.operator.settings import OperatorSettings
from shared.errors import ErrorCode


def commands(command: Any, path: str = "hikyaku") -> Iterator[tuple[str, Any]]:
    inner = getattr(command, "commands", {})
    for name, each in inner.items():
        yield from commands(each, f"{path} {name}")
    if not inner:
        yield path, command


IN_COMPOSE = {"hikyaku setup": "docker compose run --rm setup"}
"""A job of its own there."""
COMMANDS = dict(commands(typer.main.get_command(app)))


@pytest.mark.parametrize("path", COMMANDS)
def test_each_help_has_an_example_that_names_the_command(path: str) -> None:
    text = COMMANDS[path].help or ""
    told = {f"Example: {path}", f"Example: {IN_COMPOSE.get(path, path)}"}
    assert any(example in text for example in told) or path.startswith("hikyaku local"), text


def test_each_error_code_has_advice() -> None:
    assert set(advice.ADVICE) == set(ErrorCode)
    assert "runbook" in advice.of("from_a_newer_service").do


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("30m", 1800), ("2h", 7200), ("7d", 604_800), ("1w", 604_800)])
def test_spans_are_read(text: str, seconds: int) -> None:
    assert period.parse(text).total_seconds() == seconds


@pytest.mark.parametrize("text", ["", "5", "h", "-1h", "1y", "9999999d"])
def test_what_is_no_span_is_refused(text: str) -> None:
    with pytest.raises(UserError) as caught:
        period.parse(text)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(("seconds", "shown"), [(-3, "0 s"), (119, "119 s"), (120, "2 min"), (7200, "2 h"), (172_800, "2 d")])
def test_spans_are_shown(seconds: int, shown: str) -> None:
    assert period.shown(dt.timedelta(seconds=seconds)) == shown


def test_all_that_is_missing_is_named_at_once() -> None:
    with pytest.raises(UserError) as caught:
        OperatorSettings.read("database_url", "dlq_url", environment={"HIKYAKU_DLQ_URL_FILE": "/nowhere"})
    assert caught.value.exit_code == 2
    assert "HIKYAKU_DATABASE_URL is not set" in caught.value.message
    assert "HIKYAKU_DLQ_URL_FILE can't be read" in caught.value.message


def test_settings_show_no_secret() -> None:
    settings = OperatorSettings.read(
        environment={"HIKYAKU_DATABASE_URL": "postgresql://u:hush@h/d", "HIKYAKU_REDIS_URL": "redis://:hush@h"}
    )
    assert "hush" not in repr(settings)


def test_a_cell_can_not_steer_the_terminal() -> None:
    assert output.cell("a\x1b[31mb\u202ec\n[red]") == "a\\x1b[31mb\\u202ec\\n[red]"


METRICS = """
# HELP hikyaku_held_messages Messages.
# TYPE hikyaku_held_messages gauge
hikyaku_held_messages 3.0
# TYPE hikyaku_oldest_held_seconds gauge
hikyaku_oldest_held_seconds 12.5
# TYPE hikyaku_dependency_away gauge
hikyaku_dependency_away{dependency="s3"} 1.0
hikyaku_dependency_away{dependency="redis"} 0.0
"""


def test_the_pollers_metrics_are_understood() -> None:
    assert health._told(METRICS) == health.Poller(held=3, oldest_s=12.5, away=("s3",))


@pytest.mark.parametrize("url", ["", "file:///etc/passwd", "redis://127.0.0.1:1/0"])
def test_workers_that_can_not_be_asked_are_unknown(url: str) -> None:
    found = workers.ask(url)
    assert found.unknown
    assert found.answered == ()


@pytest.mark.parametrize("url", ["", "file:///etc/passwd", "http://127.0.0.1:9/metrics"])
def test_a_poller_that_can_not_be_asked_is_unknown(url: str) -> None:
    assert health.poller(url).unknown


def test_the_stacks_own_file_fills_what_is_not_set(tmp_path: Path) -> None:
    file = tmp_path / "endpoints.env"
    file.write_text("HIKYAKU_BUCKET=theirs\nAWS_ENDPOINT_URL='http://localstack:4566'\nHIKYAKU_DLQ_URL=file\n", encoding="utf-8")
    environment = {"HIKYAKU_ENDPOINTS": str(file), "HIKYAKU_BUCKET": "", "HIKYAKU_DLQ_URL": "mine"}
    settings = OperatorSettings.read("bucket", environment=environment)
    assert (settings.bucket, settings.dlq_url, environment["AWS_ENDPOINT_URL"]) == ("theirs", "mine", "http://localstack:4566")
    assert OperatorSettings.read(environment={"HIKYAKU_ENDPOINTS": str(tmp_path / "none")}) == OperatorSettings()


def test_a_table_in_a_pipe_is_not_folded(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    key = "incoming/orders/" + "x" * 200 + ".csv.gz.age"
    output.console().print(output.table(["dataset", "key"], [["orders", key]]))
    assert key in capsys.readouterr().out
