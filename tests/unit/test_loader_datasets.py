"""datasets.toml: what it may say, how mistakes are named, and how an edit takes hold."""

import os
from datetime import timedelta
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared import datasets_match
from shared.datasets import DatasetsError, Header, Mode, OnDuplicateKey, SignaturePolicy, parse
from shared.datasets_file import DatasetsFile
from shared.errors import Rejected

KEY = "incoming/orders/x.csv.gz.age"
RECIPIENT = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
"""Of age's own README."""


def test_without_an_entry_a_dataset_goes_by_convention() -> None:
    dataset = parse("").of(KEY)
    assert (dataset.name, dataset.target, dataset.mode, dataset.header) == ("orders", ("public", "orders"), Mode.UPSERT, Header.BY_NAME)
    assert (dataset.postgresql_encoding, dataset.signature) == ("UTF8", SignaturePolicy.REQUIRED)


def test_an_entry_wins_over_defaults_and_defaults_over_convention() -> None:
    datasets = parse(
        "[defaults]\nmode = 'append'\nsignature = 'if_present'\n[datasets.orders]\nmode = 'replace'\non_duplicate_key = 'last'\n"
    )
    orders, other = datasets.of(KEY), datasets.of("incoming/other/x.csv.gz.gpg")
    assert (orders.mode, orders.signature, orders.on_duplicate_key) == (Mode.REPLACE, SignaturePolicy.IF_PRESENT, OnDuplicateKey.LAST)
    assert (other.mode, other.signature) == (Mode.APPEND, SignaturePolicy.IF_PRESENT)


@pytest.mark.parametrize(
    ("said", "expected"), [("true", Header.BY_NAME), ("false", Header.NONE), ('"by_name"', Header.BY_NAME), ('"none"', Header.NONE)]
)
def test_the_header_is_said_in_two_ways(said: str, expected: Header) -> None:
    columns = "" if expected is Header.BY_NAME else 'columns = ["a"]'
    assert parse(f"[datasets.orders]\nheader = {said}\n{columns}\n").of(KEY).header is expected


@pytest.mark.parametrize(
    ("said", "name"), [("UTF8", "UTF8"), ("Shift_JIS", "SJIS"), ("cp932", "SJIS"), ("EUC-JP", "EUC_JP"), ("latin-1", "LATIN1")]
)
def test_encodings_by_any_of_their_names(said: str, name: str) -> None:
    assert parse(f'[datasets.orders]\nencoding = "{said}"\n').of(KEY).postgresql_encoding == name


@pytest.mark.parametrize(("said", "lifetime"), [("7d", timedelta(days=7)), ("12h", timedelta(hours=12)), ("90m", timedelta(minutes=90))])
def test_how_long_a_group_waits(said: str, lifetime: timedelta) -> None:
    assert parse(f'[defaults]\ngroup_expires = "{said}"\n').of(KEY).group_lifetime == lifetime


def test_globs_are_tried_in_order_and_a_dry_run_is_matched_without_its_test() -> None:
    datasets = parse('[datasets.first]\nmatch = "incoming/*/daily-*"\n[datasets.second]\nmatch = "incoming/shop/*"\n')
    assert datasets.of("incoming/shop/daily-1.csv.gz.age").name == "first"
    assert datasets.of("incoming/shop/x.csv.gz.age").name == "second"
    assert datasets.of("incoming/test/shop/x.csv.gz.age").name == "second"
    assert datasets.of("incoming/elsewhere/x.csv.gz.age").name == "elsewhere"


CAPTURED = [
    ("incoming/orders/{day}.csv.gz.age", "orders/20261125.csv.gz.age", "20261125"),
    ("incoming/orders/{day}.csv.gz.age", "test/orders/20261125.csv.gz.age", "20261125"),
    ("incoming/orders/{day}.csv.gz.age", "orders/2026.11.csv.csv.gz.age", "2026.11.csv"),
    ("incoming/*/{other}-{day}.csv.gz.*", "a/b/c-2026-11.csv.gz.gpg", "2026-11"),
    ("incoming/o/[{]{day}[}]?[!0-9].csv.gz.age", "o/{7}-x.csv.gz.age", "7"),
    ("incoming/*/{day}/*.csv.gz.age", "o/x/7/8.csv.gz.age", "x"),
]


@pytest.mark.parametrize(("match", "key", "day"), CAPTURED)
def test_a_piece_of_the_key_is_captured(match: str, key: str, day: str) -> None:
    dataset = parse(f'[datasets.o]\nmatch = "{match}"\norder_by = "day"\n').of(f"incoming/{key}")
    assert (dataset.name, dataset.order_by, dataset.captured(f"incoming/{key}")) == ("o", "{day}", day)


