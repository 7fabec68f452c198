"""What a CSV passes before COPY: the header, quotes and line ends in their places, records counted and numbered."""

import codecs
import csv
import io
import re
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from loader import front, header, records
from loader.dialect import Dialect
from loader.front import Front
from loader.records import Sieve
from loader.source import CHUNK
from shared.datasets import Dataset
from shared.errors import Rejected

CUTS = st.lists(st.integers(0, 200), max_size=12)
ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])


def dialect(**options: object) -> Dialect:
    return Dialect.of(Dataset.model_validate({"name": "x", **options}))


PLAIN = dialect()


def pieces(data: bytes, cuts: list[int]) -> Iterator[bytes]:
    """The data, cut anywhere."""
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    yield from (data[a:b] for a, b in pairwise(edges))


def passed(data: bytes, cuts: list[int], how: Dialect = PLAIN, *, end_marker: bool = False) -> int | str:
    """How many records are counted, or why none; whatever passes is what came."""
    checks = Front(how, end_marker=end_marker)
    try:
        assert b"".join(checks.passed(pieces(data, cuts))) == data
    except Rejected as rejection:
        return str(rejection)
    return checks.records


class TestHeader:
    @given(CUTS, ENDS)
    def test_wherever_the_chunks_are_cut_it_ends_at_the_same_place(self, cuts: list[int], end: bytes) -> None:
        data = b'a,"b ""x""\r\nc",d' + end + b"1,2,3" + end
        head, rest = header.split(pieces(data, cuts), PLAIN)
        assert head.names == ("a", 'b "x"\r\nc', "d")
        assert head.lines == 2
        assert b"".join(rest) == b"1,2,3" + end

    def test_quotes_may_be_escaped(self) -> None:
        head, _ = header.split(iter([b'a,"b \\"x\\", c"\n1,2']), dialect(escape="\\"))
        assert head.names == ("a", 'b "x", c')

    def test_one_without_end_is_given_up_within_a_bound(self) -> None:
        read = 0

        def endless() -> Iterator[bytes]:
            nonlocal read
            while True:
                read += 1
                yield b"a" * CHUNK

        with pytest.raises(Rejected, match="does not end"):
            header.split(endless(), PLAIN)
        assert read <= 1 + header.MAX_HEADER // CHUNK


MARKS = {codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE}
NO_MARK = "encoding_invalid: line 1 has no byte order mark: set encoding in datasets.toml to utf-16-le or utf-16-be"


def expected_of(data: bytes, encoding: str) -> str:
    """The text of all of it, or where it ends to be text."""
    try:
        return data.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        good = data[: error.start].decode(encoding) if data[:2] in MARKS or encoding != "utf-16" else ""
        return f"encoding_invalid: line {1 + front.lines_in(good.encode())} is not {encoding}"


