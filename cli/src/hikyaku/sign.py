"""Signs with `ssh-keygen -Y sign`, so that agents and their hardware keys work as they do everywhere else."""

import getpass
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from hikyaku.errors import UserError

NAMESPACE = "hikyaku"
"""Of the signature: one made for git or for a login is none of ours."""
ARMOR = "-----"
PATIENCE_S = 300
"""For a passphrase to be typed, or a hardware key to be touched."""


def sign(manifest: bytes, key: Path) -> str:
    """Sign these bytes.

    Args:
        manifest: what is signed.
        key: private key, or the public key of one that an agent holds.

    Returns:
        The SSHSIG blob as base64 on one line.

    Raises:
        UserError: there is no signature.
    """
    program = shutil.which("ssh-keygen")
    if program is None:
        raise UserError("ssh-keygen is not here, which signs.", hint="Install OpenSSH's client (Debian: openssh-client).")
    # In a file: while a terminal is there, ssh-keygen asks for a passphrase on stdin.
    with tempfile.TemporaryDirectory() as folder:
        unsigned = Path(folder) / "manifest"
        unsigned.write_bytes(manifest)
        _run([program, "-q", "-Y", "sign", "-n", NAMESPACE, "-f", str(key), str(unsigned)], key)
        return _bare(unsigned.with_name("manifest.sig").read_text(encoding="ascii"))


def _run(arguments: list[str], key: Path) -> None:
    asks = sys.stdin is not None and sys.stdin.isatty()
    # Without a terminal it must not wait for one that nobody sits at.
    environment = dict(os.environ) if asks else {**os.environ, "SSH_ASKPASS_REQUIRE": "never"}
    try:
        subprocess.run(  # noqa: S603 - a list of arguments, no shell
            arguments,
            check=True,
            stdin=None if asks else subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            timeout=PATIENCE_S,
            env=environment,
            start_new_session=not asks,
        )
    except subprocess.TimeoutExpired:
        raise UserError(
            f"ssh-keygen did not sign with {key} within {PATIENCE_S} s.", hint="Is a hardware key waiting for a touch?"
        ) from None
    except subprocess.CalledProcessError as error:
        raise _refused(error.stderr, key, asks=asks) from None


def _refused(said: str, key: Path, *, asks: bool) -> UserError:
    if "passphrase" in said and not asks:
        hint = "Load it into an agent first: ssh-add KEY, then --sign KEY.pub."
        return UserError(f"{key} has a passphrase, and there is no terminal to ask for it.", hint=hint)
    reason = " ".join(said.split())[:300] or "it does not say why"
    return UserError(
        f"ssh-keygen did not sign with {key}: {reason}", hint="Give --sign your own private key: ssh-keygen -t ed25519 makes one."
    )


def _bare(armored: str) -> str:
    """The blob without its armor (OpenSSH, PROTOCOL.sshsig)."""
    return "".join(line for line in armored.splitlines() if not line.startswith(ARMOR))


def default_sender(key: Path | None) -> str:
    """The name in the key's comment, where `ssh-keygen -C acme@example.com` puts it; else the user's, as ssh-keygen would call him."""
    public = None if key is None else key if key.suffix == ".pub" else key.with_name(f"{key.name}.pub")
    if public is not None and public.is_file():
        words = public.read_text(encoding="utf-8", errors="replace").split(maxsplit=2)
        comment = words[2].strip() if len(words) > 2 else ""  # noqa: PLR2004 - type, key, comment
        if comment and comment.isprintable() and " " not in comment:
            return comment
    return f"{_user()}@{socket.gethostname()}"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A number without a name, as containers have it; KeyError until Python 3.12.
        return str(os.getuid())
