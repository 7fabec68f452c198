"""hikyaku.forget on real PostgreSQL: what may go out of the ledger, by whom, and what becomes of the rest."""

from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from hikyaku.errors import UserError
from hikyaku.operator import action, forget, show
from integration.group_fixture import ALL, THREE, Part, parts_of, send, statuses, table
from integration.loader_fixture import Desk
from integration.postgres_fixture import Database
from shared.contract import Settlement
from shared.errors import ErrorCode

pytest_plugins = ("integration.postgres_fixture", "integration.loader_fixture", "integration.group_fixture")

KEY = "incoming/stock/a.csv.gz.age"
ROWS = "id,v\n1,a\n2,b\n"


def entry(desk: Desk, settlement: Settlement) -> dict[str, Any]:
    with desk.database.connect("hikyaku_operator") as operator:
        operator.row_factory = dict_row  # type: ignore[assignment]
        return show.versions(operator, settlement.file_id)[-1]


def let_go(desk: Desk, settlement: Settlement, version: str | None = None) -> int:
    """As the command does it."""
    url = desk.database.url("hikyaku_operator")
    with action.written_down(url, "forget", {"key": KEY}) as done:
        return forget._forget(url, {**entry(desk, settlement), **({"version_id": version} if version else {})}, done.action_id)


def kept(desk: Desk) -> list[tuple[Any, ...]]:
    with desk.database.connect("hikyaku_operator") as operator:
        return operator.execute(
            "SELECT key, entry ->> 'status', rejected_rows FROM hikyaku.forgotten ORDER BY forgotten_at, key"
        ).fetchall()


@pytest.fixture(autouse=True)
def _nothing_forgotten(desk: Desk) -> None:
    with desk.database.connect("hikyaku_migrator") as migrator:
        migrator.execute("TRUNCATE hikyaku.forgotten")


def consequences(desk: Desk, settlement: Settlement) -> str:
    with desk.database.connect("hikyaku_operator") as operator:
        operator.row_factory = dict_row  # type: ignore[assignment]
        file = show.versions(operator, settlement.file_id)[-1]
        return "\n".join(forget.consequences(operator, file, operator.execute(forget.MEMBERS, file).fetchall()))


def test_a_forgotten_file_may_load_again(stock: Desk) -> None:
    file = stock.file(KEY)
    first = stock.loader.settle(stock.decrypted(file, ROWS.encode()))
    assert let_go(stock, first) == 1
    assert statuses(stock) == {}
    assert kept(stock) == [(KEY, "loaded", [])]
    assert table(stock) == [(1, "a"), (2, "b")], "its rows stay"
    again = stock.loader.settle(stock.decrypted(file, ROWS.encode()))
    assert (again.status, stock.ledger(again)["rows_unchanged"]) == ("loaded", 2)


def test_what_was_put_aside_goes_along_less_its_text(stock: Desk) -> None:
    stock.configure("[datasets.stock]\nmax_rejected_rows = 5\n")
    settled = stock.send(KEY, "id,v\n1,a\nwrong,very-secret\n")
    assert let_go(stock, settled) == 1
    [(_, status, rows)] = kept(stock)
    assert (status, [row["line_number"] for row in rows]) == ("loaded", [3])
    assert "very-secret" not in str(kept(stock))
    assert stock.rows("SELECT count(*) FROM hikyaku.rejected_rows") == [(0,)]


def test_a_group_goes_as_a_whole_and_loads_as_a_whole_again(stock: Desk) -> None:
    items = [part.item(stock) for part in parts_of()]
    *_, last = [stock.loader.settle(item) for item in items]
    assert "all 3 files are forgotten" in consequences(stock, last)
    assert let_go(stock, last) == 3
    assert stock.rows("SELECT count(*) FROM hikyaku.groups") == stock.rows("SELECT count(*) FROM hikyaku.group_parts") == [(0,)]
    stock.sql.execute("TRUNCATE stock")
    again = [stock.loader.settle(part.item(stock, version_id=item.file.version_id)) for part, item in zip(parts_of(), items, strict=True)]
    assert [each.status for each in again] == ["staged", "staged", "loaded"]
    assert table(stock) == ALL


