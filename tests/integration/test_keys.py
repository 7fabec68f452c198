"""An identity is exchanged on a running stack: plan, overlap, end with evidence, and back again. Nothing is restarted."""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from line import Line, encrypt, eventually, gzipped

COLUMNS = "id int PRIMARY KEY, item text"


class Host:
    """Where the keyring is, and the operator's shell."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.identities = line.folder / "secrets" / "identities"
        self.retired = line.folder / "secrets" / "retired"

    def hikyaku(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, **self.line.endpoints, "HIKYAKU_IDENTITIES_DIR": str(self.identities), "HIKYAKU_OPERATOR": "hanako"}
        command = [sys.executable, "-m", "hikyaku", "keys", *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60, stdin=subprocess.DEVNULL)

    def said(self, *arguments: str, exit_code: int = 0) -> Any:
        done = self.hikyaku(*arguments, "--json")
        assert done.returncode == exit_code, done.stderr
        return json.loads(done.stdout)

    def key(self, name: str) -> Any:
        [found] = [each for each in self.said("list") if each["name"] == name]
        return found

    def send(self, table: str, recipient: str, row: int) -> Any:
        body = encrypt(gzipped(f"id,item\n{row},x\n".encode()), recipient)
        return self.line.put(f"incoming/{table}/{row}.csv.gz.age", body)


@pytest.fixture
def host(line: Line) -> Iterator[Host]:
    made = Host(line)
    yield made
    # What other tests encrypt to is opened again, whatever happened here.
    for path in made.retired.glob("*"):
        path.rename(made.identities / path.name)


def test_a_whole_rotation(line: Line, host: Host) -> None:
    table, decryptor = line.table(COLUMNS), line.pid("decryptor")
    [old] = [each for each in host.said("list") if each["recipient"] == [line.world.recipient]]
    assert line.fate(host.send(table, line.world.recipient, 1))["recipient_identity"] == old["name"]

    made = host.said("rotate", "--name", "next", "--yes", "--reason", "yearly")
    assert (made["name"], made["beside"]) == ("next", [old["name"]])
    path = host.identities / "next.txt"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "AGE-SECRET-KEY" not in json.dumps(made)

    # Overlap: both open.
    assert line.fate(host.send(table, made["recipient"], 2))["recipient_identity"] == "next"
    assert line.fate(host.send(table, line.world.recipient, 3))["recipient_identity"] == old["name"]
    assert (host.key(old["name"])["files"] >= 2, host.key("next")["files"]) == (True, 1)
    assert f"unsigned, {table}" in host.key(old["name"])["senders"], "its last file was to the old one"

    # Not yet: it was used a moment ago.
    refused = host.hikyaku("retire", old["name"], "--yes")
    assert (refused.returncode, "is still needed" in refused.stderr, "Traceback" in refused.stderr) == (1, True, False)
    assert (host.identities / f"{old['name']}.txt").exists()

    done = host.hikyaku("retire", old["name"], "--yes", "--force", "--reason", "all have changed over")
    assert done.returncode == 0, done.stderr
    assert stat.S_IMODE((host.retired / f"{old['name']}.txt").stat().st_mode) == 0o600
    late = host.send(table, old["recipient"][0], 4)
    assert line.fate(late)["error_code"] == "no_matching_identity"
    assert line.fate(host.send(table, made["recipient"], 5))["status"] == "loaded"
    assert (host.key(old["name"])["state"], line.pid("decryptor")) == ("retired", decryptor)

    # Back again: the file that came too late is redriven.
    (host.retired / f"{old['name']}.txt").rename(host.identities / f"{old['name']}.txt")
    line.announce(late)
    assert line.fate(late, "loaded")["recipient_identity"] == old["name"]

    rows = line.sql(
        "SELECT action, who, reason, outcome, target FROM hikyaku.operator_actions WHERE action LIKE 'keys %%' ORDER BY action_id"
    )
    assert [(row["action"], row["who"], row["reason"]) for row in rows[-2:]] == [
        ("keys rotate", "hanako", "yearly"),
        ("keys retire", "hanako", "all have changed over"),
    ]
    assert [row["outcome"] for row in rows[-2:]] == [f"done: {made['recipient']}", f"done: moved to retired/{old['name']}.txt"]
    assert rows[-1]["target"]["recent_files"] >= 2
    assert "AGE-SECRET-KEY" not in str(rows)
    eventually(lambda: line.dead_letters().get(late.key) == "no_matching_identity", what="the late file's message is a dead letter")


def test_a_file_that_waits_keeps_an_identity_in_use(line: Line, host: Host) -> None:
    host.said("rotate", "--name", "spare", "--yes")
    table = line.table(COLUMNS)
    before = host.said("retire", "spare", "--dry-run")["waiting_files"]
    with line.silence():
        waiting = host.send(table, line.world.recipient, 1)
    told = host.said("retire", "spare", "--yes", exit_code=1)
    assert told["waiting_files"] == before + 1
    line.announce(waiting)
    line.fate(waiting, "loaded")
    assert host.said("retire", "spare", "--dry-run")["waiting_files"] == before


def test_nothing_changes_without_a_yes(line: Line, host: Host) -> None:
    before = sorted(path.name for path in host.identities.iterdir())
    nobody = host.hikyaku("rotate")
    assert (nobody.returncode, "no terminal to ask at" in nobody.stderr) == (2, True)
    assert host.hikyaku("rotate", "--dry-run").returncode == 0
    assert sorted(path.name for path in host.identities.iterdir()) == before


def test_what_the_ledger_cant_be_told_is_not_done(line: Line, host: Host) -> None:
    before = sorted(path.name for path in host.identities.iterdir())
    line.endpoints["HIKYAKU_DATABASE_URL"] = "postgresql://nobody@127.0.0.1:9/none"
    done = host.hikyaku("rotate", "--yes")
    assert (done.returncode, "can't be reached" in done.stderr, "Traceback" in done.stderr) == (1, True, False)
    assert sorted(path.name for path in host.identities.iterdir()) == before
