"""The price file that comes with the command."""

import datetime as dt
import tomllib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from hikyaku.errors import UserError

SHIPPED = files("hikyaku.operator.cost") / "prices.toml"
NAMES = ("s3_storage", "s3_requests", "transfer_out", "kms_key", "kms_requests", "eventbridge", "sqs", "cloudtrail")


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars for so many units; so many a month are free."""

    usd: float
    per: int
    unit: str
    source: str
    free: float = 0
    free_note: str = ""

    def of(self, quantity: float) -> float:
        """Dollars for so many units that are not free."""
        return quantity * self.usd / self.per


@dataclass(frozen=True, slots=True)
class Prices:
    """All of it, with the day when it was looked up."""

    region: str
    checked: dt.date
    jpy_per_usd: float
    exchange_checked: dt.date
    exchange_source: str
    of: dict[str, Price]


def read(path: Path | None = None) -> Prices:
    """The shipped price file, or another of its form.

    Raises:
        UserError: it can't be read, or lacks something. Exit code 2.
    """
    try:
        found = tomllib.loads((path or SHIPPED).read_text(encoding="utf-8"))
        return _prices(found)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, TypeError) as error:
        raise UserError(f"{path or SHIPPED} can't be read: {error}", exit_code=2) from None
    except KeyError as error:
        raise UserError(f"{path or SHIPPED} lacks {error}", exit_code=2) from None


def _prices(found: dict[str, Any]) -> Prices:
    exchange = found["exchange"]
    return Prices(
        region=found["region"],
        checked=found["checked"],
        jpy_per_usd=exchange["jpy_per_usd"],
        exchange_checked=exchange["checked"],
        exchange_source=exchange["source"],
        of={name: Price(**found[name]) for name in NAMES},
    )
