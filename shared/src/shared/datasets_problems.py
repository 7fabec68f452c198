"""What is wrong with a datasets.toml, in sentences that a person can act on."""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

TYPES = {
    "string_type": "must be a text in quotes",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "tuple_type": 'must be a list of texts: ["…", "…"]',
    "dict_type": 'must be a table of texts: {{a = "…"}}',
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "too_long": "must not have more than {max_length} entry",
    "too_short": "must not be empty",
}
"""By pydantic's name of an error; its own sentences are for programmers."""


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong, or may surprise."""

    line: int
    """Of datasets.toml, from 1; 0 where none can be told."""
    where: str
    """`datasets.orders.mode`, or empty where it is the file as a whole."""
    what: str

    def __str__(self) -> str:
        place = f"line {self.line}: " if self.line else ""
        return f"{place}{self.where}{': ' if self.where else ''}{self.what}"


def sentence(error: "ErrorDetails", names: Iterable[str]) -> str:
    """What pydantic found, in our words.

    Args:
        error: one of a ValidationError.
        names: of the options that there are.
    """
    kind, context = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        return "is not an option" + did_you_mean(str(error["loc"][0]), names)
    if kind == "enum":
        said = error["input"]
        values = str(context["expected"]).replace("'", '"')
        guess = did_you_mean(said, [str(value) for value in values.replace(" or ", ", ").replace('"', "").split(", ")])
        return f"must be {values}{guess}"
    if kind in TYPES:
        return TYPES[kind].format(**context)
    return error["msg"].removeprefix("Value error, ")


def did_you_mean(said: object, names: Iterable[str]) -> str:
    """` (did you mean …?)`, empty where nothing is near."""
    near = get_close_matches(said.lower().replace("-", "_"), list(names), n=1, cutoff=0.65) if isinstance(said, str) else []
    return f" (did you mean {near[0]}?)" if near else ""
