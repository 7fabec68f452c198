"""All that is wrong with a datasets.toml comes at once, each thing once and on its line; what is right can be used."""

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.datasets import Dataset, DatasetsError, Mode, parse, read
from shared.toml_place import dotted, nearest, places

MANY = """\
[default]
[defaults]
mode = "append"
newer_by = "version"
quote = "x"

[datasets.first]
mode = "upsrt"
columns = ["a",
  "a"]
header = "none"
max_bytes = 1.5

[datasets."with.dot"]
newer_by = ""
delimiter = "ab"
kee = "id"
header = false

[datasets.good]
newer_by = ""
"""


def test_all_problems_come_at_once_in_the_order_of_the_file() -> None:
    datasets, problems = read(MANY)
    assert [(problem.line, problem.where) for problem in problems] == [
        (1, "default"),
        (4, "defaults.newer_by"),
        (5, "defaults.quote"),
        (8, "datasets.first.mode"),
        (9, "datasets.first.columns"),
        (9, "datasets.first.columns"),
        (12, "datasets.first.max_bytes"),
        (16, 'datasets."with.dot".delimiter'),
        (17, 'datasets."with.dot".kee'),
        (18, 'datasets."with.dot".header'),
    ]
    assert [entry.name for entry in datasets.entries.values()] == ["good"]
    with pytest.raises(DatasetsError, match="10 problems") as error:
        parse(MANY)
    assert error.value.problems == tuple(problems)


def test_what_a_wrong_value_would_have_meant_is_not_guessed_at() -> None:
    # With its default, by_name, these columns would be in conflict.
    _, problems = read('[datasets.a]\nheader = "nome"\ncolumns = ["x"]\n')
    assert [(problem.line, problem.where) for problem in problems] == [(2, "datasets.a.header")]


def test_what_the_defaults_get_wrong_is_told_there_alone() -> None:
    _, problems = read('[defaults]\nmode = "append"\nnewer_by = "v"\nencoding = "x"\n[datasets.a]\n[datasets.b]\nkey = "id"\n')
    assert [(problem.line, problem.where) for problem in problems] == [(3, "defaults.newer_by"), (4, "defaults.encoding")]


def test_what_only_fits_badly_with_the_defaults_is_told_at_the_entry() -> None:
    _, problems = read('[defaults]\nnewer_by = "v"\n[datasets.a]\nmode = "append"\n[defaults.x]\n')
    assert [(p.line, p.where) for p in problems] == [(4, "datasets.a.mode"), (5, "defaults.x")]


def test_an_option_may_be_taken_back() -> None:
    datasets = parse(
        '[defaults]\nnewer_by = "v"\ndelete_when = {status = "D"}\n[datasets.a]\nmode = "append"\nnewer_by = ""\ndelete_when = {}\n'
    )
    assert datasets.entries["a"].mode is Mode.APPEND


@pytest.mark.parametrize(
    ("said", "records", "tolerated"), [("7", 3, 7), ("0.29", 100, 29), ("0.001", 999, 0), ("0.001", 2_000_000, 2000), ("0", 9, 0)]
)
def test_a_count_or_a_share_of_wrong_rows(said: str, records: int, tolerated: int) -> None:
    assert parse(f"[datasets.a]\nmax_rejected_rows = {said}\n").entries["a"].tolerated(records) == tolerated


@pytest.mark.parametrize("encoding", ["cp932", "gb18030", "gbk", "big5", "utf-16"])
@pytest.mark.parametrize("delimiter", ["|", "@", "^", "~", "\\t", "\\u0001", ";"])
def test_any_delimiter_goes_with_any_encoding(encoding: str, delimiter: str) -> None:
    """Also those that are a second byte of some character: the loader reads such files as UTF-8."""
    dataset = parse(f'[datasets.a]\nencoding = "{encoding}"\ndelimiter = "{delimiter}"\n').entries["a"]
    assert len(dataset.delimiter) == 1


def test_a_problem_found_elsewhere_has_its_line() -> None:
    datasets = parse('[defaults]\nwatermark = "at"\n[datasets.a]\nkey = "id"\n')
    assert str(datasets.problem("a", "key", "is odd")) == "line 4: datasets.a.key: is odd"
    assert str(datasets.problem("a", "watermark", "is odd")) == "line 2: defaults.watermark: is odd"
    assert str(datasets.problem("a", "", "is odd")) == "line 3: datasets.a: is odd"
    assert str(datasets.problem("a", "table", "is odd")) == "line 3: datasets.a.table: is odd"
    assert str(datasets.problem("unheard of", "key", "is odd")) == 'datasets."unheard of".key: is odd'


def test_what_a_model_says_without_a_file() -> None:
    with pytest.raises(ValueError, match="needs columns"):
        Dataset.model_validate({"name": "a", "header": "none"})


# Where things stand.

NASTY = '''\
a = """
[fake]
b = 1
"""
"quoted # key" = 'x # [no]'  # c = 1
d.e = [
  "[", "]]", {f = 1},
]

[ g . "h.i" ] # [j]
k = {l = 1,
 m = 2}
'n' = \'\'\'
o = 1\'\'\'
"p\\u0041\\"" = 1
[[q]]
r = 1979-05-27T07:32:00Z
'''


def test_strings_comments_and_lists_hide_nothing() -> None:
    found = places(NASTY)
    assert found == {
        ("a",): 1,
        ("quoted # key",): 5,
        ("d",): 6,
        ("d", "e"): 6,
        ("g",): 10,
        ("g", "h.i"): 10,
        ("g", "h.i", "k"): 11,
        ("g", "h.i", "n"): 13,
        ("g", "h.i", 'pA"'): 15,
        ("q",): 16,
        ("q", "r"): 17,
    }
    assert (nearest(found, ("g", "h.i", "k", "l")), nearest(found, ("z",))) == (11, 0)
    assert dotted(("g", "h.i", "k")) == 'g."h.i".k'


VALUES = st.sampled_from(
    ["1", '"x = 1"', "'[a]'", '"""\n[b]\nc = 1\n"""', "'''\n'd' = 2'''", "[1,\n 2]", '["]", "["]', '{e = "}"}', "true # f = 1"]
)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.text(string.printable, max_size=5).filter(lambda name: "\r" not in name), VALUES),
        max_size=8,
        unique_by=lambda pair: pair[0],
    )
)
def test_every_key_is_found_where_it_was_written(pairs: list[tuple[str, str]]) -> None:
    text, expected = "[t]\n", {("t",): 1}
    for name, value in pairs:
        expected["t", name] = text.count("\n") + 1
        quoted = "".join(f"\\u{ord(sign):04x}" if sign in '"\\' or not sign.isprintable() else sign for sign in name)
        text += f'"{quoted}" = {value}\n'
    assert places(text) == expected
