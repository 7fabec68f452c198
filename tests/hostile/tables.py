"""The catalogue of malformed CSVs, each for a table of its own."""

from line import encrypt, gzipped

from hostile.case import Case
from integration.malformed import CATALOGUE

NAMES = {f"malformed_{number:03}": name for number, name in enumerate(CATALOGUE)}
"""By table."""


def scripts() -> list[str]:
    """SQL that makes the tables."""
    return [script for table, name in NAMES.items() if (script := CATALOGUE[name].script(table))]


def entries() -> str:
    """For datasets.toml."""
    return "\n".join(CATALOGUE[name].entry(table) for table, name in NAMES.items())


def cases(recipient: str) -> list[Case]:
    """All of it, the largest first: the others need not wait for them."""
    by_size = sorted(NAMES.items(), key=lambda item: -len(CATALOGUE[item[1]].content))
    return [
        Case(
            name=name,
            expected=CATALOGUE[name].code,
            key=f"incoming/{table}/a.csv.gz.age",
            content=encrypt(CATALOGUE[name].content if CATALOGUE[name].packed else gzipped(CATALOGUE[name].content), recipient),
        )
        for table, name in by_size
    ]
