"""The commands of docs/sending.md and of the operator's pages, as they are printed there, on a real line."""

import os
import pty
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import psycopg
import pytest
from line import Line, Put, eventually

from fakes.senders import ACME, public

ROOT = Path(__file__).parents[2]
CONTAINERS = {"docker compose run --rm cli ": "hikyaku ", "docker compose run --rm rebuild ": "hikyaku rebuild "}
NUMBERS = count(1)
JUDGES = ("status", "audit", "rebuild")
"""They exit with 1 when something of the whole line needs a person, which another test may have left; or when rows differ from what another
test's table had."""


def blocks(page: str) -> list[str]:
    return re.findall(r"```bash\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture
def orders(line: Line) -> Iterator[str]:
    """The table that the docs speak of."""
    name = line.table("id int PRIMARY KEY, item text, qty int", "orders")
    yield name
    line.quiet()
    with psycopg.connect(line.endpoints["HIKYAKU_DATABASE_URL"], autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS orders, orders_rebuilt, orders_monday")


@pytest.fixture
def shell(line: Line, tmp_path: Path) -> Callable[[str], subprocess.CompletedProcess[str]]:
    """Types a script in a folder of its own; whoever asks is answered yes."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "hikyaku").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m hikyaku "$@"\n')
    (programs / "hikyaku").chmod(0o755)
    environment = os.environ | line.endpoints
    environment["HIKYAKU_IDENTITIES_DIR"] = str(line.folder / "secrets" / "identities")
    environment |= {"PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": "", "XDG_STATE_HOME": str(tmp_path / "state")}

    def type_in(script: str) -> subprocess.CompletedProcess[str]:
        keyboard, terminal = pty.openpty()
        try:
            os.write(keyboard, b"y\n")
            return subprocess.run(
                ["bash", "-euo", "pipefail", "-c", script],
                cwd=tmp_path, env=environment, stdin=terminal, capture_output=True, text=True, timeout=120, check=False,
            )  # fmt: skip
        finally:
            os.close(terminal)
            os.close(keyboard)

    return type_in


def newest(line: Line, key: str) -> Put:
    head = line.s3.head_object(Bucket=line.bucket, Key=key)
    return Put(key, head["VersionId"], head["ETag"].strip('"'), head["ContentLength"])


def rows(columns: str = "id,item,qty") -> bytes:
    """Content that no other test has sent."""
    return f"{columns}\n{next(NUMBERS)},座布団,5\n".encode()


# The sender


def test_sending(line: Line, tmp_path: Path, orders: str, shell: Callable[[str], subprocess.CompletedProcess[str]]) -> None:
    def follow(block: str) -> subprocess.CompletedProcess[str]:
        done = shell(block.replace("BUCKET", line.bucket).replace("age1…", line.world.recipient))
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    # What opens rows that came back is neither ours nor here; test_rejects.py does the same.
    keys, send, _wrong_rows, presign, by_url, by_form = blocks("docs/sending.md")
    follow(keys)
    (line.folder / "allowed_signers").write_text(f'{ACME} namespaces="hikyaku" {public(tmp_path / "keys" / "hikyaku-signing")}\n')
    for name in ("orders.csv", "2026-11.csv"):
        (tmp_path / name).write_bytes(rows())
    assert "loaded orders.csv" in follow(send).stdout
    row = line.fate(newest(line, f"incoming/{orders}/orders.csv.gz.age"))
    assert (row["status"], row["signer"]) == ("loaded", ACME)

    presigned = follow(presign)
    [receipt_url] = re.findall(r"--receipt-url (\S+)", presigned.stderr)
    sent = follow(f"URL={shlex.quote(presigned.stdout.strip())} RECEIPT_URL={receipt_url}\n{by_url}")
    assert "loaded 2026-11.csv" in sent.stdout
    key = f"incoming/{orders}/2026-11.csv.gz.age"
    assert line.fate(newest(line, key))["status"] == "loaded"
    (tmp_path / "2026-11.csv").write_bytes(rows())
    follow(by_form)
    row = line.fate(newest(line, key))
    assert (row["status"], row["signer"]) == ("loaded", ACME)


def test_sending_from_a_pipe(line: Line, orders: str, shell: Callable[[str], subprocess.CompletedProcess[str]]) -> None:
    text = (ROOT / "docs" / "sending.md").read_text(encoding="utf-8")
    [piped] = re.findall(r"`(psql -c [^`]+)`", text)
    sql, _, command = piped.partition(" | ")
    assert sql == "psql -c 'COPY orders TO STDOUT CSV HEADER'"
    command = command.replace("BUCKET", line.bucket).replace("age1…", line.world.recipient)
    # What psql would say.
    done = shell(f"printf %s {shlex.quote(rows().decode())} | {command}")
    assert done.returncode == 0, done.stderr
    assert line.fate(newest(line, f"incoming/{orders}/2026-11.csv.gz.age"))["status"] == "loaded"


# The operator


def commands() -> list[str]:
    """Of the operator's pages, as on a host without containers."""
    lines = [line for page in ("docs/operations.md", "README.md") for block in blocks(page) for line in block.splitlines()]
    for before, after in CONTAINERS.items():
        lines = [line.replace(before, after) for line in lines]
    found = [line for line in lines if line.startswith("hikyaku ")]
    # The line that is always there is the one that does not end by itself: tests/integration/test_operator.py looks at it.
    return [line for line in dict.fromkeys(found) if "--watch" not in line]


def prepared(line: Line, command: str) -> None:
    """A world in which the command has something to do."""
    match command.split()[1:3]:
        case ["dlq", "drop"]:
            line.fate(line.send("orders", rows("id,item,none"), "broken"), "rejected")
            eventually(lambda: line.messages(line.dlq_url), what="the letter")
        case ["dlq", _] | ["retry", _]:
            line.fate(line.send("orders", rows("id,item,none"), "2026-11"), "rejected")
            eventually(lambda: line.messages(line.dlq_url), what="the letter")
        case _:
            line.fate(line.send("orders", rows(), "2026-11"), "loaded")


@pytest.mark.parametrize("command", commands())
@pytest.mark.usefixtures("orders")
def test_operating(line: Line, command: str, shell: Callable[[str], subprocess.CompletedProcess[str]]) -> None:
    verb = command.split()[1]
    prepared(line, command)
    if verb == "resume":
        assert shell("hikyaku pause --yes").returncode == 0
    try:
        # A moment that this line has lived to see.
        soon = datetime.now(UTC) + timedelta(minutes=1)
        done = shell(re.sub(r"(?<=--as-of )\S+", f"{soon:%Y-%m-%dT%H:%M:%S}", command))
    finally:
        if verb == "pause":
            shell("hikyaku resume --yes")
    assert done.returncode in ({0, 1} if verb in JUDGES else {0}), done.stdout + done.stderr
    assert not re.search(r"Traceback|^hikyaku: ", done.stderr, re.MULTILINE), done.stderr
    assert done.stdout + done.stderr
