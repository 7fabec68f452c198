"""Waits until all is settled, and looks."""

import json
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import psycopg
from botocore.exceptions import BotoCoreError, ClientError

from chaos import receipts, tags
from chaos.entry import Entry
from chaos.files import DATASETS, MENDED
from chaos.model import Observed, typed
from chaos.sender import Sent
from chaos.stack import Stack

LEDGER = "SELECT key, version_id, status, error_code, rows_loaded, extract(epoch FROM updated_at)::float8 FROM hikyaku.files"
POLL_S = 0.5
SWEPT_WITHIN_S = 20.0
AGED_S = 120.0
QUIET_S = 1.5
GIVEN_UP_AFTER_S = 20.0
"""With no message anywhere, nobody will look at a file again: only a task that is still in Redis may yet end."""


@dataclass(frozen=True)
class Settled:
    """How settling went."""

    observed: Observed
    seconds: float


def ledger(stack: Stack) -> dict[tuple[str, str], Entry]:
    """The whole ledger."""
    return {(row[0], row[1]): Entry(row[2], row[3], row[4], row[5]) for row in stack.rows(LEDGER)}


def settle(stack: Stack, sent: list[Sent], within: float) -> Settled:
    """Wait until every file has its fate and every message is gone, `within` seconds at most, then look at everything."""
    begin = time.monotonic()
    settled = _await_settled(stack, sent, begin + within)
    seconds = time.monotonic() - begin
    if settled:
        _await_sweep(stack)
    return Settled(observe(stack), seconds)


def _await_settled(stack: Stack, sent: list[Sent], deadline: float) -> bool:
    """Whether it was seen by then. If not, files are still under way, and what is in the spool is still theirs."""
    seen, since = None, time.monotonic()
    while time.monotonic() < deadline:
        look = _look(stack, sent)
        if look != seen:
            seen, since = look, time.monotonic()
        elif look is not None and look.queued == 0 and time.monotonic() > since + (QUIET_S if look.open == 0 else GIVEN_UP_AFTER_S):
            return True
        time.sleep(POLL_S)
    return False


@dataclass(frozen=True)
class _Look:
    """How many messages are in the queue, and how many files have no fate yet."""

    queued: int
    open: int


def _look(stack: Stack, sent: list[Sent]) -> _Look | None:
    """None while a server does not answer."""
    with suppress(psycopg.Error, BotoCoreError, ClientError):
        known = ledger(stack)
        entries = [known.get((each.file.key, each.version_id)) for each in sent]
        return _Look(stack.queued(), sum(entry is None or entry.status == "failed" for entry in entries))
    return None


def _await_sweep(stack: Stack) -> None:
    """What is left in the spool belongs to nobody any more: the sweep takes it by its age, which we need not wait for."""
    old = time.time() - AGED_S
    deadline = time.monotonic() + SWEPT_WITHIN_S
    while (left := stack.spooled()) and time.monotonic() < deadline:
        for path in left:
            with suppress(FileNotFoundError):
                os.utime(path, (old, old))
        time.sleep(POLL_S)


def observe(stack: Stack) -> Observed:
    """Everything that there is."""
    return Observed(
        ledger=ledger(stack),
        tables={dataset.name: typed(stack.table(dataset.name)) for dataset in (*DATASETS, MENDED)},
        dead=[_dead(message) for message in stack.dead_letters()],
        queued=stack.queued(),
        spooled=[path.name for path in stack.spooled()],
        untagged=tags.untagged(stack),
        receipts=receipts.read(stack),
        untold=receipts.left_out(stack),
    )


def _dead(message: dict[str, Any]) -> tuple[str, str, str]:
    obj = json.loads(message["Body"])["detail"]["object"]
    attributes = message.get("MessageAttribute") or []
    attributes = attributes if isinstance(attributes, list) else [attributes]
    code = next((each["Value"]["StringValue"] for each in attributes if each["Name"] == "error_code"), "")
    # LocalStack percent-encodes keys in its events; ours have nothing to encode.
    return unquote(obj["key"]), obj["version-id"], code
