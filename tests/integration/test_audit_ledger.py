"""The audit's side of the ledger: its rows in S3's order, streamed, for the operator's role; what is missing of the senders' numbers."""

import datetime as dt
import tracemalloc
from itertools import pairwise
from typing import Any

import pytest

from hikyaku.operator import access
from hikyaku.operator.audit.sequence import gaps
from hikyaku.operator.inventory import matching
from integration.postgres_fixture import Database, Server, new_database

pytest_plugins = ("integration.postgres_fixture",)

COUNT = 100_000
MOST_MIB = 16
ODD = ["a", "B", "é", "飛脚", "\U0001f4e6", "a b", "a+b", "a%41", "~", "\uff5e", "A/b", "A-b"]
EVER = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
FILL = """
INSERT INTO hikyaku.files (bucket, key, version_id, file_id, status, error_code, size_bytes, event_time, received_at, sender, seq)
SELECT 'acme-in', format(%(key)s, n), 'v', n::text, 'failed', 'crashed', 1, now(), now(), %(sender)s, n
FROM generate_series(%(first)s::int, %(last)s::int) AS n
"""


@pytest.fixture(scope="module")
def ledger(server: Server) -> Database:
    database = new_database(server)
    with database.connect("hikyaku_migrator") as migrator:

        def fill(key: str, first: int, last: int, sender: str | None = None) -> None:
            values: dict[str, Any] = {"key": key, "first": first, "last": last, "sender": sender}
            migrator.execute(FILL, values)

        fill("incoming/orders/%s.csv.gz.age", 1, COUNT)
        for number, name in enumerate(ODD):
            fill("incoming/odd/" + name.replace("%", "%%") + "%s", number, number)
        fill("incoming/counted/%s.csv.gz.age", 1, 3, "acme@example.com")
        fill("incoming/counted/%s.csv.gz.age", 6, 6, "acme@example.com")
        migrator.commit()
    return database


def test_rows_come_in_the_order_in_which_s3_lists_keys_and_are_not_all_in_memory(ledger: Database) -> None:
    tracemalloc.start()
    try:
        with access.ledger(ledger.url("hikyaku_operator")) as connection:
            ranks = (row.key.encode() for row in matching.rows(connection, "acme-in", "incoming/"))
            count = sum(1 for one, two in pairwise(ranks) if one < two)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == COUNT + len(ODD) + 4 - 1
    assert peak < MOST_MIB * 1024**2


def test_only_what_begins_with_the_prefix(ledger: Database) -> None:
    with access.ledger(ledger.url("hikyaku_operator")) as connection:
        found = [row.key for row in matching.rows(connection, "acme-in", "incoming/odd/a%")]
        assert found == ["incoming/odd/a%417"]
        assert list(matching.rows(connection, "another", "incoming/")) == []


@pytest.mark.parametrize(
    ("prefix", "since", "expected"),
    [
        ("incoming/", EVER, 1),
        ("incoming/counted/", EVER, 1),
        ("incoming/counted/6", EVER, 1),
        ("incoming/orders/", EVER, 0),
        ("incoming/", dt.datetime(9000, 1, 1, tzinfo=dt.UTC), 0),
    ],
)
def test_a_gap_is_told_by_its_folder(ledger: Database, prefix: str, since: dt.datetime, expected: int) -> None:
    with access.ledger(ledger.url("hikyaku_operator")) as connection:
        found = list(gaps(connection, "acme-in", prefix, since))
    assert len(found) == expected
    for finding in found:
        assert finding.key == "incoming/counted/"
        assert "acme@example.com (by its own word: unsigned) has sent no file with number 4-5: 2 in all" in finding.what
