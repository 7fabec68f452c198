"""Random dialects of CSV."""

from hypothesis import strategies as st

from tablemodel.writing import Dialect

ENCODINGS = (
    *("utf-8", "utf-8", "cp932", "euc_jp", "utf-16", "utf-16-le", "utf-16-be", "gb18030"),
    *("gbk", "big5", "euc_kr", "iso8859-1", "iso8859-15", "cp1252", "ascii"),
)


def dialects() -> st.SearchStrategy[Dialect]:
    """Any that a dataset may have."""

    def build(delimiter: str, quote: str, escape: str, nulls: tuple[str, ...], encoding: str) -> Dialect:
        fitting = tuple(null for null in nulls if delimiter not in null) or ("",)
        return Dialect(delimiter, quote, escape or quote, fitting, encoding)

    nulls = [("",), ("",), ("NULL",), ("", "NULL"), ("NULL", ""), ("\\N", ""), ("n/a", "-", "\\N"), ("%",), ("", " "), ("(null)", "?")]
    return st.builds(
        build,
        st.sampled_from([",", ",", "\t", ";", "|", "~", "^", " ", "%", ":", "-", "A", "\x01"]),
        st.sampled_from(['"', '"', "'"]),
        st.sampled_from(["", "", "\\"]),
        st.sampled_from(nulls),
        st.sampled_from(ENCODINGS),
    ).filter(_is_sound)


def _is_sound(dialect: Dialect) -> bool:
    return dialect.delimiter not in (dialect.quote, dialect.escape)
