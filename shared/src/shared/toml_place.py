"""Says on which line of a TOML file something stands: tomllib, which reads it, keeps no positions."""

import re
from collections.abc import Iterator, Mapping

Path = tuple[str, ...]

_TOKEN = re.compile(
    r"""
    (?P<text>  \"{3}(?:\\.|[^\\])*?\"{3,5} | '{3}.*?'{3,5} | "(?:\\.|[^"\\\n])*" | '[^'\n]*' )
  | (?P<blank> \#[^\n]* | [^\S\n]+ )
  | (?P<bare>  [A-Za-z0-9_+:-]+ )
  | (?P<sign>  . )
    """,
    re.DOTALL | re.VERBOSE,
)
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_ESCAPE = re.compile(r'\\(u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|["\\])')


def places(text: str) -> dict[Path, int]:
    """Lines (from 1) of all tables and keys of a TOML file that tomllib has taken, by their path from the root.

    What stands within an inline table has no line of its own: its key has.
    """
    found: dict[Path, int] = {}
    table: Path = ()
    for line, is_heading, words in _statements(text):
        path = () if is_heading else table
        for word in words:
            path = (*path, word)
            found.setdefault(path, line)
        table = path if is_heading else table
    return found


def nearest(found: Mapping[Path, int], path: Path) -> int:
    """The line of a path, or of what is around it; 0 where neither is there."""
    while path and path not in found:
        path = path[:-1]
    return found.get(path, 0)


def dotted(path: Path) -> str:
    """A path as TOML writes it: parts that are no bare key in quotes."""
    return ".".join(part if _BARE.fullmatch(part) else f'"{part}"' for part in path)


def _statements(text: str) -> Iterator[tuple[int, bool, list[str]]]:
    """Line of each heading and each key, which of the two it is, and its words. Values are passed over."""
    words: list[str] = []
    line, began, depth, is_heading, in_value = 1, 1, 0, False, False
    for token in _TOKEN.finditer(text + "\n"):
        said = token[0]
        if said == "\n" and depth == 0:
            if words:
                yield began, is_heading, words
            words, is_heading, in_value = [], False, False
        elif in_value:
            depth += (said in {"[", "{"}) - (said in {"]", "}"})
        elif said == "=":
            in_value = True
        elif token.lastgroup in {"text", "bare"}:
            began = began if words else line
            words.append(_name(said) if token.lastgroup == "text" else said)
        else:
            is_heading = is_heading or said == "["
        line += said.count("\n")


def _name(quoted: str) -> str:
    inner = quoted[1:-1]
    if quoted[0] == "'":
        return inner
    return _ESCAPE.sub(lambda found: chr(int(found[1][1:], 16)) if found[1][0] in "uU" else found[1], inner)
