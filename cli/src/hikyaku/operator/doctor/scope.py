"""What the checks look at: settings, clients and places, each made when it is first asked for."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg.rows import DictRow

from hikyaku.errors import UserError
from hikyaku.operator import access
from hikyaku.operator.doctor.finding import CantLookError
from hikyaku.operator.places import Places
from hikyaku.operator.settings import OperatorSettings
from hikyaku.setup import dotenv, files


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Scope:
    """One run of the doctor.

    Attributes:
        settings: of the operator.
        environment: of the process.
        places: paths of this machine.
        now: this machine's clock.
    """

    settings: OperatorSettings
    environment: Mapping[str, str]
    places: Places
    now: Callable[[], datetime] = _now
    _clients: dict[str, Any] = field(default_factory=dict)
    _no_ledger: UserError | None = None

    def aws(self, service: str) -> Any:
        """A client, made once."""
        if service not in self._clients:
            # Where AWS is out of reach, every check waits for as long.
            self._clients[service] = access.client(service, attempts=1)
        return self._clients[service]

    def need(self, name: str) -> str:
        """A setting by its attribute's name.

        Raises:
            CantLookError: it is not set.
        """
        if value := str(getattr(self.settings, name)):
            return value
        raise CantLookError(f"HIKYAKU_{name.upper()} is not set")

    @contextmanager
    def ledger(self) -> Iterator[psycopg.Connection[DictRow]]:
        """The database as the operator sees it; nothing can be written. One that was out of reach is not waited for again."""
        if self._no_ledger is not None:
            raise self._no_ledger
        reached = False
        try:
            with access.ledger(self.need("database_url"), application="hikyaku-doctor") as connection:
                reached = connection.read_only = True
                yield connection
        except UserError as error:
            self._no_ledger = None if reached else error
            raise

    def queue(self, which: str = "queue_url") -> dict[str, str]:
        """A queue's attributes.

        Args:
            which: `queue_url` or `dlq_url`.
        """
        answer = self.aws("sqs").get_queue_attributes(QueueUrl=self.need(which), AttributeNames=["All"])
        return dict(answer["Attributes"])

    def encryption(self) -> dict[str, str]:
        """The bucket's default encryption; empty when it has none of its own."""
        answer = self.aws("s3").get_bucket_encryption(Bucket=self.need("bucket"))
        # LocalStack's has no rules where AWS answers with an error, or with AES256.
        rules = answer["ServerSideEncryptionConfiguration"].get("Rules", [])
        return dict(rules[0].get("ApplyServerSideEncryptionByDefault", {})) if rules else {}

    def number(self, name: str, service: str, default: int) -> int:
        """A service's setting: the environment's, `.env`'s, the service's own settings.env, else its default.

        Args:
            name: HIKYAKU_….
            service: whose folder of secrets holds settings.env.
            default: as in the service's settings.
        """
        said = self.environment.get(name) or self._settings_env(service).get(name) or self.places.env.get(name) or ""
        return int(said) if said.isdecimal() else default

    def _settings_env(self, service: str) -> Mapping[str, str]:
        host = self.places.host
        text = files.read(host.secrets / f"{service}/settings.env") if host else None
        return dotenv.parse((text or b"").decode(errors="replace"))


def code(error: Exception) -> str:
    """AWS's own name of an error, "" for one that did not come from AWS."""
    return str(getattr(error, "response", {}).get("Error", {}).get("Code", ""))
