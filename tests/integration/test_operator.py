"""The operator looks and mends, on a real line."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest
from line import Line, Put, eventually
from prometheus_client.parser import text_string_to_metric_families

from hikyaku.endpoints import read_endpoints
from hikyaku.local import postgres


def hikyaku(line: Line, *arguments: str, code: int | None = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hikyaku", *arguments]
    environment = {**os.environ, **line.endpoints, "COLUMNS": "250"}
    ran = subprocess.run(command, check=False, env=environment, capture_output=True, text=True, timeout=60)
    assert code is None or ran.returncode == code, ran.stderr
    assert "Traceback" not in ran.stderr
    return ran


def lines(ran: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in ran.stdout.splitlines()]


@pytest.fixture
def dataset(line: Line) -> str:
    name = line.table("id int PRIMARY KEY, item text")
    line.fate(line.send(name, "id,item\n1,座布団\n2,提灯\n".encode(), "good"), "loaded")
    line.fate(line.send(name, b"id,item\nno,number\n", "bad"), "rejected")
    return name


def test_files_are_listed_and_found_by_glob_status_and_time(line: Line, dataset: str) -> None:
    found = lines(hikyaku(line, "files", "--dataset", dataset, "--json"))
    assert [row["status"] for row in found] == ["rejected", "loaded"]
    found = lines(hikyaku(line, "files", "--key", f"incoming/{dataset}/g??d*", "--since", "1h", "--json"))
    assert [(row["status"], row["rows_inserted"]) for row in found] == [("loaded", 2)]
    assert "good.csv.gz.age" in hikyaku(line, "files", "--dataset", dataset, "--status", "loaded").stdout
    assert hikyaku(line, "files", "--dataset", "nobody").stderr.strip() == "No such file."


def test_a_file_is_shown_whole_by_key_and_by_id(line: Line, dataset: str) -> None:
    [file] = lines(hikyaku(line, "show", f"{dataset}/bad.csv.gz.age", "--json"))
    assert (file["status"], file["error_code"]) == ("rejected", "value_invalid")
    shown = hikyaku(line, "show", file["file_id"]).stdout
    assert "value_invalid" in shown
    assert "corrected" in shown
    assert "number" not in shown.replace("number of", ""), "no row data"
    ran = hikyaku(line, "show", "nobody/knows.csv.gz.age", code=1)
    assert "knows no file" in ran.stderr


def test_errors_say_what_to_do(line: Line, dataset: str) -> None:
    told = hikyaku(line, "errors", "--dataset", dataset).stdout
    assert "value_invalid: 1 ×" in told
    assert f"incoming/{dataset}/bad.csv.gz.age" in told
    assert "Nothing needs a person." in hikyaku(line, "errors", "--dataset", "nobody").stdout


def test_the_status_names_what_needs_a_person(line: Line, dataset: str) -> None:
    state = json.loads(hikyaku(line, "status", "--json", code=1).stdout)
    assert state["dead_letters"]["visible"] + state["dead_letters"]["in_flight"] >= 1
    [row] = [row for row in state["datasets"] if row["dataset"] == dataset]
    assert (row["loaded_24h"], row["rejected_24h"], row["last_key"]) == (1, 1, f"incoming/{dataset}/good.csv.gz.age")
    assert {name.split("@")[0] for name in state["workers"]["answered"]} >= {"decryptor", "loader"}
    assert any("dead-letter queue" in trouble for trouble in state["troubles"])
    assert dataset in hikyaku(line, "status", code=1).stdout


@pytest.mark.parametrize("name", ["HIKYAKU_DATABASE_URL", "HIKYAKU_QUEUE_URL"])
def test_what_is_not_there_is_said_in_a_sentence(line: Line, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {"HIKYAKU_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/x", "HIKYAKU_QUEUE_URL": "http://127.0.0.1:1/000000000000/none"}
    monkeypatch.setitem(line.endpoints, name, wrong[name])
    assert hikyaku(line, "status", code=1).stderr.startswith("hikyaku: ")


ACME = "acme@example.com"
NUMBERED = """
INSERT INTO hikyaku.files
    (bucket, key, version_id, file_id, status, size_bytes, event_time, received_at, sender, signer, seq, content_sha256)
