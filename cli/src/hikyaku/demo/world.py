"""What the demo needs of a running stack: S3 to send to, the ledger and tables to look at, the dead-letter queue."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import psycopg
from psycopg import sql
from psycopg.rows import dict_row

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from types_boto3_sqs import SQSClient
    from types_boto3_sqs.type_defs import MessageTypeDef

CONNECT_TIMEOUT_S = 10


@dataclass(frozen=True, slots=True)
class Fate:
    """One row of the ledger, as far as the demo shows it."""

    key: str
    version_id: str
    status: str
    rows_loaded: int | None
    error_code: str | None
    seconds: float
    """From the poller's receive to the commit."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A message in the dead-letter queue."""

    message_id: str
    body: str
    error_code: str
    error: str


class World:
    """Clients for one stack, from its endpoints.env.

    Args:
        endpoints: what `read_endpoints` gave. Without AWS keys in it, the SDK finds them by its own chain.
        logs: how a person looks at this stack's logs, for the errors.
    """

    def __init__(self, endpoints: dict[str, str], logs: str = "") -> None:
        self.logs = logs
        self.endpoints = endpoints
        self.bucket = endpoints["HIKYAKU_BUCKET"]
        self.recipient = endpoints["HIKYAKU_RECIPIENT"]
        self.datasets = Path(endpoints["HIKYAKU_DATASETS"])
        session = boto3.Session(
            aws_access_key_id=endpoints.get("AWS_ACCESS_KEY_ID"),
            aws_secret_access_key=endpoints.get("AWS_SECRET_ACCESS_KEY"),
            region_name=endpoints["AWS_REGION"],
        )
        self.s3: S3Client = session.client("s3", endpoint_url=endpoints["AWS_ENDPOINT_URL"])
        self.sqs: SQSClient = session.client("sqs", endpoint_url=endpoints["AWS_ENDPOINT_URL"])
        self.database = psycopg.connect(
            endpoints["HIKYAKU_DATABASE_URL"], autocommit=True, row_factory=dict_row, connect_timeout=CONNECT_TIMEOUT_S
        )

    def fate(self, key: str, version_id: str) -> Fate | None:
        """The ledger's row of one object version, if there is one."""
        row = self.database.execute(
            """SELECT key, version_id, status, rows_loaded, error_code,
                      extract(epoch FROM coalesce(loaded_at, updated_at) - received_at)::float8 AS seconds
                 FROM hikyaku.files WHERE (bucket, key, version_id) = (%s, %s, %s)""",
            (self.bucket, key, version_id),
        ).fetchone()
        return Fate(**row) if row else None

    def count(self, table: str) -> int:
        """Rows of a table in schema public."""
        query = sql.SQL("SELECT count(*) AS n FROM {}").format(sql.Identifier("public", table))
        row = self.database.execute(query).fetchone()
        return int(row["n"]) if row else 0

    def dead_letters(self, hide_s: int = 0) -> list[Letter]:
        """Up to ten messages in the dead-letter queue; they stay there, out of sight for `hide_s` seconds."""
        answer = self.sqs.receive_message(
            QueueUrl=self.endpoints["HIKYAKU_DLQ_URL"],
            MaxNumberOfMessages=10,
            VisibilityTimeout=hide_s,
            WaitTimeSeconds=1,
            MessageAttributeNames=["All"],
        )
        return [_letter(message) for message in answer.get("Messages", [])]

    def close(self) -> None:
        """End the database connection."""
        self.database.close()


def _letter(message: "MessageTypeDef") -> Letter:
    attributes = message.get("MessageAttributes", {})

    def text(name: str) -> str:
        return attributes[name].get("StringValue", "") if name in attributes else ""

    return Letter(message["MessageId"], message["Body"], text("error_code"), text("error"))