class TestRecoding:
    @given(CUTS)
    def test_a_byte_order_mark_goes_only_from_utf8(self, cuts: list[int]) -> None:
        data = codecs.BOM_UTF8 + b"a\nb"
        assert b"".join(front.recoded(pieces(data, cuts), PLAIN)) == b"a\nb"
        assert b"".join(front.recoded(pieces(data, cuts), dialect(encoding="cp932"))) == data
        assert b"".join(front.recoded(iter([]), PLAIN)) == b""

    @given(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\ufeff")),
        CUTS,
        st.sampled_from(["utf-16", "utf-16-le", "utf-16-be"]),
    )
    def test_what_postgresql_does_not_know_becomes_utf8(self, text: str, cuts: list[int], encoding: str) -> None:
        assert b"".join(front.recoded(pieces(text.encode(encoding), cuts), dialect(encoding=encoding))) == text.encode()

    def test_what_is_no_text_is_told_by_its_line(self) -> None:
        data = "a\nb\n".encode("utf-16-le") + b"\x00\xd8\n\x00"
        with pytest.raises(Rejected, match="line 3 is not utf-16-le"):
            list(front.recoded(iter([data]), dialect(encoding="utf-16-le")))

    @given(
        st.lists(
            st.sampled_from(["a", "\n", "\r", "\r\n", "座", b"\x00\xd8", b"\x00\xdc", b"\xd8\x00", b"a", b"\x00", b"\xff\xfe"]), max_size=9
        ),
        CUTS,
        st.sampled_from(["utf-16", "utf-16-le", "utf-16-be"]),
    )
    @example(parts=[b"\x00", b"a", b"\xd8\x00"], cuts=[1], encoding="utf-16")
    @example(parts=["\r\n", b"\x00\xdc"], cuts=[2], encoding="utf-16-le")
    def test_whatever_is_said_to_be_utf16_is_text_or_told_by_its_line(
        self, parts: list[str | bytes], cuts: list[int], encoding: str
    ) -> None:
        data = b"".join(part if isinstance(part, bytes) else part.encode("utf-16-le") for part in parts)
        try:
            found = b"".join(front.recoded(pieces(data, cuts), dialect(encoding=encoding))).decode()
        except Rejected as rejection:
            found = str(rejection).partition(": correct")[0]
        assert found in {expected_of(data, encoding), NO_MARK if encoding == "utf-16" and data[:2] not in MARKS else ""}

    def test_a_delimiter_that_may_be_half_a_character_is_told_apart(self) -> None:
        how = dialect(encoding="cp932", delimiter="|")
        # The second bytes of both are 0x7C.
        assert b"".join(front.recoded(iter(["ポ|弌".encode("cp932")]), how)) == "ポ|弌".encode()


def rfc_4180(text: str) -> int | None:
    """How many records there are, by a machine that goes from character to character; None where a quote is out of place."""
    state, count = "start", 0
    for character in text:
        match state, character:
            case "quoted", '"':
                state = "quote"
            case "quoted", _:
                pass
            case (("start" | "quote"), '"'):
                state = "quoted"
            case _, ",":
                state = "start"
            case _, "\n":
                state, count = "start", count + 1
            case ("quote", _) | (_, '"'):
                return None
            case _:
                state = "plain"
    if state == "quoted":
        return None
    return count + (bool(text) and not text.endswith("\n"))


