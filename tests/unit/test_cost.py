"""`hikyaku cost`: the design document's own estimate, and what comes on top."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from hikyaku.app import app
from hikyaku.errors import UserError
from hikyaku.operator.cost import lines, prices
from hikyaku.sending import upload
from poller.settings import PollerSettings

ROOT = Path(__file__).parents[2]


def bill(*options: str) -> dict[str, Any]:
    done = CliRunner().invoke(app, ["cost", "--json", *options], catch_exceptions=False)
    assert done.exit_code == 0
    return dict(json.loads(done.stdout))


def line(name: str, *options: str) -> dict[str, Any]:
    [found] = [each for each in bill(*options)["lines"] if each["name"] == name]
    return dict(found)


@pytest.mark.parametrize("free", ["--free-tier", "--no-free-tier"])
def test_the_design_documents_estimate_comes_out(free: str) -> None:
    found = bill("--size", "200MB", "--per-month", "1", free)
    assert 150 <= found["as_designed"]["jpy"] <= 160
    jpy = {each["name"]: each["jpy"] for each in found["lines"] if each["in_design"]}
    assert jpy["KMS key"] == 150
    assert jpy["S3 storage"] == pytest.approx(0.5, abs=0.3)
    assert max(jpy[name] for name in ("S3 requests", "KMS requests")) < 0.05
    assert sum(jpy.values()) == pytest.approx(found["as_designed"]["jpy"])


def test_polling_costs_what_the_design_document_expects() -> None:
    """A few yen to some tens of yen a month, without the free allowance."""
    assert 1 < line("SQS polls", "--no-free-tier")["jpy"] < 50
    assert line("SQS polls", "--no-free-tier")["quantity"] == 131_400
    assert line("SQS polls")["usd"] == 0


def test_any_size_and_count() -> None:
    one, many = bill("--size", "1GiB", "--per-month", "300"), line("S3 storage", "--size", "1GiB", "--per-month", "300", "--kept", "12")
    assert (many["quantity"], many["usd"]) == (3600, pytest.approx(90.0))
    assert one["total"]["usd"] == pytest.approx(sum(each["usd"] for each in one["lines"]))
    assert line("Transfer to the host", "--size", "1GiB", "--per-month", "300")["usd"] == pytest.approx(200 * 0.114)
    assert bill("--size", "1B", "--per-month", "0", "--keys", "0", "--pollers", "0")["total"]["usd"] == 0


def test_an_allowance_is_used_once() -> None:
    found = bill("--per-month", "1000000", "--size", "1kB")
    sqs = [each for each in found["lines"] if each["name"] in {"SQS polls", "SQS requests"}]
    assert sum(each["usd"] for each in sqs) == pytest.approx((131_400 + 3_000_000 - 1_000_000) * 0.4 / 1_000_000)


def test_options_take_lines_away_and_change_the_rate() -> None:
    found = bill("--no-cloudtrail", "--no-receipts", "--jpy-per-usd", "100")
    assert "CloudTrail" not in {each["name"] for each in found["lines"]}
    assert line("S3 requests for receipts", "--no-receipts")["quantity"] == 0
    assert found["total"]["jpy"] == pytest.approx(found["total"]["usd"] * 100)


def test_a_person_reads_a_table_with_the_sums() -> None:
    said = CliRunner().invoke(app, ["cost"], env={"COLUMNS": "200"}).stdout
    for text in ("as in the design document", "in all, a month", "EventBridge", "CloudTrail", "1 USD = 150 JPY", "ap-northeast-1"):
        assert text in said


def test_the_figures_behind_it_are_the_services_own() -> None:
    assert PollerSettings.model_fields["receive_wait"].default == lines.LONG_POLL_S
    assert PollerSettings.model_fields["visibility_timeout"].default / 3 == lines.HEARTBEAT_S
    assert (upload.TRANSFER.multipart_threshold, upload.TRANSFER.multipart_chunksize) == (lines.MULTIPART_FROM, lines.PART)
    assert "KmsDataKeyReusePeriodSeconds: 3600" in (ROOT / "aws" / "stack.yaml").read_text(encoding="utf-8")


def test_every_price_says_where_it_was_read() -> None:
    shipped = prices.read()
    assert all("https://aws.amazon.com/" in price.source or "design document" in price.source for price in shipped.of.values())
    assert shipped.exchange_source


@pytest.mark.parametrize(("left_out", "message"), [("sqs", "lacks 'sqs'"), ("exchange", "lacks 'exchange'")])
def test_a_price_file_that_lacks_something_is_said(tmp_path: Path, left_out: str, message: str) -> None:
    found = tomllib.loads(prices.SHIPPED.read_text(encoding="utf-8"))
    text = "\n".join(part for part in prices.SHIPPED.read_text(encoding="utf-8").split("\n\n") if f"[{left_out}]" not in part)
    path = tmp_path / "prices.toml"
    path.write_text(text, encoding="utf-8")
    assert left_out in found
    with pytest.raises(UserError, match=message):
        prices.read(path)


@pytest.mark.parametrize("size", ["", "x", "-1", "1 elephant"])
def test_what_is_no_size_is_said(size: str) -> None:
    with pytest.raises(UserError, match="not a size"):
        CliRunner().invoke(app, ["cost", "--size", size], catch_exceptions=False)
