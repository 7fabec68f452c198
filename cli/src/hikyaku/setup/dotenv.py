"""compose's `.env`: read, and filled in where a line says `NAME=` and no more.

Not by python-dotenv's `set_key`: it gives the file another owner and changes lines that have a value, too.
"""

import re
from collections.abc import Mapping

_LINE = re.compile(r"\s*(?:export\s+)?(?P<name>[A-Za-z_]\w*)[ \t]*=[ \t]*(?P<value>.*?)\s*")
_QUOTED = re.compile(r"""(['"])(?P<value>.*?)\1(?:\s+#.*)?""")
_COMMENT = re.compile(r"(?:^|\s+)#.*")


def parse(text: str) -> dict[str, str]:
    """Values by name; of several lines the last one counts. Variables in values are not replaced."""
    found = (_LINE.fullmatch(line) for line in text.splitlines())
    return {line["name"]: _plain(line["value"]) for line in found if line}


def _plain(value: str) -> str:
    quoted = _QUOTED.fullmatch(value)
    return quoted["value"] if quoted else _COMMENT.sub("", value)


def empty(text: str) -> list[str]:
    """Names that have a line of their own and no value."""
    values = parse(text)
    return [name for name in values if not values[name] and _unfilled(name).search(text)]


def fill(text: str, values: Mapping[str, str]) -> str:
    """The text with values for names whose value is empty; every other character stays."""
    for name in empty(text):
        if name in values:
            last = list(_unfilled(name).finditer(text))[-1].end("head")
            text = text[:last] + values[name] + text[last:]
    return text


def _unfilled(name: str) -> re.Pattern[str]:
    return re.compile(rf"^(?P<head>{name}=)(?=[ \t]*\r?$)", re.MULTILINE)
