"""Numbers a sender's files of each dataset: 1, 2, 3, … The counts lie in one small file of this user, on this machine.

A number is taken before its file is sent, and never given twice: of an upload whose answer was lost nobody knows whether it arrived.
So a gap at the receiver means that a file was lost or held back, or that a send failed, which the sender was told.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from hikyaku.errors import UserError

LARGEST = 2**63 - 1


def state_file() -> Path:
    """Where the counts lie: below XDG_STATE_HOME, or ~/.local/state (XDG Base Directory Specification)."""
    told = os.environ.get("XDG_STATE_HOME", "")
    # The specification says to ignore one that is relative.
    home = Path(told) if told.startswith("/") else Path("~/.local/state").expanduser()
    return home / "hikyaku" / "sequences.json"


def stream(sender: str, bucket: str, key: str) -> str:
    """What is counted by itself: one sender's files of one dataset."""
    folders = key.removeprefix("incoming/").split("/")[:-1]
    return f"{sender} s3://{bucket}/incoming/{'/'.join(folders[: 2 if folders[:1] == ['test'] else 1])}"


@dataclass(slots=True)
class Sequence:
    """The numbers of one command.

    Attributes:
        path: the file of counts.
        told: the first file's number, as a person gave it; counting goes on from there.
        keep: whether the number is used up; not so when nothing is sent.
    """

    path: Path = field(default_factory=state_file)
    told: int | None = None
    keep: bool = True

    def take(self, sender: str, bucket: str, key: str) -> int:
        """The next number for a file. Written to the disk before it is given, so that no other command and no crash gives it again.

        Raises:
            UserError: the counts can't be kept.
        """
        name = stream(sender, bucket, key)
        try:
            with _locked(self.path):
                counts = _read(self.path)
                number = counts.get(name, 0) + 1 if self.told is None else self.told
                if number > LARGEST:
                    raise UserError(f"--seq {number} is too large", exit_code=2)
                if self.keep:
                    _write(self.path, {**counts, name: max(number, counts.get(name, 0))})
        except OSError as error:
            raise UserError(f"{self.path}: {error.strerror}: files can't be numbered.", hint="Point XDG_STATE_HOME elsewhere.") from None
        if self.told is not None:
            self.told = number + 1
        return number


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _read(path: Path) -> dict[str, int]:
    try:
        counts = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError:
        counts = None
    if not isinstance(counts, dict) or not all(type(count) is int and 0 <= count <= LARGEST for count in counts.values()):
        raise UserError(f"{path} holds no counts.", hint="Remove it, and give the next number with --seq, which counting goes on from.")
    return counts


def _write(path: Path, counts: dict[str, int]) -> None:
    new = path.with_suffix(".new")
    with new.open("w", encoding="utf-8") as file:
        json.dump(counts, file, ensure_ascii=False, indent=2)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
