"""Where the local stack keeps things: every path in one place."""

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path

from hikyaku.errors import UserError

WORKSPACE = "hikyaku-workspace"
DIRECTORY = ".local"


@dataclass(frozen=True)
class Layout:
    """Paths of one stack.

    Attributes:
        root: the checkout, for what the repository ships (aws/, localstack/, redis/).
        directory: this stack's own folder; nothing outside it (and `tools`) is written.
        tools: programs installed once and shared by all stacks of the checkout.
    """

    root: Path
    directory: Path
    tools: Path

    @property
    def secrets(self) -> Path:
        """Passwords, URLs that hold one, and the age identities; 0700, its files 0600."""
        return self.directory / "secrets"

    @property
    def identities(self) -> Path:
        """The decryptor's keyring."""
        return self.secrets / "identities"

    @property
    def logs(self) -> Path:
        """One log a service, rotated."""
        return self.directory / "logs"

    @property
    def run(self) -> Path:
        """What describes the running stack: supervisor's configuration, how each program starts, health files."""
        return self.directory / "run"

    @property
    def pause(self) -> Path:
        """While it is there, the poller receives nothing."""
        return self.directory / "pause.json"

    @property
    def spool(self) -> Path:
        """Decrypted files on their way to the loader, 0700."""
        return self.directory / "spool"

    @property
    def postgres(self) -> Path:
        """Owned by whoever runs PostgreSQL."""
        return self.directory / "postgres"

    @property
    def redis(self) -> Path:
        """Append-only file, configuration and ACL of Redis."""
        return self.directory / "redis"

    @property
    def localstack(self) -> Path:
        """LocalStack's files, and what deploying the CloudFormation template gave."""
        return self.directory / "localstack"

    @property
    def state(self) -> Path:
        """Ports and other choices made once."""
        return self.directory / "state.json"

    @property
    def datasets(self) -> Path:
        """The stack's datasets.toml."""
        return self.directory / "datasets.toml"

    @property
    def allowed_signers(self) -> Path:
        """The senders' public keys; there is none until a person puts one there."""
        return self.directory / "allowed_signers"

    @property
    def openpgp_senders(self) -> Path:
        """The folder of the senders' OpenPGP keys; there is none until a person makes it."""
        return self.directory / "openpgp_senders"

    @property
    def receipt_key(self) -> Path:
        """The decryptor's, which signs receipts."""
        return self.secrets / "receipt_key"

    @property
    def receipt_signers(self) -> Path:
        """Its public half, as a line of allowed_signers."""
        return self.directory / "receipt_signers"

    @property
    def endpoints(self) -> Path:
        """The contract with tests and tools."""
        return self.directory / "endpoints.env"

    def log(self, name: str) -> Path:
        """Log of one service."""
        return self.logs / f"{name}.log"

    def secret(self, *names: str) -> Path:
        """Path of one secret."""
        return self.secrets.joinpath(*names)


def locate(directory: Path | None = None) -> Layout:
    """Find the checkout and the stack's folder.

    Args:
        directory: the stack's folder; HIKYAKU_LOCAL_DIR or `.local` in the checkout when None.

    Raises:
        UserError: neither the working directory nor the installed package lies in a checkout.
    """
    root = find_root(Path.cwd(), Path(__file__))
    told = directory or (Path(value) if (value := os.environ.get("HIKYAKU_LOCAL_DIR")) else None)
    tools = os.environ.get("HIKYAKU_LOCAL_TOOLS")
    return Layout(
        root=root,
        directory=(told or root / DIRECTORY).expanduser().absolute(),
        tools=Path(tools).expanduser().absolute() if tools else root / DIRECTORY / "tools",
    )


def find_root(*starts: Path) -> Path:
    """First folder at or above one of `starts` that is a checkout of this workspace.

    Raises:
        UserError: there is none.
    """
    for start in starts:
        for folder in (start, *start.parents):
            if _is_workspace(folder / "pyproject.toml"):
                return folder
    raise UserError("No checkout of hikyaku here or above.", hint="Run this in the folder that holds docker-compose.yml.", exit_code=2)


def _is_workspace(pyproject: Path) -> bool:
    try:
        project = tomllib.loads(pyproject.read_text(encoding="utf-8")).get("project", {})
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError):
        return False
    return bool(project.get("name") == WORKSPACE)