VALUES (%(bucket)s, %(key)s, 'v', %(key)s, 'superseded', 1, now(), now(), %(sender)s, %(signer)s, %(seq)s, %(content)s)
"""


@pytest.fixture
def numbered(line: Line) -> Iterator[str]:
    """A folder whose sender has left out 2 and 3, and used 4 twice; somebody says to be another one, and signs nothing."""
    folder = f"n{uuid4().hex}"
    port = urlsplit(line.endpoints["HIKYAKU_DATABASE_URL"]).port
    assert port is not None
    secret = line.folder / "secrets" / "postgres" / f"{postgres.SUPERUSER}.password"
    superuser = postgres.url(postgres.SUPERUSER, secret.read_text(encoding="utf-8").strip(), port)
    with psycopg.connect(superuser, autocommit=True) as connection:
        for seq, content, signer in ((1, "a", ACME), (4, "b", ACME), (4, "c", ACME), (9, "d", None)):
            key = f"incoming/{folder}/{content}.csv.gz.age"
            values = {
                "bucket": line.bucket,
                "key": key,
                "sender": signer or "anybody",
                "signer": signer,
                "seq": seq,
                "content": content * 64,
            }
            connection.execute(NUMBERED, values)
        yield folder
        connection.execute("DELETE FROM hikyaku.files WHERE starts_with(key, %s)", [f"incoming/{folder}/"])


def test_metrics_tell_of_gaps_repeats_loads_and_queues(line: Line, dataset: str, numbered: str, tmp_path: Path) -> None:
    file = tmp_path / "hikyaku.prom"
    assert not hikyaku(line, "metrics", "--output", str(file)).stdout
    families = list(text_string_to_metric_families(file.read_text(encoding="utf-8")))
    found = {(each.name, *each.labels.values()): each.value for family in families for each in family.samples}
    assert found["hikyaku_sequence_missing", numbered, ACME] == 2
    assert found["hikyaku_sequence_repeated", numbered, ACME] == 1
    assert ("hikyaku_sequence_missing", numbered, "anybody") not in found, "else whoever may upload makes series without end"
    assert found["hikyaku_files_24h", dataset, "loaded"] == found["hikyaku_files_24h", dataset, "rejected"] == 1
    assert found["hikyaku_last_load_age_seconds", dataset] >= 0
    assert ("hikyaku_queue_messages", "dead_letter", "visible") in found
    assert f'hikyaku_files_failed{{dataset="{dataset}"}} 0.0' in hikyaku(line, "metrics").stdout


def test_metrics_of_a_ledger_that_is_away_are_not_written(line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(line.endpoints, "HIKYAKU_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/x")
    assert "can't be reached" in hikyaku(line, "metrics", "--output", str(tmp_path / "hikyaku.prom"), code=1).stderr
    assert not list(tmp_path.iterdir())


def test_actions_are_listed_even_when_there_is_none(line: Line) -> None:
    assert "outcome" in hikyaku(line, "actions").stdout


# The operator mends.


def start(line: Line, *arguments: str, before: str = "") -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, after some Python: to die in the midst, say."""
    program = f"import sys\n{before}\nfrom hikyaku.__main__ import main\nsys.argv[1:] = {list(arguments)!r}\nmain()"
    environment = {**os.environ, **line.endpoints}
    return subprocess.run([sys.executable, "-c", program], check=False, env=environment, capture_output=True, text=True, timeout=60)


def last_action(line: Line) -> dict[str, Any]:
    return lines(hikyaku(line, "actions", "--limit", "1", "--json"))[0]


def letters(line: Line, dataset: str) -> list[dict[str, Any]]:
    return [each for each in lines(hikyaku(line, "dlq", "list", "--json")) if f"/{dataset}/" in each["key"]]


def buried(line: Line, dataset: str, count: int = 1) -> list[dict[str, Any]]:
    """The letters of a dataset, once there are so many. A fate is in the ledger a moment before its letter is in the queue."""
    return eventually(lambda: found if len(found := letters(line, dataset)) >= count else None, what=f"{count} letters of {dataset}")


