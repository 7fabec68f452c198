import re
from pathlib import Path

import loader
from hikyaku.rebuild.shadow import TABLES, aimed

ROOT = Path(loader.__file__).parent
SOURCES = [*ROOT.glob("*.py"), *ROOT.glob("sql/*.sql")]
TABLE = re.compile(r"(?:FROM|INTO|UPDATE|JOIN|COPY) hikyaku\.(\w+)")


def test_each_table_of_the_ledger_is_taken_from_the_other_schema() -> None:
    for name in TABLES:
        assert aimed(f"INSERT INTO hikyaku.{name} AS f".encode(), "other") == f"INSERT INTO other.{name} AS f".encode()


def test_what_only_looks_like_one_stays() -> None:
    for text in (b"SELECT 'hikyaku.csv'", b"hikyaku.files_2", b"xhikyaku.files", b"public.files"):
        assert aimed(text, "other") == text


def test_the_loader_names_no_table_of_the_ledger_that_is_not_doubled() -> None:
    named = {name for path in SOURCES for name in TABLE.findall(path.read_text(encoding="utf-8"))}
    assert named
    assert named <= set(TABLES)
