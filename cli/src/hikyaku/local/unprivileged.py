"""Run a program without root's rights: PostgreSQL refuses to start as root.

An identity is one of
- `self`: as the caller is (an ordinary user);
- `namespace`: in a user namespace in which root's files belong to an ordinary uid, so no path needs another owner or mode
  (user_namespaces(7));
- `<uid>:<gid>`: as that user, for hosts that forbid user namespaces (most containers do).

`python -m hikyaku.local.unprivileged IDENTITY PROGRAM ARGUMENT…` becomes it and replaces itself by the program.
`python -m hikyaku.local.unprivileged IDENTITY --check PATH…` exits 0 when the identity may use all the paths.
"""

import ctypes
import os
import pwd
import subprocess
import sys
from pathlib import Path

SELF = "self"
NAMESPACE = "namespace"
INNER_ID = 65_534
"""Uid inside the namespace. Any but 0 would do; this one has a name (nobody) on every system."""
_CLONE_NEWUSER = 0x1000_0000


def become(identity: str) -> None:
    """Give up root's rights for good.

    Raises:
        OSError: the kernel refuses.
    """
    if identity == NAMESPACE:
        _enter_namespace()
    elif identity != SELF:
        uid, gid = parse(identity)
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)


def parse(identity: str) -> tuple[int, int]:
    """Uid and gid of `<uid>:<gid>`."""
    uid, _, gid = identity.partition(":")
    return int(uid), int(gid)


def _enter_namespace() -> None:
    uid, gid = os.geteuid(), os.getegid()
    library = ctypes.CDLL(None, use_errno=True)
    if library.unshare(_CLONE_NEWUSER) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    # setgroups must be denied before gid_map may be written without CAP_SETGID outside, user_namespaces(7).
    Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
    Path("/proc/self/gid_map").write_text(f"{INNER_ID} {gid} 1", encoding="ascii")
    Path("/proc/self/uid_map").write_text(f"{INNER_ID} {uid} 1", encoding="ascii")


def choose() -> str:
    """The identity for this host and caller: `namespace` before another uid, because it needs no change of owner."""
    if os.geteuid() != 0:
        return SELF
    if _works(NAMESPACE):
        return NAMESPACE
    sudo_uid = int(os.environ.get("SUDO_UID", "0"))
    user = pwd.getpwuid(sudo_uid) if sudo_uid else pwd.getpwnam("nobody")
    return f"{user.pw_uid}:{user.pw_gid}"


def _works(identity: str) -> bool:
    return may_use(identity, Path("/"))


def may_use(identity: str, *paths: Path) -> bool:
    """Whether a process of this identity can reach, read and enter (or execute) every path."""
    command = [sys.executable, "-m", __spec__.name, identity, "--check", *map(str, paths)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0  # noqa: S603 - our own interpreter


def hand_over(identity: str, folder: Path) -> None:
    """Make the identity the owner of a folder and all in it. Nothing to do for `self` and `namespace`."""
    if identity in {SELF, NAMESPACE}:
        return
    uid, gid = parse(identity)
    for path in (folder, *folder.rglob("*")):
        os.chown(path, uid, gid, follow_symlinks=False)


def main(arguments: list[str]) -> int:
    """Become the identity, then check paths or become the program."""
    identity, first, *rest = arguments
    try:
        become(identity)
    except OSError as error:
        sys.stderr.write(f"cannot become {identity}: {error}\n")
        return 1
    if first != "--check":
        os.execv(first, [first, *rest])  # noqa: S606 - replacing this process is the point
    return 0 if all(os.access(path, os.R_OK | os.X_OK) for path in rest) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
