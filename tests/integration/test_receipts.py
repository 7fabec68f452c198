"""What became of each file is told in S3, signed, before its message goes: whatever its fate is, and whoever dies meanwhile."""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from line import Line, Put, Start, eventually

from fakes.senders import verifies
from shared.failpoint import count_file

ORDERS = "id int PRIMARY KEY, item text, qty int"
GOOD = b"id,item,qty\n1,a,1\n2,b,2\n"
CRASH = "decryptor.receipt_put=kill@1"


def read(line: Line, put: Put) -> tuple[dict[str, Any], dict[str, str]] | None:
    try:
        found = line.s3.get_object(Bucket=line.bucket, Key=f"receipts/{put.key}.json")
    except line.s3.exceptions.NoSuchKey:
        return None
    body = found["Body"].read()
    blob = base64.b64decode(found["Metadata"]["hikyaku-signature"])
    assert verifies(body, blob, line.folder / "receipt_signers", "hikyaku", "hikyaku-receipt")
    told: dict[str, Any] = json.loads(body)
    assert body == json.dumps(told, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
    return told, found["Metadata"]


def receipt(line: Line, put: Put) -> dict[str, Any]:
    """The receipt of a version, whose message is gone; it says what the ledger says."""
    line.quiet()
    told, _ = read(line, put) or pytest.fail(f"no receipt of {put.key}")
    row = line.ledger(put)
    assert row is not None
    assert (told["version_id"], told["bucket"], told["key"]) == (put.version_id, line.bucket, put.key)
    for name in ("status", "error_code", "error", "dataset", "sha256", "file_id"):
        assert told[name] == row[name], name
    assert told["size"] == put.size
    assert told["committed_at"] == (row["loaded_at"] or row["updated_at"]).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return told


def test_every_fate_is_told(line: Line) -> None:
    table = line.table(ORDERS)
    loaded = line.send(table, GOOD, name="a 注文")
    assert line.fate(loaded)["status"] == "loaded"
    assert receipt(line, loaded)["rows"] == {"read": 2, "inserted": 2, "updated": 0, "unchanged": 0, "deleted": 0, "rejected": 0}
    bad, twin = line.send(table, b"id,item,qty\n1,a,1\n2,b,SECRETMARKER\n"), line.send(table, GOOD)
    tested, lost = line.send(f"test/{table}", GOOD), line.send("no_such_table", b"id\n1\n")
    fates = {"rejected": bad, "duplicate": twin, "tested": tested}
    told = {status: receipt(line, put) for status, put in fates.items() if line.fate(put, status)}
    assert told["rejected"]["bad_lines"] == [3]
    assert "SECRETMARKER" not in json.dumps(told)
    assert [told[status]["bad_lines"] for status in ("duplicate", "tested")] == [[], []]
    assert receipt(line, lost)["error_code"] == "table_unknown"
    for put in (bad, lost):
        eventually(lambda put=put: put.key in line.dead_letters(), what="a dead letter after the receipt")  # type: ignore[misc]


def test_a_sender_waits_for_the_end_of_one_file_and_of_many_parts(line: Line, tmp_path: Path) -> None:
    table = line.table(ORDERS)
    texts = {
        "good": GOOD,
        "bad": b"id,item,qty\n1,a,x\n",
        "parts": b"id,item,qty\n" + b"".join(b"%d,%s,1\n" % (n, b"x" * 99) for n in range(50)),
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.csv").write_bytes(text)

    def send(name: str, *how: str) -> tuple[int, list[dict[str, Any]]]:
        command = [sys.executable, "-m", "hikyaku", "send", str(tmp_path / f"{name}.csv"), "--to", f"s3://{line.bucket}/incoming/{table}/"]
        command += ["-r", line.world.recipient, "--wait", "--receipt-signer", str(line.folder / "receipt_signers"), "--json", *how]
        environment = os.environ | line.endpoints | {"XDG_STATE_HOME": str(tmp_path / "state")}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
        return done.returncode, [json.loads(told) for told in done.stdout.splitlines()]

    assert [(code, told[-1]["status"]) for code, told in (send("good"), send("good"), send("bad"))] == [
        (0, "loaded"),
        (0, "duplicate"),
        (3, "rejected"),
    ]
    code, told = send("parts", "--split", "1KB")
    assert (code, [each["status"] for each in told[:-1]]) == (0, ["sent"] * (len(told) - 1))
    assert len(told) > 3
    assert (told[-1]["status"], told[-1]["rows"]["inserted"]) == ("loaded", 48), "two are there by the first file"


def test_a_receipt_goes_over_an_older_one_and_never_over_a_newer(line: Line) -> None:
    table = line.table(ORDERS)
    with line.silence():
        puts = [line.send(table, b"id,item,qty\n1,a,%d\n" % number, name="one") for number in (1, 2, 3)]
    for number in (1, 0, 2):
        line.announce(puts[number], sequencer=f"0{number}")
        line.fate(puts[number])
        line.quiet()
    assert [line.ledger(put)["status"] for put in puts] == ["superseded", "loaded", "loaded"]  # type: ignore[index]
    versions = line.s3.list_object_versions(Bucket=line.bucket, Prefix=f"receipts/{puts[0].key}.json")["Versions"]
    assert len(versions) == 2, "the superseded one came later, and found a newer one"
    assert receipt(line, puts[2])["status"] == "loaded"
    # The event again: the ledger knows it, and so does the receipt.
    line.announce(puts[0], sequencer="00")
    line.quiet()
    assert receipt(line, puts[2])["status"] == "loaded"


def test_a_rejected_file_that_is_redriven_gets_another_receipt(line: Line) -> None:
    name = line.table("id int PRIMARY KEY").replace("t_", "u_")
    put = line.send(name, b"id\n1\n")
    assert receipt(line, put)["status"] == "rejected" if line.fate(put) else False
    line.table("id int PRIMARY KEY", name=name)
    line.announce(put, sequencer=str(read(line, put)[1]["hikyaku-sequencer"]))  # type: ignore[index]
    line.fate(put, "loaded")
    assert receipt(line, put)["status"] == "loaded"


def test_an_object_that_is_gone_is_told_of_and_foreign_ones_are_not(line: Line) -> None:
    table = line.table(ORDERS)
    with line.silence():
        put, foreign = line.send(table, GOOD), line.put("outgoing/x.csv.gz.age", b"x")
    line.s3.delete_object(Bucket=line.bucket, Key=put.key, VersionId=put.version_id)
    for each in (put, foreign):
        line.announce(each)
    assert line.fate(put)["error_code"] == "object_missing"
    assert receipt(line, put)["sha256"] is None
    assert read(line, foreign) is None


def test_a_dataset_may_go_without(line: Line) -> None:
    table = line.table(ORDERS)
    line.configure(f"[datasets.{table}]\nreceipt = false\n")
    # Rejected until the services have read it: only a key that no other entry fits is loaded then.
    first = line.send(table, GOOD, name="first")
    line.fate(first)
    eventually(lambda: _untold(line, table), what="the services have read datasets.toml")


def _untold(line: Line, table: str) -> bool:
    put = line.send(table, GOOD)
    line.fate(put)
    line.quiet()
    return read(line, put) is None


def test_a_decryptor_that_dies_after_the_put_costs_no_receipt_and_no_second_one(start_stack: Start, tmp_path: Path) -> None:
    line = start_stack(HIKYAKU_FAILPOINTS=CRASH, HIKYAKU_FAILPOINTS_DIR=str(tmp_path), HIKYAKU_VISIBILITY_TIMEOUT="20")
    table = line.table(ORDERS)
    put = line.send(table, GOOD)
    assert line.fate(put)["status"] == "loaded"
    assert receipt(line, put)["rows"]["inserted"] == 2
    assert count_file(tmp_path, CRASH).stat().st_size == 1
    assert len(line.s3.list_object_versions(Bucket=line.bucket, Prefix="receipts/")["Versions"]) == 1
    assert line.messages(line.dlq_url) == 0
    line.announce(put)
    line.quiet()
    assert receipt(line, put)["status"] == "loaded"
