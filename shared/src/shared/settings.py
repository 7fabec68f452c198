"""Settings of every service: environment variables `HIKYAKU_*`, or `HIKYAKU_*_FILE` naming a file that holds the value.

A secret is best given as a file (docker compose secrets, systemd credentials): an environment is readable in /proc and in
`docker inspect`. All problems are named at once, and a process with wrong settings exits with 2, as shells and systemd expect.
"""

import os
import socket
import sys
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, AliasChoices, Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

PREFIX = "HIKYAKU_"


class SecretFiles(PydanticBaseSettingsSource):
    """Reads the setting X from the file that `HIKYAKU_X_FILE` names, without its last line break."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002 - the base class's signature
        """Value of one setting; None where no readable file is named: `load` tells of an unreadable one."""
        return _from_file(field_name)[0], field_name, False

    def __call__(self) -> dict[str, Any]:
        """Every setting that is given as a file."""
        found = {name: self.get_field_value(field, name)[0] for name, field in self.settings_cls.model_fields.items()}
        return {name: value for name, value in found.items() if value is not None}


def _redis_url(url: SecretStr) -> SecretStr:
    try:
        parts = urlsplit(url.get_secret_value())
        port = parts.port
    except ValueError:
        # Its own words quote a piece of the URL, which may be the password.
        parts, port = urlsplit(""), None
    if parts.scheme not in {"redis", "rediss"} or port == 0:
        raise ValueError("is not redis://user:password@host:port/0 (percent-encode special characters of the password)")
    return url


class CommonSettings(BaseSettings):
    """What every service reads."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, hide_input_in_errors=True, env_ignore_empty=True)

    redis_url: Annotated[SecretStr, AfterValidator(_redis_url)]
    """redis:// or rediss:// URL with this service's own user."""
    instance: str = Field(default_factory=socket.gethostname, pattern=r"^[A-Za-z0-9_.-]{1,64}$")
    """Names this process among others of its kind: in logs, in Flower, and (a poller) in its settle queue's name."""
    log_format: Literal["auto", "json", "console"] = "auto"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    health_file: Path | None = None
    """Touched while the process is alive; `python -m shared.health` tells whether it is fresh."""
    broker_visibility_timeout: int = Field(default=60, ge=10)
    """Seconds after which Redis hands a dead worker's task to another. A live worker renews its own, see `shared.lease`."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the base class's signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - likewise
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment wins over files; nothing else is read."""
        return init_settings, env_settings, SecretFiles(settings_cls)


class AwsSettings(CommonSettings):
    """What a service reads that talks to AWS; credentials and endpoints by the SDK's own variables."""

    aws_region: str = Field(validation_alias=AliasChoices("AWS_REGION", "AWS_DEFAULT_REGION"), min_length=1)
    """The SDK itself reads only the second of the two."""


class WorkerSettings(CommonSettings):
    """What the decryptor and the loader read, as Celery workers that share the spool."""

    concurrency: int = Field(default=2, ge=1, le=64)
    """Files worked on at once: processes, since decryption and COPY each keep one core busy."""
    task_time_limit: int = Field(default=4 * 3600, ge=60)
    """Seconds after which a task is killed, whatever it does."""
    spool_dir: Path
    """Where decrypted files wait for the loader: a tmpfs that only these two services see."""
    datasets: Path
    """datasets.toml. It need not exist: without an entry, a dataset goes to the table of its name."""


S = TypeVar("S", bound=CommonSettings)


def load(settings_class: type[S]) -> S:
    """Read the settings, or name all their problems on stderr and exit with 2."""
    unreadable = {name: reason for name in settings_class.model_fields if (reason := _from_file(name)[1])}
    try:
        settings = settings_class()
    except ValidationError as error:
        wrong = {str(e["loc"][0]): "is not set" if e["type"] == "missing" else e["msg"] for e in error.errors()}
        fail([*unreadable.values(), *(f"{_variable(name)}: {reason}" for name, reason in wrong.items() if name not in unreadable)])
    if unreadable:
        fail(list(unreadable.values()))
    return settings


def _variable(name: str) -> str:
    return name if name.isupper() else f"{PREFIX}{name.upper()}"


def _from_file(name: str) -> tuple[str | None, str | None]:
    """Value of a setting whose file is named, or why that file can't be read; neither where none is named."""
    variable = f"{_variable(name)}_FILE"
    path = os.environ.get(variable)
    if not path:
        return None, None
    try:
        return Path(path).read_text(encoding="utf-8").rstrip("\r\n"), None
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
        return None, f"{variable}: {path}: {why}"


def fail(problems: list[str]) -> NoReturn:
    """Name the problems for a person and exit with 2."""
    sys.stderr.write("\n".join(["hikyaku: the settings are wrong:", *(f"  {problem}" for problem in problems), ""]))
    raise SystemExit(2)
