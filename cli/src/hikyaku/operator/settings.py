"""Where the operator's commands find the line: `HIKYAKU_X`, or the file that `HIKYAKU_X_FILE` names, as the services read theirs."""

import os
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

from hikyaku.endpoints import VARIABLE, read_endpoints
from hikyaku.errors import UserError

PREFIX = "HIKYAKU_"
HINT = (
    "On the host: `docker compose run --rm cli …` has them. Of a local stack: set -a; . .local/endpoints.env; set +a. "
    "Else set them, or name files that hold them: HIKYAKU_DATABASE_URL_FILE=secrets/operator/database_url."
)


@dataclass(frozen=True, slots=True)
class OperatorSettings:
    """What a command may need; "" where nothing is set. `need` says what it can't do without.

    Attributes:
        bucket: S3 bucket of the line.
        queue_url: of the ingest queue.
        dlq_url: of its dead-letter queue.
        database_url: postgresql:// of `hikyaku_operator`; a secret.
        redis_url: redis:// or rediss://; a secret. Only what looks at the workers asks for it.
        datasets: path of datasets.toml.
    """

    bucket: str = ""
    queue_url: str = ""
    dlq_url: str = ""
    database_url: str = ""
    redis_url: str = ""
    datasets: str = ""

    @classmethod
    def read(cls, *needed: str, environment: MutableMapping[str, str] = os.environ) -> Self:
        """Settings of this command.

        Args:
            needed: names of attributes that must be set.
            environment: the process's, unless given.

        Raises:
            UserError: some are not set, or their file can't be read; all are named at once. Exit code 2.
        """
        adopt_endpoints(environment)
        found, problems = {}, []
        for name in (field.name for field in fields(cls)):
            try:
                found[name] = _value(f"{PREFIX}{name.upper()}", environment)
            except (OSError, UnicodeDecodeError) as error:
                reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8"
                problems.append(f"{PREFIX}{name.upper()}_FILE can't be read: {reason}")
                continue
            if name in needed and not found[name]:
                problems.append(f"{PREFIX}{name.upper()} is not set")
        if problems:
            raise UserError("; ".join(problems), hint=HINT, exit_code=2)
        return cls(**found)

    def __repr__(self) -> str:
        """Without secrets."""
        return f"OperatorSettings(bucket={self.bucket!r}, queue_url={self.queue_url!r}, dlq_url={self.dlq_url!r})"


def adopt_endpoints(environment: MutableMapping[str, str]) -> None:
    """Fill what is not set, AWS's own variables too, from the stack's file that HIKYAKU_ENDPOINTS names, if it is there.

    Args:
        environment: to be filled: the SDK reads the process's own.
    """
    file = Path(environment.get(VARIABLE) or os.devnull)
    if file.is_file():
        for name, value in read_endpoints(file).items():
            environment[name] = environment.get(name) or value


def _value(name: str, environment: Mapping[str, str]) -> str:
    if value := environment.get(name, ""):
        return value
    file = environment.get(f"{name}_FILE", "")
    return Path(file).read_text(encoding="utf-8").strip() if file else ""
