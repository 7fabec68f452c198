"""Settings of every service.

Of these, in this order, the first one that is not empty counts:

1. the environment variable `HIKYAKU_X`;
2. the file that `HIKYAKU_X_FILE` names: it holds the value and nothing else;
3. the line `HIKYAKU_X=value` in the file that `HIKYAKU_SETTINGS` names, if that file is there;
4. the default, where there is one.

A secret is best given as a file (docker compose secrets, systemd credentials): an environment is readable in /proc and in
`docker inspect`. All problems are named at once, and a process with wrong settings exits with 2, as shells and systemd expect.
"""

import os
import socket
import ssl
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, AliasChoices, Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from shared import settings_file

PREFIX = "HIKYAKU_"
SETTINGS_FILE = f"{PREFIX}SETTINGS"
NOT_SET = "is not set"
LONGEST_SILENCE_S = 30
"""For which Redis may be silent, unless a visibility timeout asks for less."""
HINT_FILES = "A missing secret: `docker compose run --rm setup` makes it; without compose, docs/install.md tells what it holds."
HINT_VALUES = "What is not set goes into .env (compose), the environment, or the file that HIKYAKU_SETTINGS names: docs/install.md."


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
    if parts.query:
        # Here libraries take `ssl_cert_reqs=none`.
        raise ValueError("has a query (?…): TLS is rediss:// and HIKYAKU_REDIS_CA, the rest has settings of its own")
    return url


def _certificates(path: Path) -> Path:
    try:
        ssl.create_default_context(cafile=path)
    except ssl.SSLError:
        raise ValueError(f"{path}: holds no PEM certificate") from None
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from None
    return path