KILLED_AT_DELETE = """
import os, signal
from hikyaku.operator import letters
letters.Held.delete = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
letters.HOLD_S = 2
"""


@pytest.fixture
def rejected(line: Line) -> tuple[str, Put]:
    """A file that fits no table, and its dataset."""
    name = f"t_{uuid4().hex[:12]}"
    put = line.send(name, b"id,item\n1,a\n", "early")
    assert line.fate(put, "rejected")["error_code"] == "table_unknown"
    buried(line, name)
    return name, put


def test_a_look_at_the_dead_letter_queue_leaves_all_there(line: Line, rejected: tuple[str, Put]) -> None:
    name, put = rejected
    for _ in range(2):
        [letter] = letters(line, name)
        assert (letter["error_code"], letter["version_id"]) == ("table_unknown", put.version_id)
    assert "table_unknown" in hikyaku(line, "dlq", "show", f"{name}/*").stdout
    assert hikyaku(line, "dlq", "show", "nobody/*", code=1).stderr.startswith("hikyaku: the dead-letter queue holds nothing")
    assert "1 message:" in hikyaku(line, "show", put.key).stdout


def test_a_redrive_by_key_asks_writes_down_and_loads(line: Line, rejected: tuple[str, Put]) -> None:
    name, put = rejected
    line.table("id int PRIMARY KEY, item text", name)
    assert "no terminal" in hikyaku(line, "dlq", "redrive", put.key, code=2).stderr
    hikyaku(line, "dlq", "redrive", put.key, "--dry-run")
    assert len(letters(line, name)) == 1
    hikyaku(line, "dlq", "redrive", put.key, "--yes", "--reason", "表ができた")
    line.fate(put, "loaded")
    assert letters(line, name) == []
    row = last_action(line)
    assert (row["action"], row["reason"], row["outcome"]) == ("dlq redrive", "表ができた", "done: 1 of 1 messages sent")
    assert row["target"]["keys"] == [put.key]


def test_a_redrive_of_everything_is_sqs_own_move(line: Line, rejected: tuple[str, Put]) -> None:
    name, put = rejected
    line.table("id int PRIMARY KEY, item text", name)
    ran = hikyaku(line, "dlq", "redrive", "--all", "--yes")
    assert "moved" in ran.stderr
    line.fate(put, "loaded")


def test_a_redrive_that_is_killed_before_it_deletes_loads_once(line: Line, rejected: tuple[str, Put]) -> None:
    name, put = rejected
    line.table("id int PRIMARY KEY, item text", name)
    assert start(line, "dlq", "redrive", put.key, "--yes", before=KILLED_AT_DELETE).returncode == -9
    line.fate(put, "loaded")
    cut_short = last_action(line)
    assert (cut_short["action"], cut_short["outcome"]) == ("dlq redrive", None)
    buried(line, name)
    hikyaku(line, "dlq", "redrive", put.key, "--yes")
    line.quiet()
    assert line.sql(f"SELECT * FROM {name}") == [{"id": 1, "item": "a"}]
    assert line.ledger(put)["attempts"] == 2, "rejected, then loaded; the third time it was known"


def test_what_is_dropped_is_gone_from_the_queue_only(line: Line, rejected: tuple[str, Put]) -> None:
    name, put = rejected
    assert hikyaku(line, "dlq", "drop", code=2).stderr.startswith("hikyaku: which messages?")
    hikyaku(line, "dlq", "drop", f"{name}/*", "--error-code", "too_large", "--yes", code=1)
    hikyaku(line, "dlq", "drop", f"{name}/*", "--error-code", "table_unknown", "--yes")
    assert letters(line, name) == []
    assert line.ledger(put)["status"] == "rejected"
    # Without its letter, a retry makes an event of its own.
    line.table("id int PRIMARY KEY, item text", name)
    hikyaku(line, "retry", put.key, "--yes")
    line.fate(put, "loaded")
    assert last_action(line)["outcome"] == "done: a new event of it"


