"""`hikyaku cost`."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ByteSize, TypeAdapter, ValidationError

from hikyaku.errors import UserError
from hikyaku.operator import output
from hikyaku.operator.cost import prices as price_file
from hikyaku.operator.cost.lines import Line, Usage, lines
from hikyaku.operator.cost.prices import Prices

COLUMNS = ("what", "quantity", "unit", "USD", "JPY", "why so much")
_SIZE = TypeAdapter(ByteSize)


def cost(
    *,
    size: Annotated[str, typer.Option("--size", help="Of one encrypted file, as 200MB or 1.5GiB.", metavar="SIZE")] = "200MB",
    per_month: Annotated[float, typer.Option("--per-month", min=0, help="Files in a month.")] = 1,
    kept: Annotated[float, typer.Option("--kept", min=0, help="Months for which a file lies in the bucket.")] = 1,
    pollers: Annotated[int, typer.Option("--pollers", min=0, help="That run all the time.")] = 1,
    keys: Annotated[int, typer.Option("--keys", min=0, help="KMS keys, and yearly rotations that AWS charges as such.")] = 1,
    receipts: Annotated[bool, typer.Option("--receipts/--no-receipts", help="A receipt for each file.")] = True,
    cloudtrail: Annotated[bool, typer.Option("--cloudtrail/--no-cloudtrail", help="EnableCloudTrail of the stack.")] = True,
    free: Annotated[bool, typer.Option("--free-tier/--no-free-tier", help="The account's monthly allowances are unused.")] = True,
    jpy: Annotated[float | None, typer.Option("--jpy-per-usd", min=0, help="Another exchange rate than the price file's.")] = None,
    file: Annotated[Path | None, typer.Option("--prices", help="Another price file.", dir_okay=False)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """What a month of files costs in AWS, line by line, without asking AWS.

    Example: hikyaku cost --size 200MB --per-month 1
    """
    prices = price_file.read(file)
    rate = prices.jpy_per_usd if jpy is None else jpy
    bill = list(lines(Usage(_bytes(size), per_month, kept, pollers, keys, receipts, cloudtrail), prices, free=free))
    if as_json:
        output.json_line(as_document(bill, prices, rate))
    else:
        show(bill, prices, rate)


def _bytes(text: str) -> int:
    try:
        return int(_SIZE.validate_python(text))
    except ValidationError:
        raise UserError(f"--size {text}: not a size", hint="Example: --size 200MB", exit_code=2) from None


def _usd(bill: list[Line], *, design_only: bool = False) -> float:
    return sum(line.usd for line in bill if line.in_design or not design_only)


def as_document(bill: list[Line], prices: Prices, rate: float) -> dict[str, Any]:
    """The bill for programs."""
    sums = {"as_designed": _usd(bill, design_only=True), "total": _usd(bill)}
    return {
        "region": prices.region,
        "prices_checked": prices.checked,
        "jpy_per_usd": rate,
        "lines": [{**asdict(line), "jpy": line.usd * rate} for line in bill],
        **{name: {"usd": usd, "jpy": usd * rate} for name, usd in sums.items()},
    }


def show(bill: list[Line], prices: Prices, rate: float) -> None:
    """The bill for a person: what the design document counts, what comes on top, and the sum."""
    rows: list[list[Any]] = [_cells(line, rate) for line in bill if line.in_design]
    rows.append(_sum("as in the design document", _usd(bill, design_only=True), rate))
    rows += [_cells(line, rate) for line in bill if not line.in_design]
    rows.append(_sum("in all, a month", _usd(bill), rate))
    console = output.console()
    console.print(output.table(COLUMNS, rows))
    console.print(f"Prices of {prices.region}, looked up on {prices.checked}, without tax. 1 USD = {rate:g} JPY.")
    console.print("Sources: --json names one for each line.")


def _cells(line: Line, rate: float) -> list[Any]:
    return [line.name, f"{line.quantity:,.6g}", line.unit, f"{line.usd:.6f}", f"{line.usd * rate:.2f}", line.note]


def _sum(name: str, usd: float, rate: float) -> list[Any]:
    return [name, "", "", f"{usd:.6f}", f"{usd * rate:.2f}", ""]
