"""Parts of groups, as their senders send them, and what is to be seen of a group.

PYTEST_DONT_REWRITE: test modules import this before they register it.
"""

import gzip
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest

from integration.loader_fixture import Desk
from shared.contract import Declared, Decrypted, FileRef, Problem, Settlement
from shared.errors import ErrorCode

SEED = 20261125
KEY = "incoming/stock/{}.part-{:04}-of-{:04}.csv.gz.age"
THREE = ("id,v\n1,a\n2,b\n", "id,v\n3,c\n", "id,v\n4,d\n5,e\n6,f\n")
ALL = [(1, "a"), (2, "b"), (3, "c"), (4, "d"), (5, "e"), (6, "f")]


@dataclass(frozen=True)
class Part:
    """A part as its sender sends it."""

    content: str
    part: int
    parts: int
    group: str = "big"
    sender: str = "acme"
    signer: str | None = "acme"
    seq: int = 1
    rows: int | None = None

    def item(self, desk: Desk, *, problem: ErrorCode | None = None, packed: bytes | None = None, key: str = "", **said: str) -> Decrypted:
        """The same decrypted, each time as another version."""
        file: FileRef = desk.file(key or KEY.format(self.group, self.part, self.parts), **said)
        found = Problem(error_code=problem, message="what happened", retry=False) if problem else None
        content = None if problem else packed or gzip.compress(self.content.encode(), 1)
        declared = Declared(
            sender=self.sender,
            seq=self.seq,
            created_at="2026-05-01T00:00:00Z",
            rows=self.rows,
            group=self.group,
            part=self.part,
            parts=self.parts,
        )
        return desk.decrypted(file, content, packed=True, problem=found).model_copy(update={"declared": declared, "signer": self.signer})


def parts_of(contents: Sequence[str] = THREE, group: str = "big") -> list[Part]:
    return [Part(content, number, len(contents), group) for number, content in enumerate(contents, 1)]


def send(desk: Desk, *parts: Part) -> list[Settlement]:
    return [desk.loader.settle(part.item(desk)) for part in parts]


def told(settlements: Sequence[Settlement]) -> list[tuple[str, str | None]]:
    return [(settlement.status, settlement.error_code) for settlement in settlements]


def table(desk: Desk, columns: str = "id, v") -> list[tuple[object, ...]]:
    return desk.rows(f"SELECT {columns} FROM stock ORDER BY id")


def statuses(desk: Desk) -> Counter[str]:
    return Counter(row[0] for row in desk.rows("SELECT status FROM hikyaku.files"))


def chunks(desk: Desk) -> int:
    with desk.database.connect("hikyaku_loader") as loader:
        found = loader.execute("SELECT count(*) FROM hikyaku.part_chunks").fetchone()
    assert found is not None
    return int(found[0])


def progress(desk: Desk) -> list[tuple[object, ...]]:
    with desk.database.connect("hikyaku_operator") as operator:
        return operator.execute('SELECT "group", status, parts, arrived, lacks FROM hikyaku.group_progress ORDER BY 1').fetchall()


def make_old(desk: Desk, age: str) -> None:
    """As if the groups' first parts had come earlier."""
    with desk.database.connect("hikyaku_migrator") as migrator:
        migrator.execute(
            "UPDATE hikyaku.groups SET created_at = created_at - %s::interval, expires_at = expires_at - %s::interval", (age, age)
        )


@pytest.fixture
def stock(desk: Desk) -> Iterator[Desk]:
    with desk.database.connect("hikyaku_migrator") as migrator:
        migrator.execute("TRUNCATE hikyaku.groups CASCADE")
    desk.table("stock (id int PRIMARY KEY, v text)")
    yield desk
    desk.loader._database.close()


def wrong(desk: Desk) -> list[tuple[object, ...]]:
    return desk.rows("SELECT key, line_number, error_code, raw_text FROM hikyaku.rejected_rows ORDER BY key, line_number")
