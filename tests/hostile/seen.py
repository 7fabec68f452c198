"""What became of a case: by the ledger, the dead-letter queue and the poller's log, which must not contradict one another."""

import json
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from line import Line

from hostile.case import IGNORED, TOO_LONG

NOTHING = "nothing"
FINAL = ("loaded", "duplicate", "superseded", "tested", "rejected")


@dataclass(frozen=True, slots=True)
class Sent:
    """A case on its way.

    Attributes:
        version: by which the ledger knows it; empty: it never hears of it.
        body: of a forged message.
        message_id: of a forged message; empty: SQS did not take it.
    """

    version: str
    body: str = ""
    message_id: str = ""

    @property
    def is_message(self) -> bool:
        """Whether it was sent in place of S3's own event."""
        return bool(self.body)


@dataclass(frozen=True, slots=True)
class Letters:
    """The dead-letter queue: error codes, by the version that a letter names and by its body."""

    by_version: Mapping[str, str] = field(default_factory=dict)
    by_body: Mapping[str, str] = field(default_factory=dict)


def rows(line: Line, versions: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The ledger's final rows by version."""
    found = line.sql(
        "SELECT version_id, status, error_code, error FROM hikyaku.files WHERE version_id = ANY(%s) AND status = ANY(%s)",
        list(versions),
        list(FINAL),
    )
    return {row["version_id"]: row for row in found}


def letters(line: Line) -> Letters:
    """All letters, which LocalStack shows without handing them out."""
    by_version, by_body = {}, {}
    for message in _messages(line):
        attributes = message["MessageAttribute"]
        values = {each["Name"]: each["Value"]["StringValue"] for each in (attributes if isinstance(attributes, list) else [attributes])}
        by_body[message["Body"]] = values["error_code"]
        if version := version_of(message["Body"]):
            by_version[version] = values["error_code"]
    return Letters(by_version, by_body)


def _messages(line: Line) -> list[dict[str, Any]]:
    url = f"{line.endpoints['AWS_ENDPOINT_URL']}/_aws/sqs/messages?QueueUrl={line.dlq_url}"
    request = urllib.request.Request(url, headers={"Accept": "application/json"})  # noqa: S310 - loopback
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
        found = json.load(answer)["ReceiveMessageResponse"]["ReceiveMessageResult"] or {}
    messages = found.get("Message", [])
    return messages if isinstance(messages, list) else [messages]


def version_of(body: str) -> str:
    """The version that a message names; empty where it is none of ours."""
    try:
        event = json.loads(body)
        obj = event["Records"][0]["s3"]["object"] if "Records" in event else event["detail"]["object"]
        version = obj.get("version-id") or obj.get("versionId")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return ""
    return unquote(version) if isinstance(version, str) else ""


def ignored(line: Line) -> set[str]:
    """Ids of messages that the poller says it ignored."""
    return {told["message_id"] for told in log_lines(line, "poller") if told.get("event") == "ignored"}


def log_lines(line: Line, service: str) -> Iterator[dict[str, Any]]:
    """The lines of a service's log that are its own."""
    for path in sorted((line.folder / "logs").glob(f"{service}.log*")):
        for text in path.read_text(encoding="utf-8").split("\n"):
            if text.startswith("{"):
                yield json.loads(text)


def judge(sent: Sent, row: Mapping[str, Any] | None, told: Letters, ignored_ids: set[str]) -> str:
    """In one word what became of it, or in what its witnesses differ."""
    if sent.is_message and not sent.message_id:
        return TOO_LONG
    letter = told.by_body.get(sent.body) if sent.is_message else told.by_version.get(sent.version)
    if row is not None and row["status"] != "rejected":
        return str(row["status"]) + (f", letter {letter}" if letter else "")
    if row is not None:
        return str(row["error_code"]) + ("" if letter == row["error_code"] else f", letter {letter}")
    if letter is not None:
        return letter
    return IGNORED if sent.message_id in ignored_ids else NOTHING
