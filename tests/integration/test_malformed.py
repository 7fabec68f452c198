"""The catalogue of malformed CSVs through the whole line, all at once: what the ledger says, and what the dead-letter queue gets."""

from typing import Any

import psycopg
import pytest
from line import Line, Put, encrypt, eventually
from psycopg import sql

from hikyaku.demo.world import Letter
from integration.malformed import CANARY, CATALOGUE, Bad, place_of

NAMES = {f"malformed_{number:03}": name for number, name in enumerate(CATALOGUE)}
TABLES = {name: table for table, name in NAMES.items()}
HIDDEN_S = 60
"""For so long a letter is not read again."""
Fates = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def fates(shared_line: Line) -> Fates:
    """The ledger's rows by name in the catalogue."""
    line = shared_line
    line.reconnect()
    with psycopg.connect(line.endpoints["HIKYAKU_DATABASE_URL"], autocommit=True) as owner:
        for name, bad in CATALOGUE.items():
            if script := bad.script(TABLES[name]):
                owner.execute(script.encode())
    line.configure("\n".join(bad.entry(TABLES[name]) for name, bad in CATALOGUE.items()))
    # The largest first: the others need not wait for it.
    puts = {name: put(line, TABLES[name], bad) for name, bad in sorted(CATALOGUE.items(), key=lambda item: -len(item[1].content))}
    keys = [each.key for each in puts.values()]
    query = "SELECT * FROM hikyaku.files WHERE key = ANY(%s) AND status IN ('loaded', 'rejected')"

    def look() -> list[dict[str, Any]] | None:
        rows = line.sql(query, keys)
        return rows if len(rows) == len(keys) else None

    rows = eventually(look, what="all files have their fate")
    return {NAMES[row["dataset"]]: row for row in rows}


def put(line: Line, table: str, bad: Bad) -> Put:
    if bad.packed:
        return line.put(f"incoming/{table}/a.csv.gz.age", encrypt(bad.content, line.world.recipient))
    return line.send(table, bad.content)


@pytest.mark.parametrize("name", CATALOGUE)
def test_it_is_rejected_with_its_line_and_column(fates: Fates, name: str) -> None:
    bad = CATALOGUE[name]
    row = fates[name]
    assert (row["status"], row["error_code"], *place_of(row["error"])) == ("rejected", bad.code, bad.line, bad.column), row["error"]
    assert bad.said in row["error"]
    assert CANARY not in str(row)


def test_nothing_of_them_is_in_a_table(shared_line: Line, fates: Fates) -> None:
    tables = [TABLES[name] for name, bad in CATALOGUE.items() if bad.table]
    count = sql.SQL("SELECT count(*) FROM {} WHERE id > 0")
    with psycopg.connect(shared_line.endpoints["HIKYAKU_DATABASE_URL"]) as owner:
        counts = {table: owner.execute(count.format(sql.Identifier(table))).fetchone() for table in tables}
    assert {table: found for table, found in counts.items() if found != (0,)} == {}


def test_all_settle_in_the_dead_letter_queue_and_nobody_repeats_their_data(shared_line: Line, fates: Fates) -> None:
    line = shared_line
    line.quiet()
    eventually(lambda: line.messages(line.dlq_url) >= len(fates), what="all messages are in the dead-letter queue")
    letters: list[Letter] = []
    eventually(lambda: letters.extend(line.world.dead_letters(HIDDEN_S)) or len(letters) >= len(fates), what="all letters are read")
    codes = {row["key"]: row["error_code"] for row in fates.values()}
    assert len(letters) == len(codes)
    told = {code: sum(letter.error_code == code for letter in letters) for code in set(codes.values())}
    assert told == {code: list(codes.values()).count(code) for code in set(codes.values())}
    assert CANARY not in str(letters)
    for log in (line.folder / "logs").iterdir():
        assert CANARY not in log.read_text(encoding="utf-8", errors="replace"), log.name
    line.purge_dead_letters()
