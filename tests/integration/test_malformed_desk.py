"""The catalogue of malformed CSVs at the loader's desk: as a whole, and with bad records tolerated; on PostgreSQL 16 and 18 alike."""

import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from integration.loader_fixture import Desk
from integration.malformed import BLANK, CANARY, CATALOGUE, MEBI, Bad, file, place_of
from integration.postgres_fixture import Database
from loader import front
from shared import spool

pytest_plugins = ("integration.postgres_fixture", "integration.loader_fixture")

REJECTED = "SELECT line_number, column_name, error_code, raw_text, error FROM hikyaku.rejected_rows WHERE key = '{}'"
VERSIONS = {"16": "old_database", "18": "database"}
_numbers = itertools.count(1)


def cases(names: list[str]) -> list[object]:
    """Each with each version."""
    return [pytest.param(name, version, id=f"{name}, {version}") for name in names for version in VERSIONS]


@pytest.fixture(scope="module")
def desks(old_database: Database, database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Desk]]:
    """By PostgreSQL's version; kept, because a new connection for each file would be most of the time."""
    folder = tmp_path_factory.mktemp("desks")
    with old_database.connect() as old, database.connect() as new:
        yield {"16": Desk(old_database, folder / "16", old), "18": Desk(database, folder / "18", new)}


@dataclass(frozen=True)
class Trial:
    """A file that was sent to a table of its own."""

    desk: Desk
    name: str
    row: dict[str, Any]
    """Of the ledger."""

    def ids(self) -> list[int]:
        return [number for (number,) in self.desk.rows(f"SELECT id FROM {self.name} WHERE id > 0 ORDER BY id")]

    def rejected(self) -> list[tuple[Any, ...]]:
        return self.desk.rows(REJECTED.format(self.row["key"]))


@pytest.fixture
def send(desks: dict[str, Desk], version: str) -> Callable[..., Trial]:
    """Send a file to a new table."""
    desk = desks[version]

    def send(bad: Bad, options: str = "") -> Trial:
        name = f"malformed_{next(_numbers)}"
        desk.sql.execute(bad.script(name).encode())
        desk.configure(bad.entry(name, options))
        return Trial(desk, name, desk.ledger(desk.send(f"incoming/{name}/a.csv.gz.age", bad.content, packed=bad.packed)))

    return send


Send = Callable[..., Trial]


@pytest.mark.parametrize(("name", "version"), cases(list(CATALOGUE)))
def test_it_is_rejected_with_its_line_and_column(
    send: Send, name: str, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The catalogue's large cell is too large by far: there is no need to wait for the limit itself.
    monkeypatch.setattr(front, "MAX_QUOTED", 2 * MEBI)
    bad = CATALOGUE[name]
    trial = send(bad)
    row = trial.row
    assert (row["status"], row["error_code"], *place_of(row["error"])) == ("rejected", bad.code, bad.line, bad.column), row["error"]
    assert bad.said in str(trial.row["error"])
    assert CANARY not in str(trial.row) + caplog.text + "".join(capsys.readouterr())
    assert not bad.table or trial.ids() == []
    assert trial.rejected() == []
    assert not spool.published(trial.desk.folder / "spool", row["file_id"]).exists()


@pytest.mark.parametrize(("name", "version"), cases([name for name, bad in CATALOGUE.items() if bad.raw]))
def test_the_bad_record_is_put_aside_and_the_good_ones_load(
    send: Send, name: str, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    bad = CATALOGUE[name]
    trial = send(bad, "max_rejected_rows = 5")
    assert (trial.row["status"], trial.row["error_code"], trial.row["rows_rejected"]) == ("loaded", None, 1), trial.row["error"]
    [(line, column, code, raw, error)] = trial.rejected()
    assert (line, code, raw) == (bad.line, bad.tolerated_code or bad.code, bad.raw.strip(BLANK))
    assert re.sub(r" \(.*", "", column or "") == bad.column
    assert CANARY not in error
    assert trial.ids() == [*bad.good]
    assert CANARY not in str(trial.row) + caplog.text + "".join(capsys.readouterr())


@pytest.mark.parametrize("version", VERSIONS)
def test_one_bad_record_too_many_rejects_the_file(send: Send) -> None:
    trial = send(Bad(content=file("1,x,y", *[f"x,{CANARY},y"] * 6), code=""), "max_rejected_rows = 5")
    assert trial.row["error_code"] == "too_many_rejected_rows"
    assert "6 of 7 records are wrong, max_rejected_rows tolerates 5: line 3" in str(trial.row["error"])
    assert CANARY not in str(trial.row)
    assert trial.ids() == []
    assert trial.rejected() == []


@pytest.mark.parametrize("version", VERSIONS)
def test_a_column_is_put_aside_by_its_name(send: Send) -> None:
    trial = send(CATALOGUE["text for a number"], "max_rejected_rows = 5")
    assert [column for _, column, *_ in trial.rejected()] == ["v"]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_large_cell_loads(send: Send) -> None:
    trial = send(Bad(content=file("1,x,y", f'2,"{"a" * MEBI}",y'), code=""))
    assert trial.row["status"] == "loaded", trial.row["error"]
    assert trial.desk.rows(f"SELECT length(v) FROM {trial.name} ORDER BY id") == [(1,), (MEBI,)]


@pytest.mark.parametrize("version", VERSIONS)
def test_bad_records_of_all_kinds_in_one_file_keep_their_lines(send: Send) -> None:
    records = (b"1,1,x", b'"2\n",2', b'3,3,"\xff\n"', b'4,"a\nb",x', b",5,x", b'6,6,"x\ny"', b"7,77,x", b"8,8")
    content = b"id,v,note\n" + b"\n".join(records)
    table = "id int PRIMARY KEY, v int CHECK (v < 9), note text"
    trial = send(Bad(content=content, code="", table=table), "max_rejected_rows = 6")
    assert trial.ids() == [1, 6], trial.row["error"]
    assert sorted((line, code, raw) for line, _, code, raw, _ in trial.rejected()) == [
        (3, "csv_malformed", '"2\n",2'),
        (5, "encoding_invalid", '3,3,"\\xff\n"'),
        (7, "value_invalid", '4,"a\nb",x'),
        (9, "constraint_violated", ",5,x"),
        (12, "constraint_violated", "7,77,x"),
        (13, "csv_malformed", "8,8"),
    ]
