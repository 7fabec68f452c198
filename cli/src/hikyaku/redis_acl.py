"""The ACL of the line's Redis, rendered from `redis/users.acl.template`."""

import hashlib
import re
from collections.abc import Mapping

USERS = ("poller", "decryptor", "loader", "flower")
_PLACEHOLDER = re.compile(r"@([A-Z]+)_SHA256@")
_KEY_PERMISSION = re.compile(r"%[RW]{1,2}~")


def render(template: str, passwords: Mapping[str, str], *, redis_6: bool = False) -> str:
    """ACL file: passwords as hashes, no comments.

    Args:
        template: text of `redis/users.acl.template`, for Redis 7.
        passwords: password in clear by user.
        redis_6: for Redis 6.2. Permissions by key and direction came with 7.0; 6.2 knows only keys, so that whoever may read one may
            write it too: https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/

    Raises:
        KeyError: the template names a user without a password.
    """

    def hashed(found: re.Match[str]) -> str:
        return digest(passwords[found[1].lower()])

    lines = [_PLACEHOLDER.sub(hashed, line) for line in template.splitlines() if line and not line.startswith("#")]
    return "".join((_KEY_PERMISSION.sub("~", line) if redis_6 else line) + "\n" for line in lines)


def digest(password: str) -> str:
    """A password as the ACL holds it."""
    return hashlib.sha256(password.encode()).hexdigest()


def opens(acl: str, user: str, password: str) -> bool:
    """Whether the ACL lets the user in by this password."""
    rules = [line.split()[2:] for line in acl.splitlines() if line.split()[:2] == ["user", user]]
    accepted = {f"#{digest(password)}", f">{password}", "nopass"}
    return any(accepted & set(each) for each in rules)
