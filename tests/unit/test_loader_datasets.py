"""datasets.toml: what it may say, how mistakes are named, and how an edit takes hold."""

import os
from pathlib import Path

import pytest

from shared.datasets import DatasetsError, Header, Mode, OnDuplicateKey, SignaturePolicy, parse
from shared.datasets_file import DatasetsFile
from shared.errors import Rejected

KEY = "incoming/orders/x.csv.gz.age"


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


def test_globs_are_tried_in_order_and_a_dry_run_is_matched_without_its_test() -> None:
    datasets = parse('[datasets.first]\nmatch = "incoming/*/daily-*"\n[datasets.second]\nmatch = "incoming/shop/*"\n')
    assert datasets.of("incoming/shop/daily-1.csv.gz.age").name == "first"
    assert datasets.of("incoming/shop/x.csv.gz.age").name == "second"
    assert datasets.of("incoming/test/shop/x.csv.gz.age").name == "second"
    assert datasets.of("incoming/elsewhere/x.csv.gz.age").name == "elsewhere"


@pytest.mark.parametrize("key", ["incoming/x.csv.gz.age", "incoming/orders/x.csv", "incoming//x.csv.gz.age", "incoming/first/x.csv.gz.age"])
def test_a_key_that_belongs_to_no_dataset_is_rejected(key: str) -> None:
    with pytest.raises(Rejected) as rejected:
        parse('[datasets.first]\nmatch = "incoming/other/*"\n').of(key)
    assert rejected.value.error_code == "dataset_invalid"


def test_defaults_that_only_fit_with_an_entry_are_told_at_the_file() -> None:
    with pytest.raises(Rejected, match=r"orders needs an entry .*columns"):
        parse('[defaults]\nencoding = "cp932"\nheader = "none"\n').of(KEY)


WRONG = {
    "mode = ": "line 4",
    "mode = 'merge'": r"line 4: datasets.orders.mode: Input should be 'upsert', 'append' or 'replace'",
    "table = 'a.b.c'": "line 4: datasets.orders.table",
    "tabel = 'a'": "line 4: datasets.orders.tabel: is not an option",
    "name = 'a'": "line 4: datasets.orders.name: is not an option",
    "encoding = 'utf-16'": "line 4: datasets.orders.encoding: must be one of utf-8",
    "encoding = 7": "line 4: datasets.orders.encoding",
    "header = 'maybe'": "line 4: datasets.orders.header",
    "header = false": 'line 3: datasets.orders: header = "none" needs columns',
    "columns = ['a']": "line 3: datasets.orders: columns = ",
    "header = false\ncolumns = ['a', 'a']": "line 3: datasets.orders: columns names a column twice",
    "delimiter = ';;'": "line 4: datasets.orders.delimiter",
    "delimiter = '、'": "line 3: datasets.orders: delimiter must be one ASCII",
    "delimiter = 'n'": "line 4: datasets.orders.delimiter",
    "null = ','": "line 3: datasets.orders: null must not hold",
    "max_bytes = 0": "line 4: datasets.orders.max_bytes",
    "signature = 'maybe'": "line 4: datasets.orders.signature",
}


@pytest.mark.parametrize(("line", "said"), WRONG.items(), ids=WRONG.keys())
def test_a_mistake_is_named_with_its_line(line: str, said: str) -> None:
    with pytest.raises(DatasetsError) as error:
        parse(f"[datasets.first]\nmode = 'append'\n[datasets.orders]\n{line}\n")
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[dataset.x]", "dataset"),
        ("defaults = 1", "defaults: must be a table"),
        ("datasets = 1", "datasets: must be"),
        ("[defaults]\ntable='a'", "line 2"),
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
    path.write_text("[datasets.orders]\nmode = 'brokenn'\n")
    assert [file.current().of(KEY).mode for _ in range(3)] == [Mode.APPEND] * 3
    path.unlink()
    assert [file.current().of(KEY).mode for _ in range(3)] == [Mode.APPEND] * 3
    path.write_text("[datasets.orders]\nmode = 'replace'\n")
    assert file.current().of(KEY).mode is Mode.REPLACE
    said = "".join(capsys.readouterr())
    assert (said.count("datasets_kept"), said.count("datasets_read")) == (2, 2)


def test_an_edit_that_keeps_the_size_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "datasets.toml"
    path.write_text("[datasets.orders]\nmode = 'replace'\n")
    file, before = DatasetsFile(path), path.stat()
    path.write_text("[datasets.orders]\nmode = 'append' \n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert file.current().of(KEY).mode is Mode.APPEND


@pytest.mark.parametrize("content", [b"[datasets.orders]\nmode = 'x'\n", b"\xff"])
def test_at_start_a_broken_file_is_an_error_that_names_the_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "datasets.toml"
    path.write_bytes(content)
    with pytest.raises(DatasetsError, match=r"datasets\.toml: "):
        DatasetsFile(path)