def test_a_retry_takes_the_letter_along(line: Line, rejected: tuple[str, Put]) -> None:
    name, put = rejected
    line.table("id int PRIMARY KEY, item text", name)
    hikyaku(line, "retry", line.ledger(put)["file_id"], "--yes")
    line.fate(put, "loaded")
    assert letters(line, name) == []
    assert "forget" in hikyaku(line, "retry", put.key, "--yes", code=1).stderr


def test_a_forgotten_file_loads_again_and_its_rows_are_named(line: Line) -> None:
    name = line.table("id int PRIMARY KEY, item text, source text")
    line.configure(f'[datasets.{name}]\nfile_column = "source"\n')
    put = line.send(name, "id,item\n1,座布団\n2,提灯\n".encode(), "it's")
    entry = line.fate(put, "loaded")
    again = line.send(name, "id,item\n1,座布団\n2,提灯\n".encode(), "copy")
    line.fate(again, "duplicate")
    told = hikyaku(line, "forget", put.key, "--dry-run").stderr
    assert f"Table public.{name} keeps the 2 rows that it loaded (2 inserted)" in told
    assert f"stays a duplicate that was not loaded: {again.key}" in told
    query = told.split("(2 inserted): ")[1].splitlines()[0]
    assert {row["id"] for row in line.sql(query.replace("%", "%%"))} <= {1, 2}

    hikyaku(line, "forget", put.key, "--yes", "--reason", "to see it again")
    assert line.ledger(put) is None
    assert len(line.sql(f"SELECT * FROM {name}")) == 2, "the table is not touched"
    [kept] = line.sql("SELECT * FROM hikyaku.forgotten WHERE key = %s", put.key)
    assert (kept["entry"]["file_id"], kept["entry"]["status"]) == (entry["file_id"], "loaded")
    assert kept["action_id"] == last_action(line)["action_id"]

    line.sql(f"DELETE FROM {name}")
    hikyaku(line, "retry", put.key, "--yes")
    assert line.fate(put, "loaded")["rows_inserted"] == 2
    assert len(line.sql(f"SELECT * FROM {name}")) == 2


def test_what_is_rejected_or_unknown_is_not_forgotten(line: Line, rejected: tuple[str, Put]) -> None:
    _, put = rejected
    assert "retry" in hikyaku(line, "forget", put.key, "--yes", code=1).stderr
    hikyaku(line, "forget", "nobody/knows.csv.gz.age", "--yes", code=1)


def _pid_of_poller(line: Line) -> str:
    return read_endpoints(line.folder / "endpoints.env").get("HIKYAKU_PID_POLLER", "")


def test_a_paused_line_begins_nothing_until_it_is_resumed(line: Line) -> None:
    name = line.table("id int PRIMARY KEY, item text")
    path = Path(line.endpoints["HIKYAKU_PAUSE_FILE"])
    hikyaku(line, "pause", "--dry-run")
    assert not path.exists()
    health = line.folder / "run" / "poller.health"
    try:
        hikyaku(line, "pause", "--yes", "--reason", "the database moves")
        assert "Paused already" in hikyaku(line, "pause", "--yes", "--reason", "again").stderr
        state = json.loads(hikyaku(line, "status", "--json", code=1).stdout)
        assert state["paused"].endswith("the database moves")
        eventually(lambda: "paused by" in health.read_text(encoding="utf-8"), what="the poller's health says that it is paused")
        # The long poll that was under way is over, too, once the poller waits for the end of the pause.
        before = str(line.pid("poller"))
        os.kill(int(before), signal.SIGTERM)
        # While it is away, endpoints.env does not name it.
        eventually(lambda: _pid_of_poller(line) not in {"", before}, what="the poller is there again")
        health.unlink(missing_ok=True)
        put = line.send(name, b"id,item\n1,a\n")
        eventually(lambda: health.exists() and "paused by" in health.read_text(encoding="utf-8"), what="a pause holds over a restart")
        eventually(lambda: line.messages(line.queue_url) == 1, what="the file waits in SQS")
        assert line.ledger(put) is None
    finally:
        hikyaku(line, "resume", "--yes")
    line.fate(put, "loaded")
    assert "Nothing is paused." in hikyaku(line, "resume", "--yes").stderr
    assert last_action(line)["action"] == "resume"
