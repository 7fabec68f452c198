"""Wrong records come back: what lies in S3 opens with the sender's key to just those records, whoever dies meanwhile."""

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pyrage
from line import Line, Put, Start, eventually

from shared.failpoint import count_file

ORDERS = "id int PRIMARY KEY, item text, qty int"
TWO_WRONG = b'id,item,qty\n1,a,1\n2,"b, ""b""",SECRETMARKER\n3,c,3\n4,d\n5,e,5\n'
GOOD = b"id,item,qty\n6,f,6\n"
CRASH = "decryptor.receipt_put=kill@1"


class Sender:
    """Whoever sends, with a key pair of its own."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.identity = pyrage.x25519.Identity.generate()
        self.table = line.table(ORDERS)
        line.configure(
            f'[datasets.{self.table}]\nmax_rejected_rows = 2\nrejects = "return"\nrejects_recipient = "{self.identity.to_public()}"\n'
        )

    def receipt(self, put: Put) -> dict[str, Any]:
        """What became of a file whose message is gone."""
        self.line.fate(put)
        self.line.quiet()
        body = self.line.s3.get_object(Bucket=self.line.bucket, Key=f"receipts/{put.key}.json")["Body"].read()
        assert b"SECRETMARKER" not in body
        told: dict[str, Any] = json.loads(body)
        assert told["version_id"] == put.version_id
        return told

    def rejects(self, receipt: dict[str, Any]) -> list[list[str]]:
        """Line, column and text of what came back with it."""
        found = self.line.s3.get_object(Bucket=self.line.bucket, Key=receipt["rejects"])
        said = self.line.s3.head_object(Bucket=self.line.bucket, Key=f"receipts/{receipt['key']}.json")["Metadata"]
        assert found["Metadata"]["hikyaku-committed-at"] == said["hikyaku-committed-at"] == receipt["committed_at"]
        text = gzip.decompress(pyrage.decrypt(found["Body"].read(), [self.identity])).decode()
        header, *lines = csv.reader(io.StringIO(text, newline=""))
        assert header == ["line", "column", "reason", "raw", "part"]
        assert all(reason for _, _, reason, _, _ in lines)
        return [[at, column, raw] for at, column, _, raw, _ in lines]

    def versions(self) -> list[str]:
        """Keys under rejects/ of this sender's files, one for each version."""
        prefix = f"rejects/incoming/{self.table}/"
        return [each["Key"] for each in self.line.s3.list_object_versions(Bucket=self.line.bucket, Prefix=prefix).get("Versions", [])]


WRONG = [["3", "qty", '2,"b, ""b""",SECRETMARKER'], ["5", "", "4,d"]]


def test_the_wrong_records_of_a_file_come_back_to_its_sender(line: Line) -> None:
    sender = Sender(line)
    good, wrong = line.send(sender.table, GOOD), line.send(sender.table, TWO_WRONG)
    receipt = sender.receipt(wrong)
    assert (receipt["status"], receipt["rows"]["inserted"], receipt["rows"]["rejected"]) == ("loaded", 3, 2)
    assert receipt["rejects"] == f"rejects/{wrong.key}.csv.gz.age"
    assert sender.rejects(receipt) == WRONG
    assert sender.receipt(good)["rejects"] is None
    assert sender.versions() == [receipt["rejects"]], "and what came back is announced to nobody"


def test_a_newer_version_brings_its_own(line: Line) -> None:
    sender = Sender(line)
    first = line.send(sender.table, TWO_WRONG, name="one")
    assert len(sender.rejects(sender.receipt(first))) == 2
    second = line.send(sender.table, b"id,item,qty\n7,g,x\n8,h,8\n", name="one")
    assert sender.rejects(sender.receipt(second)) == [["2", "qty", "7,g,x"]]
    third = line.send(sender.table, GOOD, name="one")
    assert sender.receipt(third)["rejects"] is None
    # The first one's event again: the ledger knows it, and what is newer stays.
    line.announce(first, time="2020-01-01T00:00:00Z")
    line.quiet()
    assert (sender.receipt(third)["rejects"], len(sender.versions())) == (None, 2)


def test_a_decryptor_that_dies_between_the_two_costs_neither(start_stack: Start, tmp_path: Path) -> None:
    line = start_stack(HIKYAKU_FAILPOINTS=CRASH, HIKYAKU_FAILPOINTS_DIR=str(tmp_path), HIKYAKU_VISIBILITY_TIMEOUT="20")
    sender = Sender(line)
    put = line.send(sender.table, TWO_WRONG)
    eventually(lambda: count_file(tmp_path, CRASH).exists(), what="the records are put")
    receipt = sender.receipt(put)
    assert sender.rejects(receipt) == WRONG
    assert count_file(tmp_path, CRASH).stat().st_size == 2, "the records once, the receipt once"
    assert sender.versions() == [receipt["rejects"]]
    assert line.messages(line.dlq_url) == 0