class CommonSettings(BaseSettings):
    """What every service reads."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, hide_input_in_errors=True, env_ignore_empty=True)

    redis_url: Annotated[SecretStr, AfterValidator(_redis_url)]
    """redis:// or rediss:// (TLS) URL with this service's own user."""
    redis_ca: Annotated[Path, AfterValidator(_certificates)] | None = None
    """PEM file with the CA of a rediss:// server's certificate. It is trusted besides the system's CAs, for Redis only."""
    instance: str = Field(default_factory=socket.gethostname, pattern=r"^[A-Za-z0-9_.-]{1,64}$")
    """Names this process among others of its kind: in logs, in Flower, and (a poller) in its settle queue's name."""
    log_format: Literal["auto", "json", "console"] = "auto"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    health_file: Path | None = None
    """Touched while the process is alive; `python -m shared.health` tells whether it is fresh."""
    broker_visibility_timeout: int = Field(default=60, ge=10)
    """Seconds after which Redis hands a dead worker's task to another. A live worker renews its own, see `shared.lease`."""
    redis_connect_timeout: int = Field(default=5, ge=1)
    """Seconds until a connection to Redis must stand. The poller's look whether Redis is there takes its answer for late after as many."""
    redis_socket_timeout: int | None = Field(default=None, ge=2)
    """Seconds for which Redis may be silent when it is told something; unless given, what `redis_silence` says."""

    @property
    def redis_silence(self) -> int:
        """`redis_socket_timeout`, or else 30 s, but no more than half the time after which a task goes to another worker."""
        return self.redis_socket_timeout or max(min(LONGEST_SILENCE_S, self.broker_visibility_timeout // 2), 2)

    @field_validator("redis_socket_timeout")
    @classmethod
    def _redis_is_given_up_in_time(cls, silence: int | None, info: ValidationInfo) -> int | None:
        connect, lease = info.data.get("redis_connect_timeout"), info.data.get("broker_visibility_timeout")
        # A value that is wrong is a problem of its own.
        if connect and lease and connect + (silence or 0) > lease:
            raise ValueError(
                f"together with HIKYAKU_REDIS_CONNECT_TIMEOUT ({connect} s) is longer than HIKYAKU_BROKER_VISIBILITY_TIMEOUT ({lease} s): "
                "while a worker waits for Redis, its tasks would go to another"
            )
        return silence

    @field_validator("redis_ca")
    @classmethod
    def _ca_needs_tls(cls, ca: Path | None, info: ValidationInfo) -> Path | None:
        # A wrong URL is a problem of its own.
        if ca and "redis_url" in info.data and urlsplit(info.data["redis_url"].get_secret_value()).scheme == "redis":
            raise ValueError("is of no use with redis://, which is not encrypted: make HIKYAKU_REDIS_URL a rediss:// URL, or leave it out")
        return ca

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the base class's signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - likewise
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The order of this module's first lines."""
        return init_settings, env_settings, SecretFiles(settings_cls), settings_file.source(settings_cls, os.environ.get(SETTINGS_FILE))


class AwsSettings(CommonSettings):
    """What a service reads that talks to AWS; credentials and endpoints by the SDK's own variables."""

    aws_region: str = Field(validation_alias=AliasChoices("AWS_REGION", "AWS_DEFAULT_REGION"), min_length=1)
    """The SDK itself reads only the second of the two."""


class SpoolOnDisk(StrEnum):
    """What to make of a spool that is not in memory."""

    REFUSE = "refuse"
    """The service does not start."""
    ALLOW = "allow"
    """It starts, and says so in its log: for tests and laptops."""


class WorkerSettings(CommonSettings):
    """What the decryptor and the loader read, as Celery workers that share the spool."""

    concurrency: int = Field(default=2, ge=1, le=64)
    """Files worked on at once: processes, since decryption and COPY each keep one core busy."""
    task_time_limit: int = Field(default=4 * 3600, ge=60)
    """Seconds after which a task is killed, whatever it does."""
    task_deadline: int = Field(default=600, ge=1)
    """Seconds after which a task's process is killed, plus a second per 2 MB of its files (the loader: four times that). Best the
    poller's setting of the same name, after which a silent chain is given up."""
    spool_dir: Path
    """Where decrypted files wait for the loader: a tmpfs that only these two services see."""
    spool_on_disk: SpoolOnDisk = SpoolOnDisk.REFUSE
    """Whether the spool may be something else than a tmpfs: then plaintext rests on a disk."""
    datasets: Path
    """datasets.toml. It need not exist: without an entry, a dataset goes to the table of its name."""


S = TypeVar("S", bound=CommonSettings)


def load(settings_class: type[S]) -> S:
    """Read the settings, or name all their problems on stderr and exit with 2."""
    unreadable = {name: reason for name in settings_class.model_fields if (reason := _from_file(name)[1])}
    lines = settings_file.problems(os.environ.get(SETTINGS_FILE), _names(settings_class))
    wrong: dict[str, str] = {}
    try:
        settings = settings_class()
    except ValidationError as error:
        wrong = {str(e["loc"][0]): _reason(e["type"], e["msg"]) for e in error.errors() if str(e["loc"][0]) not in unreadable}
    if problems := [*unreadable.values(), *lines, *(f"{_variable(name)}: {reason}" for name, reason in wrong.items())]:
        hints = {HINT_FILES: unreadable, HINT_VALUES: NOT_SET in wrong.values()}
        fail(problems, [hint for hint, fits in hints.items() if fits])
    return settings


def _reason(kind: str, message: str) -> str:
    return NOT_SET if kind == "missing" else message.removeprefix("Value error, ")


def _names(settings_class: type[CommonSettings]) -> set[str]:
    """Every variable that sets something of this service."""
    aliases = {name: field.validation_alias for name, field in settings_class.model_fields.items()}
    return {
        str(variable)
        for name, alias in aliases.items()
        for variable in (alias.choices if isinstance(alias, AliasChoices) else [_variable(name)])
    }


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
        return None, f"{variable}: {path}: {settings_file.unreadable(error)}"


def fail(problems: Sequence[str], hints: Sequence[str] = ()) -> NoReturn:
    """Name the problems for a person, say what to do, and exit with 2."""
    sys.stderr.write("\n".join(["hikyaku: the settings are wrong:", *(f"  {problem}" for problem in problems), *hints, ""]))
    raise SystemExit(2)
