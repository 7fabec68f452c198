"""What files from Windows in Japan hold, and tables that change under a loader; on PostgreSQL 16 and 18 alike."""

import pytest

from integration.loader_fixture import Desk

pytest_plugins = ("integration.postgres_fixture", "integration.loader_fixture")

KEY = "incoming/stock/{}.csv.gz.age"


@pytest.fixture(params=["desk", "old_desk"])
def stock(request: pytest.FixtureRequest) -> Desk:
    desk: Desk = request.getfixturevalue(request.param)
    desk.table("stock (id int PRIMARY KEY, v text)")
    desk.configure("")
    return desk


CORNERS = {
    "wave dash": b"\x81\x60",
    "parallel": b"\x81\x61",
    "minus": b"\x81\x7c",
    "cent, pound, not": b"\x81\x91\x81\x92\x81\xca",
    "NEC's circled digits": b"\x87\x40\x87\x54",
    "NEC's company": b"\x87\x8a",
    "IBM's tall ladder": b"\xfb\xfc",
    "half-width kana": b"\xb1\xb2\xdf",
    "a second byte that is a backslash": b"\x83\x5c\x95\x5c",
    "a second byte that is a pipe": b"\x83\x7c",
    "backslash and tilde": b"\x5c\x7e",
}


@pytest.mark.parametrize("delimiter", [",", "|"])
def test_corners_of_cp932_are_what_python_reads(stock: Desk, delimiter: str) -> None:
    """Also what PostgreSQL reads, and what is recoded on its way, as with this delimiter, which is within characters."""
    stock.configure(f'[datasets.stock]\nencoding = "cp932"\ndelimiter = "{delimiter}"\n')
    lines = [b"id|v", *(b"%d|%b" % (number, corner) for number, corner in enumerate(CORNERS.values()))]
    content = b"".join(line.replace(b"|", delimiter.encode(), 1) + b"\r\n" for line in lines)
    settlement = stock.send(KEY.format("a"), content)
    assert settlement.status == "loaded", settlement.error
    assert dict(stock.rows("SELECT * FROM stock")) == {number: corner.decode("cp932") for number, corner in enumerate(CORNERS.values())}


def test_columns_that_come_and_go_between_two_files(stock: Desk) -> None:
    assert stock.send(KEY.format("a"), "id,v\n1,a\n").status == "loaded"
    stock.sql.execute("ALTER TABLE stock ADD w int DEFAULT 7")
    assert stock.send(KEY.format("b"), "id,v\n2,b\n").status == "loaded"
    assert stock.send(KEY.format("c"), "id,v,w\n3,c,9\n").status == "loaded"
    stock.sql.execute("ALTER TABLE stock ADD must text NOT NULL DEFAULT ''; ALTER TABLE stock ALTER must DROP DEFAULT")
    settlement = stock.send(KEY.format("d"), "id,v\n4,d\n")
    assert (settlement.error_code, "lacks must" in (settlement.error or "")) == ("columns_mismatch", True)
    stock.sql.execute("ALTER TABLE stock DROP must, DROP v")
    settlement = stock.send(KEY.format("e"), "id,v,w\n5,e,9\n")
    assert (settlement.error_code, "no column v" in (settlement.error or "")) == ("columns_mismatch", True)
    assert stock.send(KEY.format("f"), "id\n5\n").status == "loaded"
    assert stock.rows("SELECT id, w FROM stock ORDER BY id") == [(1, 7), (2, 7), (3, 9), (5, 7)]