class TestFront:
    @given(st.lists(st.sampled_from(["a", "b", '"', ",", "\n", '""', '\n"', '",', "\\"]), max_size=30).map("".join), CUTS)
    def test_it_counts_as_rfc_4180_says(self, text: str, cuts: list[int]) -> None:
        counted = passed(text.encode(), cuts)
        expected = rfc_4180(text)
        assert (counted if isinstance(counted, int) else None) == expected

    @given(st.lists(st.lists(st.text(st.sampled_from('a",\r\n\\'), max_size=4), min_size=2, max_size=3), max_size=6), CUTS, ENDS)
    def test_whatever_pythons_csv_writes_passes(self, rows: list[list[str]], cuts: list[int], end: bytes) -> None:
        written = io.StringIO()
        csv.writer(written, lineterminator=end.decode(), quoting=csv.QUOTE_ALL).writerows(rows)
        assert passed(written.getvalue().encode(), cuts) == len(rows)

    @given(st.lists(st.lists(st.text(st.sampled_from("a',\n\\"), max_size=4), min_size=2, max_size=3), max_size=6), CUTS)
    def test_with_another_quote_and_escape_too(self, rows: list[list[str]], cuts: list[int]) -> None:
        written = io.StringIO()
        writer = csv.writer(written, lineterminator="\n", quotechar="'", escapechar="\\", doublequote=False, quoting=csv.QUOTE_ALL)
        writer.writerows(rows)
        assert passed(written.getvalue().encode(), cuts, dialect(quote="'", escape="\\")) == len(rows)

    @pytest.mark.parametrize(
        ("data", "said"),
        {
            'a,b\n5" pipe,x\n7" pipe,y\n': "line 2 has a quote within a field that is not quoted",
            'a, "b"\n': "line 1 has a quote within a field that is not quoted",
            'a\n"b"c\n': "line 2 has text behind a closing quote",
            '"a\n\nb"\n"c\nd","e\nf"\nx"\n': "line 7 has a quote within",
            'x\n"a\nb\n': "line 2 has a quote that is not closed",
            "a\r\nb\nc\r\n": "line 2 ends otherwise than those before it",
            "a\nb\nc\r\nd\n": "line 3 ends otherwise than those before it",
            "a\rb\r\n": "line 2 ends otherwise than those before it",
        }.items(),
    )
    @given(cuts=CUTS)
    def test_what_is_out_of_place_is_told_by_its_line(self, data: str, said: str, cuts: list[int]) -> None:
        assert said in str(passed(data.encode(), cuts))

    @given(
        st.lists(
            st.tuples(st.sampled_from(["a", 'a,"b"', '"\n"', '"\r"', '"\r\n",c', '"""\n"']), st.sampled_from(["\n", "\r", "\r\n"])),
            max_size=8,
        ),
        CUTS,
        st.booleans(),
    )
    @example(records=[("a", "\r"), ("b", "\n"), ("c", "\r"), ("d", "\n")], cuts=[], ended=True)
    @example(records=[("a", "\r\n"), ("b", "\r"), ("c", "\n"), ("d", "\r\n")], cuts=[3], ended=True)
    @example(records=[("a", "\r"), ("b", "\n"), ("c", "\r")], cuts=[], ended=True)
    def test_records_that_end_by_turns_are_told_by_the_first_odd_line(
        self, records: list[tuple[str, str]], cuts: list[int], ended: bool
    ) -> None:
        """The CR of one record and the LF of the next are no CRLF."""
        if records and not ended:
            records[-1] = (records[-1][0], "")
        line, expected = 1, len(records)
        for body, end in records:
            line += front.lines_in(body.encode())
            if end not in {"", records[0][1]}:
                expected = f"csv_malformed: line {line} ends otherwise than those before it"
                break
            line += 1
        found = passed("".join(body + end for body, end in records).encode(), cuts)
        assert (found if isinstance(found, int) else found.partition(": correct")[0]) == expected

    def test_a_quote_that_is_not_closed_is_given_up_within_a_bound(self) -> None:
        taken = 0

        def endless() -> Iterator[bytes]:
            nonlocal taken
            yield b'"'
            while True:
                taken += CHUNK
                yield b"a" * CHUNK

        with pytest.raises(Rejected, match="not closed within"):
            list(Front(PLAIN).passed(endless()))
        assert taken <= front.MAX_QUOTED + CHUNK

    @given(st.lists(st.text(st.sampled_from('a",\n'), max_size=9), min_size=1, max_size=8), CUTS, ENDS, st.integers(1, 25), st.booleans())
    @example(cells=["aaaaa\n"], cuts=[24], end=b"\r\n", most=10, ended=True)
    def test_a_record_that_is_too_long_is_told_by_its_line(
        self, cells: list[str], cuts: list[int], end: bytes, most: int, ended: bool
    ) -> None:
        quoted = ['"' + cell.replace('"', '""') + '"' if set(cell) & set('",\n') else cell for cell in cells]
        written = [cell.replace("\n", end.decode()).encode() + b",x" for cell in quoted]
        data = end.join([*written, b""]) if ended else end.join(written)
        line, expected = 1, None
        for record in written:
            if len(record) > most:
                expected = f"too_large: line {line}: a record has more than {most} bytes"
                break
            line += front.lines_in(record) + 1
        checks = Front(PLAIN, max_record=most)
        try:
            list(checks.passed(pieces(data, cuts)))
            said = None
        except Rejected as rejection:
            said = str(rejection)
        assert (said or "").startswith(expected or "")
        assert (said is None) == (expected is None)

    @pytest.mark.parametrize("unit", [b"a", b",", b'"a",', b'"\n",', b"a\0", "座".encode()], ids=repr)
    def test_a_record_without_end_is_given_up_within_a_bound(self, unit: bytes) -> None:
        taken = 0

        def endless() -> Iterator[bytes]:
            nonlocal taken
            while True:
                taken += CHUNK
                yield (unit * CHUNK)[:CHUNK]

        with pytest.raises(Rejected, match="is a line end missing") as caught:
            sum(map(len, Front(PLAIN, max_record=4 * CHUNK).passed(endless())))
        assert caught.value.error_code == "too_large"
        assert taken <= 6 * CHUNK

    @given(st.lists(st.sampled_from([b"\\.", b"a", b"\n", b"\r", b"\\", b"."]), max_size=30), CUTS)
    def test_an_end_marker_is_found_wherever_the_chunks_are_cut(self, tokens: list[bytes], cuts: list[int]) -> None:
        data = b"".join(tokens).replace(b"\r", b"\n")
        found = "nothing but" in str(passed(data, cuts, end_marker=True))
        assert found == (b"\\." in data.split(b"\n"))