@pytest.mark.parametrize("key", ["o/x/7.csv.gz.age", "o/.csv.gz.age", "o/7.csv.gz.gpg", "o/7-csv.csv_gz.csv.gz.gpg"])
def test_what_a_capture_can_not_hold_does_not_match(key: str) -> None:
    assert parse('[datasets.first]\nmatch = "incoming/o/{day}.csv.gz.age"\n').of(f"incoming/{key}").name == "o"


@settings(max_examples=1000, deadline=None, derandomize=True)
@given(
    st.lists(st.sampled_from(["a", "b", ".", "/", "*", "?", "[ab]", "[!a]", "["]), min_size=1, max_size=7).map("".join),
    st.text("ab./[", max_size=8),
)
def test_without_captures_a_glob_is_fnmatch(match: str, key: str) -> None:
    assert (datasets_match.captured(match, key) is not None) == fnmatchcase(key, match)


@pytest.mark.parametrize("match", ["*-{a}-*-{b}-*-{c}-*x", "{a}-{b}-{c}-{d}-{e}-{f}x", "*a*a*a*a*a*ax"])
def test_no_key_makes_a_glob_slow(match: str) -> None:
    """With backtracking, it would not end in days."""
    for sign in "-a":
        assert datasets_match.captured(match, sign * 1024) is None


@pytest.mark.parametrize("key", ["incoming/x.csv.gz.age", "incoming/orders/x.csv", "incoming//x.csv.gz.age", "incoming/first/x.csv.gz.age"])
def test_a_key_that_belongs_to_no_dataset_is_rejected(key: str) -> None:
    with pytest.raises(Rejected) as rejected:
        parse('[datasets.first]\nmatch = "incoming/other/*"\n').of(key)
    assert rejected.value.error_code == "dataset_invalid"


def test_defaults_that_only_fit_with_an_entry_are_told_at_the_file() -> None:
    with pytest.raises(Rejected, match=r"orders needs an entry .*columns"):
        parse('[defaults]\nencoding = "cp932"\nheader = "none"\n').of(KEY)


