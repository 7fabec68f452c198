"""What `hikyaku presign` prints for the sender is to be typed as it stands. Nothing is asked of AWS for it."""

import shlex
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from hikyaku.app import app


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "x", "AWS_REGION": "ap-northeast-1"}.items():
        monkeypatch.setenv(name, value)


def presign(*options: str) -> Any:
    return CliRunner().invoke(app, ["presign", "orders/2026-11.csv.gz.age", "--bucket", "acme-in", *options])


def send_command(said: str) -> list[str]:
    """The words of the command, which goes over two lines."""
    _, found, command = said.rpartition("hikyaku send ")
    assert found
    return shlex.split(command.replace("\\\n", " "))


def test_a_url_comes_with_two_commands() -> None:
    done = presign()
    assert done.exit_code == 0, done.output
    blank, works, curl, *_ = done.stderr.splitlines()
    assert (blank, works[:10], shlex.split(curl)[-1]) == ("", "Works once", done.stdout.strip())
    *options, url, name, receipt = send_command(done.stderr)
    assert (options, url, name) == (["FILE.csv", "-r", "age1…", "--wait", "--url"], done.stdout.strip(), "--receipt-url")
    assert "/receipts/incoming/orders/2026-11.csv.gz.age.json?" in receipt


def test_a_form_comes_with_one(tmp_path: Path) -> None:
    done = presign("--form")
    assert done.exit_code == 0, done.output
    (tmp_path / "form").write_text(done.stdout)
    *options, name, _ = send_command(done.stderr)
    assert (options[-3:], name) == (["--wait", "--url", "form"], "--receipt-url")