class TestRecords:
    @given(
        st.lists(st.sampled_from([b"a", b",", b"\n", b"\r", b"\r\n", b'"a"', b'"\n"', b'"\r\n""\n"', b'""']), max_size=40), st.booleans()
    )
    def test_the_last_end_is_found_from_behind_as_from_the_front(self, parts: list[bytes], many: bool) -> None:
        data = b"".join(parts) + (b'"' + b"\n" * 50 + b'"' if many else b"")
        ends = [found.end() for found in PLAIN.record.finditer(data, 0, (PLAIN.records.match(data) or re.match(b"", b"")).end())]  # type: ignore[union-attr]
        assert PLAIN.records_end(data) == (ends[-1] if ends else 0)

    @given(st.lists(st.text(st.sampled_from('a",\n'), max_size=5), min_size=1, max_size=8), CUTS, ENDS)
    def test_wherever_the_pieces_are_cut_records_stay_whole(self, cells: list[str], cuts: list[int], end: bytes) -> None:
        written = io.StringIO()
        csv.writer(written, lineterminator=end.decode(), quoting=csv.QUOTE_ALL).writerows([cell, "x"] for cell in cells)
        data = written.getvalue().encode()
        whole = list(records.whole(Front(PLAIN).passed(pieces(data, cuts)), PLAIN))
        single = [record for piece in whole for record in records.split(piece, PLAIN)]
        assert b"".join(single) == data
        assert [next(csv.reader([record.decode()]))[0] for record in single] == cells

    def test_each_has_the_line_where_it_begins_and_wrong_ones_stay_back(self) -> None:
        sieve = Sieve(PLAIN, 2, 2, no_text={6})
        data = b'a,"b\nb"\nc\nd,e,f\ng,\xff\nh,\0\n"i,i",j\n'
        assert b"".join(sieve.numbered([data])) == b'"2",a,"b\nb"\n"8","i,i",j\n'
        assert [(record.line, record.error_code) for record in sieve.wrong] == [
            (4, "csv_malformed"),
            (5, "csv_malformed"),
            (6, "encoding_invalid"),
            (7, "encoding_invalid"),
        ]
        assert [sieve.line_of(line) for line in (2, 3, 4)] == [2, 3, 8]

    def test_unquoted_texts_mean_null_and_quoted_ones_do_not(self) -> None:
        how = dialect(null=["", "NULL", "-"])
        data = b'NULL,a,-\n"NULL","-",--\n"x,NULL,y",-,NULL'
        assert b"".join(records.with_nulls([data], how)) == b',a,\n"NULL","-",--\n"x,NULL,y",,'

    def test_a_record_is_found_by_the_line_where_it_begins(self) -> None:
        data = [b'a\n"b\n\nb"\n', b"c\n", b'd,"\n"']
        assert list(records.find(data, PLAIN, 2, {3, 5, 6, 7})) == [(3, b'"b\n\nb"\n'), (6, b"c\n"), (7, b'd,"\n"')]
        assert next(records.walk(data, PLAIN, 2)) == (2, b"a\n")
