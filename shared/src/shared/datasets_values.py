"""Types of the values of datasets.toml, each with the sentence that a wrong one gets."""

import math
import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from shared import age_recipient

DELIMITER = "must be one ASCII character; no small letter, digit, dot, backslash, quote or line end"


@dataclass(frozen=True, slots=True)
class Fits:
    """A validator: a text must match all of an expression."""

    expression: str
    says: str
    """What a person hears where it does not."""

    def __call__(self, value: str) -> str:
        """The same text.

        Raises:
            ValueError: it does not match.
        """
        if not re.fullmatch(self.expression, value):
            raise ValueError(self.says)
        return value


def one_or_more(value: object) -> object:
    """A text is a list of one."""
    return (value,) if isinstance(value, str) else value


def count_or_share(value: object) -> object:
    """A whole number from 0 on, or a fraction below 1.

    Raises:
        ValueError: it is neither.
    """
    wrong = isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0
    if wrong or (isinstance(value, float) and value >= 1):
        raise ValueError("must be a count of rows as 10, or a share of the file's rows below 1 as 0.001")
    return value


ORDERS = ("event_time", "seq")
"""What files may be ordered by besides a capture."""


def order(value: str) -> str:
    """A capture may be named with or without its braces."""
    return value if value in ORDERS or value.startswith("{") else f"{{{value}}}"


RECIPIENT = "must be one public key of age, age1…: the sender's, who keeps the secret key"


def sound(recipient: str) -> str:
    """A public key without a mistake in it; or none.

    Raises:
        ValueError: a character is wrong.
    """
    if recipient and not age_recipient.is_sound(recipient):
        raise ValueError(f"is mistyped: its checksum is wrong. It {RECIPIENT}")
    return recipient


CountOrShare = Annotated[int | float, BeforeValidator(count_or_share), Field(json_schema_extra={"minimum": 0})]
Name = Annotated[str, AfterValidator(Fits(r"[^\x00]+", "must name a column: no empty text, no NUL character"))]
MaybeName = Annotated[str, AfterValidator(Fits(r"[^\x00]*", "must name a column, without a NUL character"))]
"""Empty where there is none."""
Names = Annotated[tuple[Name, ...], BeforeValidator(one_or_more, json_schema_input_type=Name | tuple[Name, ...])]
SenderName = Annotated[str, AfterValidator(Fits(r"[^,!\x00-\x1f\x7f][^,\x00-\x1f\x7f]*", "must be a sender's name, without a comma"))]
Senders = Annotated[
    tuple[SenderName, ...],
    Field(min_length=1),
    BeforeValidator(one_or_more, json_schema_input_type=SenderName | tuple[SenderName, ...]),
]
Null = Annotated[str, AfterValidator(Fits(r"[^\r\n\x00]*", "must be on one line, without a NUL character"))]
Nulls = Annotated[tuple[Null, ...], Field(min_length=1), BeforeValidator(one_or_more, json_schema_input_type=Null | tuple[Null, ...])]
Delimiter = Annotated[str, AfterValidator(Fits(r"[\x01-\x09\x0b\x0c\x0e-\x21#-&(-\-/:-\[\]-`{-\x7f]", DELIMITER))]
"""What PostgreSQL takes (chapter COPY)."""
Quote = Annotated[str, AfterValidator(Fits(r"[\"']", "must be \" (written '\"') or ' (written \"'\")"))]
Escape = Annotated[str, AfterValidator(Fits(r"[\"'\\]?", r"must be \ (written '\'), a quote, or empty for the quote itself"))]
Order = Annotated[
    str,
    AfterValidator(
        Fits(r"[A-Za-z_][A-Za-z0-9_]*|\{[A-Za-z_][A-Za-z0-9_]*\}", 'must be "event_time", "seq", or a capture of match: "{day}"')
    ),
    AfterValidator(order),
]
DateStyle = Annotated[
    str,
    AfterValidator(
        Fits(
            r"((ISO|SQL|POSTGRES|GERMAN)(, ?(YMD|DMY|MDY))?)?",
            'must be ISO, SQL, POSTGRES or GERMAN, and an order if need be: "ISO, DMY" reads 02/03/2026 as 2 March',
        )
    ),
]
TimeZone = Annotated[str, AfterValidator(Fits(r"[A-Za-z0-9_+/:-]{0,63}", 'must be a time zone as PostgreSQL names it: "Asia/Tokyo"'))]
Lifetime = Annotated[str, AfterValidator(Fits(r"[1-9][0-9]{0,3}[dhm]", 'must be days, hours or minutes: "7d", "12h" or "30m"'))]
Recipient = Annotated[str, AfterValidator(Fits(f"({age_recipient.EXPRESSION})?", RECIPIENT)), AfterValidator(sound)]
"""Empty where there is none."""
Glob = Annotated[str, AfterValidator(Fits(r"[^\x00]+", "must be a glob on object keys: no empty text, no NUL character"))]
TableName = Annotated[str, AfterValidator(Fits(r"[^.\x00]+(\.[^.\x00]+)?", "must be table, for one in schema public, or schema.table"))]