WRONG = {
    'group_expires = "a week"': 'must be days, hours or minutes: "7d", "12h" or "30m"',
    "mode = ": "line 4: this is no TOML",
    "mode = 'merge'": 'line 4: datasets.orders.mode: must be "upsert", "append" or "replace"',
    "mode = 'upsrt'": "(did you mean upsert?)",
    "table = 'a.b.c'": "line 4: datasets.orders.table: must be table, for one in schema public, or schema.table",
    "tabel = 'a'": "line 4: datasets.orders.tabel: is not an option (did you mean table?)",
    "name = 'a'": "line 4: datasets.orders.name: is not an option: the heading's name",
    "daily.mode = 'append'": 'a name with a dot needs quotes: [datasets."orders.daily"]',
    "encoding = 'utf-7'": "line 4: datasets.orders.encoding: must be one of utf-8",
    "encoding = 'utf-88'": "(did you mean utf-8?)",
    "encoding = 7": "line 4: datasets.orders.encoding: must be a text in quotes",
    "header = 'maybe'": 'line 4: datasets.orders.header: must be "by_name", "match" or "none"',
    "header = false": 'line 4: datasets.orders.header: header = "none" needs columns',
    "columns = ['a']": "line 4: datasets.orders.columns: columns = ",
    "header = false\ncolumns = ['a', 'a']": "line 5: datasets.orders.columns: columns names a twice",
    "header = false\ncolumns = ['a', '']": "line 5: datasets.orders.columns: must name a column",
    "header = false\ncolumns = ['a', 1]": "line 5: datasets.orders.columns: must be a text in quotes",
    "header = false\ncolumns = ['a', 'b']\nrename = {c = 'd'}": "line 6: datasets.orders.rename: rename speaks of c, which columns lacks",
    "header = false\ncolumns = ['a', 'b']\nrename = {a = 'b'}": "line 6: datasets.orders.rename: after rename two columns have the name b",
    "header = false\ncolumns = ['a', 'b']\nkey = 'c'": "line 6: datasets.orders.key: key names c, which columns lacks",
    "header = false\ncolumns = ['a', 'b']\nrename = {a = 'c'}\nkey = 'a'": "line 7: datasets.orders.key: key names a, which columns lacks",
    "header = false\ncolumns = ['a', 'b']\nnewer_by = 'c'": "line 6: datasets.orders.newer_by: newer_by names c, which columns lacks",
    "header = false\ncolumns = ['a', 'b']\ndelete_when = {c = 'D'}": "delete_when names c, which columns lacks",
    "rename = {a = 'c', b = 'c'}": 'line 4: datasets.orders.rename: rename gives two columns the name "c"',
    "key = ['a', 'a']": "line 4: datasets.orders.key: key names a twice",
    "delimiter = ';;'": "line 4: datasets.orders.delimiter: must be one ASCII character",
    "delimiter = '、'": "line 4: datasets.orders.delimiter: must be one ASCII character",
    "delimiter = 'n'": "line 4: datasets.orders.delimiter",
    'delimiter = "\\u0000"': "line 4: datasets.orders.delimiter",
    "delimiter = '|'\nescape = '|'": "line 5: datasets.orders.escape: must be \\ (written '\\')",
    "quote = '|'": "line 4: datasets.orders.quote: must be",
    "null = ','": "line 4: datasets.orders.null: null must not hold the delimiter",
    "null = ['', '\"']": "line 4: datasets.orders.null: null must not hold the quote",
    "null = []": "line 4: datasets.orders.null: must not be empty",
    "datestyle = 'DMY'": "line 4: datasets.orders.datestyle: must be ISO, SQL",
    "timezone = 'Asia Tokyo'": "line 4: datasets.orders.timezone: must be a time zone",
    "rescue_column = 'a'": 'line 4: datasets.orders.rescue_column: rescue_column needs on_extra_column = "rescue"',
    "mode = 'append'\nnewer_by = 'a'": 'line 5: datasets.orders.newer_by: newer_by needs mode = "upsert"',
    "mode = 'replace'\ndelete_when = {a = 'b'}": 'line 5: datasets.orders.delete_when: delete_when needs mode = "upsert"',
    "delete_when = {a = 'b', c = 'd'}": "line 4: datasets.orders.delete_when: must not have more than 1 entry",
    "delete_when = 'a'": "line 4: datasets.orders.delete_when: must be a table of texts",
    "file_column = 'a'\nline_column = 'a'": 'line_column and file_column are both "a"',
    "file_column = 'a'\non_extra_column = 'rescue'\nrescue_column = 'a'": 'rescue_column and file_column are both "a"',
    "file_column = 'a'\nkey = ['a', 'b']": 'line 5: datasets.orders.key: key names "a", whose value comes from file_column',
    "line_column = 'a'\nrename = {x = 'a'}": 'line 4: datasets.orders.line_column: line_column is "a", which is a column of the file',
    "match = 'outgoing/*'": "line 4: datasets.orders.match: match never does",
    "match = 'incoming/orders/today.csv'": "line 4: datasets.orders.match: match never does",
    "match = 'incoming/test/*'": "line 4: datasets.orders.match: match never does: a dry run's key",
    "match = 'incoming/{day}/{day}.csv.gz.age'": "line 4: datasets.orders.match: match captures day twice",
    "match = 'incoming/o-{a,b}.csv.gz.age'": "line 4: datasets.orders.match: match has a brace that belongs to no {name}",
    "match = 'incoming/o-{day}{n}.csv.gz.age'": "line 4: datasets.orders.match: match has a capture next to *",
    "match = 'incoming/*{day}.csv.gz.age'": "line 4: datasets.orders.match: match has a capture next to *",
    "match = 'outgoing/{day}.csv.gz.age'": "line 4: datasets.orders.match: match never does",
    'match = "incoming/\\u0000"': "line 4: datasets.orders.match: must be a glob",
    "order_by = '{day}'": 'datasets.orders.order_by: order_by is neither "event_time" nor "seq", and match captures no {day}',
    "order_by = 'event'": "and match captures no {event} (did you mean event_time?)",
    "match = 'incoming/{day}/*'\norder_by = 'dya'": "line 5: datasets.orders.order_by: order_by is neither",
    "order_by = '{a b}'": 'line 4: datasets.orders.order_by: must be "event_time", "seq", or a capture of match: "{day}"',
    "seq = 'uniqe'": 'line 4: datasets.orders.seq: must be "any" or "unique" (did you mean unique?)',
    "max_bytes = 0": "line 4: datasets.orders.max_bytes: must be at least 1",
    "max_bytes = 1e9": "line 4: datasets.orders.max_bytes: must be a whole number",
    "max_record_bytes = 1000000000": "line 4: datasets.orders.max_record_bytes: must be at most 67108864",
    "max_ratio = true": "line 4: datasets.orders.max_ratio: must be a whole number",
    **{
        f"max_rejected_rows = {said}": "must be a count of rows as 10, or a share"
        for said in ("-1", "1.5", "1.0", "inf", "nan", "true", "'5%'")
    },
    "signature = 'maybe'": "line 4: datasets.orders.signature",
    "rejects = 'return'\nmax_rejected_rows = 1": 'line 4: datasets.orders.rejects: rejects = "return" needs rejects_recipient',
    f"rejects_recipient = '{RECIPIENT}'\nrejects = 'return'\nmax_rejected_rows = 1\nreceipt = false": "needs receipt = true",
    f"rejects_recipient = '{RECIPIENT}'\nrejects = 'return'": 'line 5: datasets.orders.rejects: rejects = "return" needs max_rejected_rows',
    f"rejects_recipient = '{RECIPIENT[:-1]}x'": "line 4: datasets.orders.rejects_recipient: is mistyped: its checksum is wrong",
    "rejects_recipient = 'ssh-ed25519 AAAA'": "line 4: datasets.orders.rejects_recipient: must be one public key of age",
    "rejects = 'send'": 'line 4: datasets.orders.rejects: must be "keep" or "return"',
    "signature = 'off'\nsenders = 'a'": 'line 5: datasets.orders.senders: senders needs signature = "required"',
    "senders = []": "line 4: datasets.orders.senders: must not be empty",
    **{f"senders = {said}": "line 4: datasets.orders.senders: must be a sender's name" for said in ("['a', 'b,c']", "'!a'", "''")},
}


