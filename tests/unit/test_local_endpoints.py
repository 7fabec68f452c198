"""endpoints.env, as a shell and as a simple parser read it, and how it is replaced."""

import json
import subprocess
from pathlib import Path

import pytest

from hikyaku.local import aws, endpoints, files
from hikyaku.local.layout import Layout
from hikyaku.local.program import NAMES
from hikyaku.local.state import PORT_NAMES, State

CONTRACT = {
    "AWS_ENDPOINT_URL", "AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "HIKYAKU_BUCKET", "HIKYAKU_QUEUE_URL",
    "HIKYAKU_DLQ_URL", "HIKYAKU_DATABASE_URL", "HIKYAKU_REDIS_URL", "HIKYAKU_FLOWER_URL", "HIKYAKU_RECIPIENT", "HIKYAKU_DATASETS",
}  # fmt: skip
STATE = State("a1b2", {name: 20_000 + i for i, name in enumerate(PORT_NAMES)}, "self")
OUTPUTS = aws.Outputs("bucket", "http://127.0.0.1:20003/queue/q", "http://127.0.0.1:20003/queue/dlq")


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    where = Layout(tmp_path, tmp_path / "a stack", tmp_path / "tools")
    keys = "[default]\naws_access_key_id = LKIA1\naws_secret_access_key = s/e+c=%\n"
    aws.credentials(where, "operator").parent.mkdir(parents=True)
    aws.credentials(where, "operator").write_text(keys, encoding="utf-8")
    return where


def test_every_name_of_the_contract_is_there(layout: Layout) -> None:
    pids = {name: 100 + i for i, name in enumerate(NAMES)}
    values = endpoints.values(layout, STATE, OUTPUTS, pids)
    assert values.keys() >= CONTRACT | {f"HIKYAKU_PID_{name.upper()}" for name in NAMES}
    assert values["HIKYAKU_PID_REDIS"] == str(pids["redis"])
    assert values["HIKYAKU_RECIPIENT"].startswith("age1")
    assert "hikyaku_owner" in values["HIKYAKU_DATABASE_URL"]
    assert endpoints.render(values).count("AWS_SECRET_ACCESS_KEY=s/e+c=%\n") == 1


def test_a_program_that_does_not_run_has_no_pid(layout: Layout) -> None:
    values = endpoints.values(layout, STATE, OUTPUTS, {"redis": 5})
    assert [name for name in values if name.startswith("HIKYAKU_PID_")] == ["HIKYAKU_PID_REDIS"]


def test_values_are_the_same_each_time(layout: Layout) -> None:
    assert endpoints.values(layout, STATE, OUTPUTS, {}) == endpoints.values(layout, STATE, OUTPUTS, {})


def test_a_shell_reads_back_what_was_written(tmp_path: Path) -> None:
    pairs = {"A": "http://u:p@127.0.0.1:1/0?x=%41", "B": "with space", "C": "it's $HOME `x`", "D": "", "E": "~/x", "F": "飛脚"}
    path = tmp_path / "endpoints.env"
    path.write_text(endpoints.render(pairs), encoding="utf-8")
    program = "import json, os; print(json.dumps({k: os.environ[k] for k in 'ABCDEF'}))"
    script = f'set -a; . "$1"; exec python3 -c "{program}"'
    done = subprocess.run(["sh", "-c", script, "sh", str(path)], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == pairs


def test_plain_values_stand_without_quotes_for_simple_parsers() -> None:
    url = "postgresql://hikyaku_owner:0a1b@127.0.0.1:20001/hikyaku"
    assert endpoints.render({"HIKYAKU_DATABASE_URL": url}) == f"HIKYAKU_DATABASE_URL={url}\n"


def test_the_file_is_private_and_replaced_only_when_it_changes(layout: Layout) -> None:
    assert endpoints.write(layout, STATE, OUTPUTS, {"redis": 5})
    before = layout.endpoints.stat()
    assert before.st_mode & 0o777 == 0o600
    assert not endpoints.write(layout, STATE, OUTPUTS, {"redis": 5})
    assert layout.endpoints.stat().st_ino == before.st_ino
    assert endpoints.write(layout, STATE, OUTPUTS, {"redis": 6})
    assert "HIKYAKU_PID_REDIS=6\n" in layout.endpoints.read_text(encoding="utf-8")


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "x.env"
    files.write_atomically(path, "old")
    with pytest.raises(UnicodeEncodeError):
        files.write_atomically(path, "\ud800")
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]
