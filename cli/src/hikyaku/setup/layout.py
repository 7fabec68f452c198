"""What lies where on a host: one folder of secrets for each reader, `config`, `.env`."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hikyaku.errors import UserError
from hikyaku.setup import dotenv
from hikyaku.setup.files import Place, Rights, read

COMPOSE = "docker-compose.yml"
SERVICES = 10_001
"""Uid of hikyaku's own images."""
SERVERS = 999
"""Uid of Redis and PostgreSQL in their images."""
READERS = {
    "poller": "poller",
    "decryptor": "decryptor",
    "decryptor/identities": "decryptor",
    "loader": "loader",
    "migrate": "migrate",
    "flower": "flower",
    "operator": "cli",
    "owner": "whoever creates tables",
    "redis": "redis",
    "postgres": "postgres",
}
"""Who reads a folder of secrets; every folder that there is, in the order in which they are shown."""
LAPTOPS_READERS = {**READERS, "sender": "cli"}
_SERVERS_OWN = {"redis", "postgres"}

SECRETS = Rights(0, 0, mode=0o700, needed=0o700, allowed=0o700, anyones=True)
"""Only the way to the folders in it."""


@dataclass(frozen=True, slots=True)
class Host:
    """Paths of one host.

    Attributes:
        folder: holds docker-compose.yml.
        secrets: folder of the secrets.
        config: folder of what is not secret.
        env: compose's `.env`.
    """

    folder: Path
    secrets: Place
    config: Place
    env: Place

    def name(self, place: Place) -> str:
        """A path as people know it: below the project's folder where it is there."""
        path = Path(str(place))
        return str(path.relative_to(self.folder) if path.is_relative_to(self.folder) else path)

    def owner(self) -> tuple[int, int]:
        """Uid and gid of the project's folder, whose files a person edits."""
        found = self.folder.stat()
        return found.st_uid, found.st_gid


def folder_rights(name: str) -> Rights:
    """Of a folder of secrets."""
    uid = SERVERS if name in _SERVERS_OWN else SERVICES
    return Rights(uid, uid, mode=0o700, needed=0o700, allowed=0o700)


def file_rights(folder: str) -> Rights:
    """Of a file in it; one that its owner can't write is right too."""
    uid = SERVERS if folder in _SERVERS_OWN else SERVICES
    return Rights(uid, uid, mode=0o600, needed=0o400, allowed=0o600)


def config_rights(host: Host) -> Rights:
    """Of `config`, which every service reads; its owner and group may be anyone's."""
    return Rights(*host.owner(), mode=0o755, needed=0o555, allowed=0o7775, anyones=True)


def env_rights(host: Host) -> Rights:
    """Of a new `.env`."""
    return Rights(*host.owner(), mode=0o644, needed=0, allowed=0o7777, anyones=True)


def find(directory: Path | None, secrets: Path | None, config: Path | None, environment: Mapping[str, str]) -> Host:
    """Find the folders: by option, by environment, by `.env`, by default, as compose does.

    Raises:
        UserError: there is no docker-compose.yml.
    """
    folder = (directory or Path.cwd()).resolve()
    if not (folder / COMPOSE).is_file():
        raise UserError(f"{folder} holds no {COMPOSE}.", hint="Run this in the project's folder, or name it with --dir.", exit_code=2)
    env = Place(folder, (".env",))
    values = {**dotenv.parse((read(env) or b"").decode(errors="replace")), **environment}
    return Host(
        folder,
        secrets=_place(secrets, folder / (values.get("HIKYAKU_SECRETS") or "secrets")),
        config=_place(config, folder / (values.get("HIKYAKU_CONFIG") or "config")),
        env=env,
    )


def _place(told: Path | None, otherwise: Path) -> Place:
    path = Path(os.path.normpath((told or otherwise).absolute()))
    return Place(path.parent.resolve(), (path.name,))