@pytest.mark.parametrize(("line", "said"), WRONG.items(), ids=WRONG.keys())
def test_a_mistake_is_named_with_its_line(line: str, said: str) -> None:
    with pytest.raises(DatasetsError) as error:
        parse(f"[datasets.first]\nmode = 'append'\n[datasets.orders]\n{line}\n")
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[dataset.x]", r"line 1: dataset: .*did you mean datasets\?"),
        ("\n[orders]", r"line 2: orders: .*did you mean \[datasets\.orders\]\?"),
        ("defaults = 1", "line 1: defaults: must be a table"),
        ("datasets = 1", r"line 1: datasets: must be a table: \[datasets\.<name>\]"),
        ("[datasets]\norders = 1", r"line 2: datasets\.orders: must be a table"),
        ("[defaults]\ntable='a'", r"line 2: defaults\.table: belongs to one dataset"),
        ("[defaults]\norder_by='{day}'\n[datasets.a]", r"^line 2: defaults\.order_by: order_by is neither .* no {day}$"),
        ("[datasets.test]", r"line 1: datasets\.test: no file ever comes here"),
        ("[datasets.'a/b']", r'line 1: datasets\."a/b": no file ever comes here'),
        ("[datasets.a]\nmatch='incoming/*'\n[datasets.b]\nmatch='incoming/*'", r"line 4: datasets\.b\.match: .* datasets\.a matches"),
    ],
)
def test_a_mistake_in_the_outline_is_named(text: str, said: str) -> None:
    with pytest.raises(DatasetsError, match=said):
        parse(text)


def test_an_edit_holds_at_once_and_a_broken_one_is_told_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "datasets.toml"
    file = DatasetsFile(path)
    path.write_text("[datasets.orders]\nmode = 'append'\n")
    assert file.current().of(KEY).mode is Mode.APPEND
    path.write_text("[datasets.orders]\nmode = 'brokenn'\nkee = 1\n")
    assert [file.current().of(KEY).mode for _ in range(3)] == [Mode.APPEND] * 3
    path.unlink()
    assert [file.current().of(KEY).mode for _ in range(3)] == [Mode.APPEND] * 3
    path.write_text("[datasets.orders]\nmode = 'replace'\n")
    assert file.current().of(KEY).mode is Mode.REPLACE
    said = "".join(capsys.readouterr())
    assert (said.count("datasets_kept"), said.count("datasets_read")) == (2, 2)
    assert "line 2: datasets.orders.mode" in said
    assert "line 3: datasets.orders.kee: is not an option (did you mean key?)" in said


def test_an_edit_that_keeps_the_size_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "datasets.toml"
    path.write_text("[datasets.orders]\nmode = 'replace'\n")
    file, before = DatasetsFile(path), path.stat()
    path.write_text("[datasets.orders]\nmode = 'append' \n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert file.current().of(KEY).mode is Mode.APPEND


@pytest.mark.parametrize("content", [b"[datasets.orders]\nmode = 'x'\n", b"\xff", b"mode"])
def test_at_start_a_broken_file_is_an_error_that_names_the_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "datasets.toml"
    path.write_bytes(content)
    with pytest.raises(DatasetsError, match=r"datasets\.toml: line \d: "):
        DatasetsFile(path)


def test_at_start_each_problem_of_a_broken_file_has_a_line_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "datasets.toml"
    path.write_text("[datasets.orders]\nmode = 'x'\nkee = 1\n")
    with pytest.raises(DatasetsError) as error:
        DatasetsFile(path)
    assert [line.strip().split(":")[0] for line in str(error.value).splitlines()] == [str(path), "line 2", "line 3"]
