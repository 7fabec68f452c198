"""What went wrong on the way is found by `hikyaku audit` and healed by `hikyaku replay`, on a real stack, as the operator may."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest
from line import Line, Put, eventually

from hikyaku.local import postgres

ORDERS = "id int PRIMARY KEY, item text, qty int"
ROWS = [(1, "座布団", 5), (2, "提灯", 12)]
CSV = "id,item,qty\n" + "".join(f"{number},{item},{qty}\n" for number, item, qty in ROWS)


class Operator:
    """Types commands as hikyaku_operator, and looks at one dataset only."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.dataset = line.table(ORDERS)
        self.prefix = f"incoming/{self.dataset}/"

    def url(self, role: str) -> str:
        port = urlsplit(self.line.endpoints["HIKYAKU_DATABASE_URL"]).port
        assert port is not None
        secret = self.line.folder / "secrets" / "postgres" / f"{role}.password"
        return postgres.url(role, secret.read_text(encoding="utf-8").strip(), port)

    def types(self, *command: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | self.line.endpoints | {"HIKYAKU_DATABASE_URL": self.url("hikyaku_operator"), "HIKYAKU_OPERATOR": "taro"}
        typed = [sys.executable, "-m", "hikyaku", *command]
        done = subprocess.run(typed, check=False, env=environment, timeout=120, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        assert "Traceback" not in done.stderr
        return done

    def audit(self) -> dict[str, Any]:
        done = self.types("audit", "--prefix", self.prefix, "--grace", "0s", "--json")
        found: dict[str, Any] = json.loads(done.stdout)
        assert done.returncode == (1 if found["found"] else 0), done.stderr
        return found

    def finding(self) -> dict[str, Any]:
        """The one that there is."""
        [found] = self.audit()["findings"]
        return dict(found)

    def mends(self, finding: dict[str, Any]) -> None:
        """Types what the finding says."""
        program, *command = shlex.split(finding["mend"])
        assert program == "hikyaku"
        done = self.types(*command, "--yes")
        assert done.returncode == 0, done.stderr

    def loses(self, csv: str = CSV, name: str | None = None) -> Put:
        """A file whose event is lost."""
        with self.line.silence():
            return self.line.send(self.dataset, csv.encode(), name)

    def loads(self) -> Put:
        put = self.line.send(self.dataset, CSV.encode())
        assert self.line.fate(put)["status"] == "loaded"
        self.line.quiet()
        return put

    def forgets(self, put: Put) -> None:
        """The ledger's row is gone, by hand."""
        with psycopg.connect(self.url(postgres.SUPERUSER)) as superuser:
            superuser.execute("DELETE FROM hikyaku.files WHERE (key, version_id) = (%s, %s)", (put.key, put.version_id))

    def table(self) -> list[tuple[Any, ...]]:
        return [tuple(row.values()) for row in self.line.sql(f'SELECT * FROM public."{self.dataset}" ORDER BY id')]

    def ledger(self) -> list[tuple[str, str]]:
        rows = self.line.sql("SELECT version_id, status FROM hikyaku.files WHERE dataset = %s", self.dataset)
        return [(row["version_id"], row["status"]) for row in rows]


@pytest.fixture
def operator(line: Line) -> Operator:
    return Operator(line)


def test_all_is_well_after_a_load(operator: Operator) -> None:
    operator.loads()
    found = operator.audit()
    assert (found["found"], found["counts"]["versions"], found["counts"]["ledger_loaded"], found["notes"]) == (0, 1, 1, [])


@pytest.mark.parametrize("name", [None, "two words + 注文 %41"])
def test_a_lost_event_is_found_and_healed(operator: Operator, name: str | None) -> None:
    put = operator.loses(name=name)
    finding = operator.finding()
    assert (finding["kind"], finding["key"], finding["version_id"]) == ("never_loaded", put.key, put.version_id)
    operator.mends(finding)
    assert operator.line.fate(put)["status"] == "loaded"
    assert (operator.table(), operator.ledger()) == (ROWS, [(put.version_id, "loaded")])
    operator.line.quiet()
    assert operator.audit()["found"] == 0


def test_a_deleted_ledger_row_is_found_and_healed(operator: Operator) -> None:
    put = operator.loads()
    operator.forgets(put)
    finding = operator.finding()
    assert (finding["kind"], finding["version_id"]) == ("never_loaded", put.version_id)
    operator.mends(finding)
    assert operator.line.fate(put)["status"] == "loaded"
    assert (operator.table(), operator.ledger()) == (ROWS, [(put.version_id, "loaded")])
    operator.line.quiet()
    assert operator.audit()["found"] == 0


def test_a_deleted_object_is_found(operator: Operator) -> None:
    put = operator.loads()
    marker = operator.line.s3.delete_object(Bucket=operator.line.bucket, Key=put.key)["VersionId"]
    finding = operator.finding()
    assert finding["kind"] == "deleted"
    assert shlex.split(finding["mend"])[-2:] == ["--version-id", marker]
    operator.line.s3.delete_object(Bucket=operator.line.bucket, Key=put.key, VersionId=marker)
    assert operator.audit()["found"] == 0
    operator.line.s3.delete_object(Bucket=operator.line.bucket, Key=put.key, VersionId=put.version_id)
    finding = operator.finding()
    assert (finding["kind"], finding["version_id"]) == ("gone", put.version_id)


def test_what_a_dataset_deletes_on_purpose_is_no_finding(operator: Operator) -> None:
    put = operator.loads()
    operator.line.configure(f'[datasets.{operator.dataset}]\nafter_load = "delete"\n')
    operator.line.s3.delete_object(Bucket=operator.line.bucket, Key=put.key, VersionId=put.version_id)
    found = operator.audit()
    assert (found["found"], found["counts"]["removed_after_load"]) == (0, 1)


def test_a_gap_in_a_senders_numbers_is_found(operator: Operator, tmp_path: Path) -> None:
    line, environment = operator.line, os.environ | operator.line.endpoints | {"XDG_STATE_HOME": str(tmp_path)}

    def sends(number: int) -> Put:
        file = tmp_path / f"{number}.csv"
        file.write_text(f"id,item,qty\n{number},座布団,5\n", encoding="utf-8")
        to = f"s3://{line.bucket}/{operator.prefix}"
        command = [sys.executable, "-m", "hikyaku", "send", str(file), "--to", to, "-r", line.world.recipient]
        subprocess.run(command, check=True, env=environment, timeout=60, stdin=subprocess.DEVNULL)
        key = f"{operator.prefix}{number}.csv.gz.age"
        return Put(key, line.s3.head_object(Bucket=line.bucket, Key=key)["VersionId"], "", 0)

    assert line.fate(sends(1))["seq"] == 1
    with line.silence():
        lost = sends(2)
    line.s3.delete_object(Bucket=line.bucket, Key=lost.key, VersionId=lost.version_id)
    assert line.fate(sends(3))["seq"] == 3
    line.quiet()
    finding = operator.finding()
    assert (finding["kind"], finding["key"]) == ("seq_gap", operator.prefix)
    assert "number 2: 1 in all" in finding["what"]


def test_a_rejected_file_without_a_letter_is_found_and_gets_one_again(operator: Operator) -> None:
    line = operator.line
    put = line.put(f"{operator.prefix}{uuid4().hex}.csv.gz.age", b"no age file")
    assert line.fate(put)["status"] == "rejected"
    line.quiet()
    eventually(lambda: put.key in line.dead_letters(), what="the message is in the dead-letter queue")
    found = operator.audit()
    assert (found["found"], found["counts"]["in_dead_letter_queue"]) == (0, 1)
    assert line.dead_letters(), "the audit leaves the letters where they are, in sight"
    line.purge_dead_letters()
    finding = operator.finding()
    assert (finding["kind"], finding["version_id"]) == ("no_letter", put.version_id)
    operator.mends(finding)
    eventually(lambda: put.key in line.dead_letters(), what="the message is in the dead-letter queue again")
    line.quiet()
    assert (operator.audit()["found"], operator.ledger()) == (0, [(put.version_id, "rejected")])


def replay_all(operator: Operator) -> dict[str, Any]:
    done = operator.types("replay", "--missing", "--prefix", operator.prefix, "--grace", "0s", "--yes", "--json")
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_of_two_lost_versions_of_a_key_the_newer_is_in_the_table(operator: Operator) -> None:
    older, newer = operator.loses("id,item,qty\n1,古い,1\n", "a"), operator.loses(CSV, "a")
    wanted = {older.version_id, newer.version_id}
    for _ in wanted:
        replay_all(operator)
        operator.line.quiet()
        eventually(lambda: operator.line.ledger(newer), what="the newer version has its fate")
    assert operator.line.fate(older, "superseded", "loaded")
    assert {version for version, _ in operator.ledger()} == wanted
    assert (operator.table(), operator.audit()["found"]) == (ROWS, 0)


def test_an_older_version_that_was_lost_stays_below_the_newer_one(operator: Operator) -> None:
    older, newer = operator.loses("id,item,qty\n1,古い,1\n", "a"), operator.line.send(operator.dataset, CSV.encode(), "a")
    assert operator.line.fate(newer)["status"] == "loaded"
    assert replay_all(operator)["sent"] == 1
    assert operator.line.fate(older)["status"] == "superseded"
    assert operator.table() == ROWS


def test_a_correction_after_a_replay_is_newer(operator: Operator) -> None:
    operator.loses("id,item,qty\n1,古い,1\n", "a")
    replay_all(operator)
    eventually(operator.table, what="the replayed version is loaded")
    newer = operator.line.send(operator.dataset, CSV.encode(), "a")
    assert (operator.line.fate(newer)["status"], operator.table()) == ("loaded", ROWS)


def test_a_replay_says_what_it_does_and_is_written_down(operator: Operator) -> None:
    settled, lost = operator.loads(), operator.loses()
    command = ("replay", "--prefix", operator.prefix, "--grace", "0s", "--json")
    planned = json.loads(operator.types(*command, "--dry-run").stdout)
    assert (planned["counts"]["send"], planned["counts"]["settled"], planned["sent"]) == (1, 1, None)
    assert operator.line.ledger(lost) is None
    asked = operator.types(*command)
    assert (asked.returncode, "--yes" in asked.stderr) == (2, True)
    for _ in range(2):
        operator.types(*command, "--yes", "--reason", "the rule was off")
    assert operator.line.fate(lost)["status"] in {"loaded", "duplicate"}
    operator.line.quiet()
    assert {version for version, _ in operator.ledger()} == {settled.version_id, lost.version_id}
    [first, *_] = operator.line.sql(
        "SELECT * FROM hikyaku.operator_actions WHERE action = 'replay' AND target ->> 'prefix' = %s ORDER BY action_id", operator.prefix
    )
    assert (first["who"], first["db_role"], first["outcome"], first["reason"]) == ("taro", "hikyaku_operator", "sent 1", "the rule was off")


@pytest.mark.parametrize("command", [("replay",), ("replay", "k", "--prefix", "p"), ("replay", "--since", "x"), ("audit", "--grace", "1w")])
def test_what_is_asked_wrongly_is_said(operator: Operator, command: tuple[str, ...]) -> None:
    done = operator.types(*command)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("hikyaku: ")


def test_a_person_reads_both(operator: Operator) -> None:
    put = operator.loses()
    said = operator.types("audit", "--prefix", operator.prefix, "--grace", "0s")
    assert f"→ hikyaku replay {put.key} --version {put.version_id}" in said.stdout
    assert "Findings: 1." in said.stdout
    assert "Events sent: 1." in operator.types("replay", put.key, "--yes").stdout
    assert operator.line.fate(put)["status"] == "loaded"
