"""The senders that are known: lines of an OpenSSH allowed_signers file (ssh-keygen(1), ALLOWED SIGNERS), read again when it changes."""

import base64
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path

from sshsig.allowed_signers import AllowedSigner

from decryptor import signature
from shared.errors import ErrorCode, Rejected
from shared.followed_file import BrokenFileError, FollowedFile
from shared.logging import get_logger
from shared.manifest import NAMESPACE

TIMES = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
"""By their length, as ssh-keygen takes them."""
_TIME = re.compile(r"([0-9]+)(Z|UTC)?", re.IGNORECASE)


class SignersError(BrokenFileError):
    """The file can't be used.

    Attributes:
        problems: all that is wrong, with the lines; never the lines' text.
    """

    problems: tuple[str, ...]

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems))


@dataclass(frozen=True, slots=True)
class Signer:
    """One line."""

    principals: str
    """Patterns between commas, `!` before those that are not meant."""
    namespaces: str
    after: datetime | None
    before: datetime | None
    key: bytes

    def is_valid(self, at: datetime) -> bool:
        """Whether the line holds at this time."""
        return (self.after is None or self.after <= at) and (self.before is None or at <= self.before)


def matches(name: str, patterns: str) -> bool:
    """Whether a name is one of a list of patterns as OpenSSH understands it (ssh_config(5), PATTERNS)."""
    found = False
    for pattern in patterns.split(","):
        # Brackets mean themselves to OpenSSH.
        if fnmatchcase(name, pattern.removeprefix("!").replace("[", "[[]")):
            if pattern.startswith("!"):
                return False
            found = True
    return found


class AllowedSigners(FollowedFile[tuple[Signer, ...]]):
    """The lines as the file says now.

    Args:
        path: of the file; None, or a file that is not there, knows nobody.

    Raises:
        SignersError: it can't be understood. At start there is no last good one to go on with.
    """

    def __init__(self, path: Path | None) -> None:
        super().__init__(path, "signers", _usable, (), lambda signers: signers)


def _usable(path: Path) -> tuple[Signer, ...]:
    signers, unusable = read_file(path)
    for problem in unusable:
        get_logger().error("signer_unusable", action="signers", path=str(path), problem=problem)
    return signers


def vouched(signers: Iterable[Signer], key: bytes, sender: str, at: datetime) -> None:
    """Whether some line lets this key speak for this sender at this time.

    Raises:
        Rejected: `signer_unknown`, `signer_not_allowed` or `signer_expired`.
    """
    theirs = [signer for signer in signers if signer.key == key and matches(sender, signer.principals)]
    if not theirs:
        raise Rejected(ErrorCode.SIGNER_UNKNOWN, f"allowed_signers gives the key {signature.fingerprint(key)} to others than {sender}")
    ours = [signer for signer in theirs if matches(NAMESPACE, signer.namespaces)]
    if not ours:
        raise Rejected(ErrorCode.SIGNER_NOT_ALLOWED, f"allowed_signers lets {sender} sign in other namespaces than {NAMESPACE}")
    if not any(signer.is_valid(at) for signer in ours):
        message = f"valid-after or valid-before in allowed_signers: {sender}'s key did not hold when S3 took the file, {at.isoformat()}"
        raise Rejected(ErrorCode.SIGNER_EXPIRED, message)


def read_file(path: Path) -> tuple[tuple[Signer, ...], tuple[str, ...]]:
    """Parse an allowed_signers file.

    Returns:
        Its lines, and what is wrong with those that OpenSSH takes and we do not: authorities, other kinds of keys. They are left out.

    Raises:
        SignersError: it can't be read, or OpenSSH would not take it either.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise SignersError([error.strerror or "can't be read"]) from None
    except UnicodeDecodeError:
        raise SignersError(["this is no UTF-8"]) from None
    signers, unusable, problems = [], [], []
    for number, line in enumerate(map(str.strip, lines), start=1):
        if not line or line.startswith("#"):
            continue
        try:
            signers.append(_signer(line))
        except signature.UnsupportedKeyError as error:
            unusable.append(f"line {number}: {error}")
        except (ValueError, IndexError) as error:
            problems.append(f"line {number}: {_reason(error)}")
    if problems:
        raise SignersError(problems)
    return tuple(signers), tuple(unusable)


class _LineError(ValueError):
    """Its own words are fit to be shown: the library's quote the line."""


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, _LineError) else "is not PRINCIPALS [OPTIONS] KEYTYPE KEY, as ssh-keygen(1) tells"


def _signer(line: str) -> Signer:
    said = AllowedSigner.parse(line)
    options = said.options or {}
    if "cert-authority" in options:
        raise signature.UnsupportedKeyError("cert-authority is not supported: give each sender's own key a line")
    key = base64.b64decode(said.base64_key, validate=True)
    if signature.read_key(key) != said.key_type.encode():
        raise _LineError("the key is not of the kind that stands before it")
    after, before = (_time(options[name]) if name in options else None for name in ("valid-after", "valid-before"))
    if after and before and before < after:
        raise _LineError("valid-before is earlier than valid-after")
    return Signer(said.principals, options.get("namespaces", "*"), after, before, key)


def _time(text: str) -> datetime:
    """`YYYYMMDD[HHMM[SS]]`, of the system's time zone unless a Z follows."""
    found = _TIME.fullmatch(text)
    if found is None or len(found[1]) not in TIMES:
        raise _LineError("a time is YYYYMMDD, YYYYMMDDHHMM or YYYYMMDDHHMMSS, with a Z for UTC")
    try:
        plain = datetime.strptime(found[1], TIMES[len(found[1])])  # noqa: DTZ007 - the zone is told apart
        return plain.replace(tzinfo=UTC) if found[2] else plain.astimezone()
    except (ValueError, OverflowError):
        raise _LineError("there is no such time") from None
