"""Where the host's own files lie: by the services' variables, else as `setup` laid them out in the project's folder."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hikyaku.errors import UserError
from hikyaku.setup import dotenv, files
from hikyaku.setup.layout import COMPOSE, Host, find

RETIRED = "retired"
IDENTITIES = "decryptor/identities"


@dataclass(frozen=True, slots=True)
class Places:
    """Paths, None where this machine (or container) has none.

    Attributes:
        identities: the decryptor's keyring.
        retired: where identities go that open nothing any more; no service sees it.
        signers: allowed_signers.
        spool: where decrypted files wait.
        host: the project's folder, when this is where it lies.
        env: what compose's `.env` says.
    """

    identities: Path | None
    retired: Path | None
    signers: Path | None
    spool: Path | None
    host: Host | None
    env: Mapping[str, str]


def look(directory: Path | None, environment: Mapping[str, str]) -> Places:
    """Find them.

    Args:
        directory: the project's folder; the working directory when None.
        environment: the process's.

    Raises:
        UserError: `directory` was named and holds no docker-compose.yml.
    """
    host = _host(directory, environment)
    env = dotenv.parse((files.read(host.env) or b"").decode(errors="replace")) if host else {}
    secrets = Path(str(host.secrets)) if host else None
    told = _told("HIKYAKU_IDENTITIES_DIR", environment)
    identities = told or (secrets / IDENTITIES if secrets else None)
    return Places(
        identities=identities,
        retired=_retired(told, secrets),
        signers=_told("HIKYAKU_ALLOWED_SIGNERS", environment) or (Path(str(host.config)) / "allowed_signers" if host else None),
        spool=_told("HIKYAKU_SPOOL_DIR", environment),
        host=host,
        env=env,
    )


def _retired(told: Path | None, secrets: Path | None) -> Path | None:
    # Not within the decryptor's own folder: it should not be able to read them.
    if told:
        return told.absolute().parent / RETIRED
    return secrets / RETIRED if secrets else None


def _host(directory: Path | None, environment: Mapping[str, str]) -> Host | None:
    if directory is None and not (Path.cwd() / COMPOSE).is_file():
        return None
    try:
        return find(directory, None, None, environment)
    except UserError:
        if directory is not None:
            raise
        return None


def _told(name: str, environment: Mapping[str, str]) -> Path | None:
    return Path(value) if (value := environment.get(name)) else None
