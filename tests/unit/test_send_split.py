"""`hikyaku send --split`: the records of the parts are the records of the file, whatever is in it and however it is read."""

import csv
import gzip
import hashlib
import io
import tracemalloc
from pathlib import Path
from typing import IO, cast
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hikyaku import split
from hikyaku.errors import UserError
from hikyaku.split import Cut, Parts, find_cuts, opened, part_key

ENCODINGS = ("utf-8", "utf-8-sig", "cp932", "euc_jp", "gb18030", "big5", "euc_kr", "iso8859-1")
CELLS = st.text(st.sampled_from('ab,"\r\n ソ表é'), max_size=6)


def quoted(cell: str, *, every: bool) -> str:
    """Not the csv module's: with CR for a line end it leaves a LF without quotes."""
    doubled = cell.replace('"', '""')
    return f'"{doubled}"' if every or set(cell) & set(',"\r\n') else cell


@st.composite
def csvs(draw: st.DrawFn) -> tuple[bytes, str, str]:
    """A CSV as a writer that quotes what must be, or all, makes it; its encoding; what ends its records."""
    line_end = draw(st.sampled_from(("\n", "\r\n", "\r")))
    encoding = draw(st.sampled_from(("utf-8", "utf-8-sig", "gb18030")))
    width = draw(st.integers(1, 3))
    rows = draw(st.lists(st.lists(CELLS, min_size=width, max_size=width), min_size=1, max_size=12))
    every = draw(st.booleans())
    whole = "".join(",".join(quoted(cell, every=every or width == 1) for cell in row) + line_end for row in rows)
    if draw(st.booleans()):
        whole = whole.removesuffix(line_end)
    return whole.encode(encoding), encoding, line_end


def parts_of(data: bytes, size: int, *, header: bool = True) -> list[bytes]:
    cut = find_cuts(io.BytesIO(data), size, header=header)
    parts = Parts(io.BytesIO(data), cut)
    found = [read_all(cast("IO[bytes]", part)) for part in parts]
    assert parts.is_unchanged()
    return found


def read_all(part: IO[bytes]) -> bytes:
    return b"".join(iter(lambda: part.read(7), b""))


def records(data: bytes, encoding: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode(encoding), newline="")))


@given(csvs(), st.integers(1, 60), st.booleans(), st.integers(1, 9))
def test_the_parts_hold_the_records_of_the_file(made: tuple[bytes, str, str], size: int, header: bool, chunk: int) -> None:
    data, encoding, _ = made
    with mock.patch.object(split, "CHUNK", chunk):
        parts = parts_of(data, size, header=header)
    whole = records(data, encoding)
    plain = "utf-8" if encoding == "utf-8-sig" and not header else encoding
    read = [records(part, encoding if number == 0 else plain) for number, part in enumerate(parts)]
    if header:
        assert all(part[:1] == whole[:1] for part in read)
    assert (whole[:1] if header else []) + [row for part in read for row in part[1 if header else 0 :]] == whole


@given(csvs(), st.integers(1, 60), st.booleans())
def test_a_part_ends_with_the_record_that_fills_it(made: tuple[bytes, str, str], size: int, header: bool) -> None:
    data, encoding, line_end = made
    parts = parts_of(data, size, header=header)
    assert all(len(part) >= size for part in parts[:-1])
    for part in parts:
        rows = records(part, encoding)
        # Without its last record it would be too small, or nothing but the header.
        less = part[: len(part) - len(last_record(part, encoding, line_end))]
        assert len(less) < size or len(rows) <= 1 + header


def last_record(part: bytes, encoding: str, line_end: str) -> bytes:
    """Found the slow way."""
    text = part.decode(encoding).removesuffix(line_end)
    for at in range(len(text) - 1, -1, -1):
        if text[:at].endswith(line_end) and text[:at].count('"') % 2 == 0:
            return (text[at:] + line_end).encode("utf-8" if encoding == "utf-8-sig" else encoding)
    return part


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_no_character_holds_the_bytes_of_a_quote_or_a_line_end(encoding: str) -> None:
    for number in (n for n in (*range(0x80, 0x1_0000), *range(0x1_0000, 0x11_0000, 97)) if not 0xD800 <= n < 0xE000):
        data = chr(number).encode(encoding, "ignore")
        assert not {b'"'[0], 10, 13} & set(data)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_refused(encoding: str) -> None:
    with pytest.raises(UserError, match="UTF-16"):
        find_cuts(io.BytesIO("id,v\n1,a\n".encode(encoding)), 5, header=True)


def test_a_first_record_without_an_end_is_refused() -> None:
    with pytest.raises(UserError, match="first record"):
        find_cuts(io.BytesIO(b'id,"v\n' + b"1,a\n" * 400_000), 5, header=True)


def test_more_parts_than_a_manifest_takes_are_refused() -> None:
    with pytest.raises(UserError, match="more than 10,000 parts"):
        find_cuts(io.BytesIO(b"id\n" + b"1\n" * 10_001), 1, header=True)
    assert len(find_cuts(io.BytesIO(b"id\n" + b"1\n" * 9_999), 1, header=True).ends) == 9_999


@pytest.mark.parametrize(("data", "header"), [(b"", True), (b"", False), (b"id,v", True), (b"id,v\n", True), (b'"a\n', False)])
def test_what_can_not_be_cut_is_one_part(data: bytes, header: bool) -> None:
    assert parts_of(data, 1, header=header) == [data]


def test_a_file_that_changes_in_between_is_noticed() -> None:
    cut = find_cuts(io.BytesIO(b"id\n1\n2\n"), 5, header=True)
    for changed in (b"id\n1\n3\n", b"id\n1\n2\n3\n", b"id\n1\n"):
        parts = Parts(io.BytesIO(changed), cut)
        for part in parts:
            read_all(cast("IO[bytes]", part))
        assert not parts.is_unchanged()


def test_the_same_file_makes_the_same_group(tmp_path: Path) -> None:
    plain, packed, other = tmp_path / "a.csv", tmp_path / "a.csv.gz", tmp_path / "b.csv"
    data = b"id,v\n1,a\n2,b\n"
    plain.write_bytes(data)
    packed.write_bytes(gzip.compress(data))
    other.write_bytes(data + b"3,c\n")

    def cut(file: Path) -> Cut:
        with opened(file) as source:
            return find_cuts(source, 5, header=True)

    assert cut(plain).group(plain) == cut(plain).group(plain) == f"a.csv-{hashlib.sha256(data).hexdigest()[:32]}"
    assert cut(packed) == cut(plain)
    assert cut(other).group(plain) != cut(plain).group(plain)


def test_keys_of_parts_are_in_order() -> None:
    assert part_key("incoming/orders/x.csv.gz.age", 2, 12) == "incoming/orders/x.part-0002-of-0012.csv.gz.age"
    keys = [part_key("k.csv.gz.age", number, 100) for number in range(1, 101)]
    assert keys == sorted(keys)


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    file = tmp_path / "big.csv"
    with file.open("wb") as target:
        target.write(b"id,v\n")
        for _ in range(40):
            target.write(b'1,"one\nof two lines"\n' * 50_000)
    tracemalloc.start()
    with opened(file) as source:
        cut = find_cuts(source, 4_000_000, header=True)
    with opened(file) as source:
        parts = Parts(source, cut)
        sizes = [drained(part) for part in parts]
        assert parts.is_unchanged()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(sizes) == 11
    assert peak < 8_000_000


def drained(part: split.Part) -> int:
    return sum(len(piece) for piece in iter(lambda: part.read(1024**2), b""))
