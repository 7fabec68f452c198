"""Connections of the operator's commands: to the ledger, to the queues, to the bucket. What is away is said in a sentence."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

import boto3
import psycopg
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from psycopg.rows import DictRow, dict_row

from hikyaku.errors import UserError

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from types_boto3_sqs import SQSClient

CONNECT_TIMEOUT_S = 5
STATEMENT_TIMEOUT_MS = 60_000
ATTEMPTS = 3
SQS_BATCH = 10
"""The most that SQS takes in one call (SendMessageBatch, ChangeMessageVisibilityBatch)."""
T = TypeVar("T")
AWS_ERRORS = (BotoCoreError, ClientError)


@contextmanager
def ledger(url: str, *, application: str = "hikyaku") -> Iterator[psycopg.Connection[DictRow]]:
    """A connection to the ledger whose rows are dictionaries: one transaction, committed when the block ends without an error.

    Args:
        url: postgresql:// of a role that may do what the block does.
        application: name that PostgreSQL shows of it.

    Raises:
        UserError: the database is away, or refuses the role. What the block's own statements raise but for a lost connection is passed on.
    """
    options = f"-c statement_timeout={STATEMENT_TIMEOUT_MS} -c timezone={os.environ.get('TZ') or 'UTC'}"
    try:
        with psycopg.connect(
            url, connect_timeout=CONNECT_TIMEOUT_S, application_name=application, options=options, row_factory=dict_row
        ) as connection:
            yield connection
    except psycopg.errors.InsufficientPrivilege as error:
        raise UserError(
            f"the database refused: {_first_line(error)}", hint="HIKYAKU_DATABASE_URL wants the role hikyaku_operator."
        ) from None
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedFunction, psycopg.errors.UndefinedColumn) as error:
        hint = "The ledger is older than this command, or not there: run the migrations (docs/operations.md#upgrade)."
        raise UserError(f"the database lacks something: {_first_line(error)}", hint=hint) from None
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        raise UserError(f"the ledger can't be reached: {_first_line(error)}", hint="Check HIKYAKU_DATABASE_URL and the database.") from None
    except (psycopg.ProgrammingError, UnicodeError):
        raise UserError("HIKYAKU_DATABASE_URL is no postgresql:// URL", exit_code=2) from None


def _first_line(error: psycopg.Error) -> str:
    # PostgreSQL's further lines (CONTEXT, DETAIL) may quote data.
    return (error.diag.message_primary or str(error).strip() or type(error).__name__).splitlines()[0]


def sqs() -> "SQSClient":
    """The queues, by the standard AWS settings."""
    return boto3.client("sqs", **_aws())


def s3() -> "S3Client":
    """The bucket, by the standard AWS settings."""
    return boto3.client("s3", **_aws())


def client(service: str, *, attempts: int = ATTEMPTS) -> Any:
    """Another service of AWS, by the same settings.

    Args:
        service: as boto3 calls it.
        attempts: how often a request is sent before it counts as failed.
    """
    made: Any = boto3.client
    return made(service, **_aws(attempts))


def batches(items: Iterable[T]) -> Iterator[list[T]]:
    """As many as SQS takes in one call."""
    rest = iter(items)
    while batch := list(islice(rest, SQS_BATCH)):
        yield batch


@contextmanager
def told(what: str, hint: str = "Check the credentials (AWS_PROFILE, …), the region, and that AWS can be reached.") -> Iterator[None]:
    """Say in a sentence what AWS refused in this block.

    Args:
        what: did not work, as in "the dead-letter queue can't be read".
        hint: what to do about it.

    Raises:
        UserError: in place of what boto3 raises.
    """
    try:
        yield
    except AWS_ERRORS as error:
        raise UserError(f"{what}: {error}", hint=hint) from None


def _aws(attempts: int = ATTEMPTS) -> dict[str, Any]:
    # The SDK alone would not read AWS_REGION.
    config = Config(connect_timeout=CONNECT_TIMEOUT_S, read_timeout=30, retries={"mode": "standard", "total_max_attempts": attempts})
    return {"region_name": os.environ.get("AWS_REGION"), "config": config}