def test_a_group_that_was_rejected_may_come_again(stock: Desk) -> None:
    good, bad = parts_of(THREE[:2])
    first, _ = send(stock, good, Part("id,v\nwrong,x\n", 2, 2))
    assert stock.ledger(first)["error_code"] == ErrorCode.GROUP_REJECTED
    assert let_go(stock, first) == 2
    assert [each.status for each in send(stock, good, bad)] == ["staged", "loaded"]


def test_what_waits_or_would_be_tried_again_is_refused(stock: Desk) -> None:
    staged = send(stock, parts_of()[0])[0]
    rejected = stock.send(KEY, "id,v\nwrong,x\n")
    failed = stock.loader.settle(stock.decrypted(stock.file(KEY), None))
    assert (staged.status, rejected.status, failed.status) == ("staged", "rejected", "failed")
    for each in (staged, rejected, failed):
        with pytest.raises(UserError, match="can be tried again, or waits to be"):
            let_go(stock, each)
        with pytest.raises(UserError):
            forget._can_be_forgotten(entry(stock, each))
    assert sum(statuses(stock).values()) == 3
    with stock.database.connect("hikyaku_operator") as operator:
        found = operator.execute("SELECT outcome FROM hikyaku.operator_actions ORDER BY action_id DESC LIMIT 1").fetchone()
    assert found is not None
    assert found[0].startswith("failed: it can't be forgotten")


def test_a_file_that_a_loader_is_at_is_refused_at_once(stock: Desk) -> None:
    settled = stock.send(KEY, ROWS)
    with stock.database.connect("hikyaku_loader") as loader, loader.transaction():
        loader.execute("UPDATE hikyaku.files SET attempts = attempts + 1")
        with pytest.raises(UserError, match="a loader works on it"):
            let_go(stock, settled)
    with pytest.raises(UserError, match="no such file version"):
        let_go(stock, settled, "not-there")
    assert let_go(stock, settled) == 1


def test_nobody_forgets_without_saying_so_first(database: Database, stock: Desk) -> None:
    file = entry(stock, stock.send(KEY, ROWS))
    ended = psycopg.sql.SQL("UPDATE hikyaku.operator_actions SET outcome = 'done', ended_at = now() WHERE action_id = {}")
    with database.connect("hikyaku_operator") as operator:
        for name in ("retry", "forget"):
            row = operator.execute(
                "INSERT INTO hikyaku.operator_actions (action, who, host, target) VALUES (%s, 'x', 'x', %s) RETURNING action_id",
                [name, Jsonb({})],
            ).fetchone()
            assert row is not None
            if name == "forget":
                operator.execute(ended.format(row[0]))
            with pytest.raises(psycopg.errors.RaiseException, match="no forget of yours"):
                operator.execute(forget.FORGET, {**file, "action_id": row[0]})
        for statement in ("DELETE FROM hikyaku.files", "DELETE FROM hikyaku.forgotten", "UPDATE hikyaku.forgotten SET entry = '{}'"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                operator.execute(statement)
    with database.connect("hikyaku_loader") as loader, pytest.raises(psycopg.errors.InsufficientPrivilege):
        loader.execute(forget.FORGET, {**file, "action_id": 1})


def test_rows_that_would_double_are_warned_of(stock: Desk) -> None:
    assert "twice" not in consequences(stock, stock.send(KEY, ROWS))
    stock.table("stock (id int, v text)")
    stock.configure('[datasets.stock]\nmode = "append"\n')
    appended = stock.send("incoming/stock/b.csv.gz.age", "id,v\n9,z\n")
    assert appended.status == "loaded"
    assert forget.APPENDED in consequences(stock, appended)


def test_what_is_not_undone_is_said_before(stock: Desk) -> None:
    first = stock.send(KEY, ROWS)
    assert "Table public.stock keeps the 2 rows that it loaded (2 inserted); no column says which" in consequences(stock, first)
    copy = stock.send("incoming/stock/copy.csv.gz.age", ROWS)
    newer = stock.send(KEY, "id,v\n1,c\n")
    assert (copy.status, newer.status) == ("duplicate", "loaded")
    told = consequences(stock, first)
    assert "stays a duplicate that was not loaded: incoming/stock/copy.csv.gz.age" in told
    assert f"forget that one too: {KEY}, version {stock.ledger(newer)['version_id']}" in told
