"""Japan Post's postal codes, in two editions.

The CP932 one splits a long town over several records and writes kana at half width; the UTF-8 one has one record a town, at full width.
The UTF-8 one also has U+2212 and U+301C where CP932's bytes mean U+FF0D and U+FF5E. There is no other difference.
"""

import csv
import io
import unicodedata
import zipfile
from collections.abc import Sequence
from pathlib import Path

JAPAN_POST = Path(__file__).parents[3] / "shared" / "data" / "japanpost"
TOWN_KANA, TOWN = 5, 8
"""Positions in a record of the first file."""
SAME = str.maketrans({"\u2212": "-", "\u301c": "~"})
PLACES, OFFICES, ZIP = 15, 13, 8
"""Columns of the two files, and the zip code's in the second, from one."""


def archived(name: str) -> bytes:
    """A month as published."""
    with zipfile.ZipFile(JAPAN_POST / f"{name}.zip") as opened:
        return opened.read(opened.namelist()[0])


def read(content: bytes, encoding: str) -> list[tuple[str, ...]]:
    """All records, as Python reads them."""
    return [tuple(record) for record in csv.reader(io.StringIO(content.decode(encoding), newline=""))]


def joined(rows: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Either edition in one spelling, towns that are split over several records in one."""
    towns: list[tuple[str, ...]] = []
    for row in map(_spelt, rows):
        last = towns[-1] if towns else ()
        if last and last[:3] == row[:3] and last[TOWN].count("(") > last[TOWN].count(")"):
            kana = last[TOWN_KANA] if last[TOWN_KANA] == row[TOWN_KANA] else last[TOWN_KANA] + row[TOWN_KANA]
            towns[-1] = (*last[:TOWN_KANA], kana, *last[TOWN_KANA + 1 : TOWN], last[TOWN] + row[TOWN], *last[TOWN + 1 :])
        else:
            towns.append(row)
    return towns


def _spelt(row: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(unicodedata.normalize("NFKC", value).translate(SAME) for value in row)
