"""Numbers a sender's files of each dataset: 1, 2, 3, … The counts lie in one small file of this user, on this machine.

A number is taken before its file is sent, and never given twice: of an upload whose answer was lost nobody knows whether it arrived.
So a gap at the receiver means that a file was lost or held back, or that a send failed, which the sender was told.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

from hikyaku import state
from hikyaku.errors import UserError

LARGEST = 2**63 - 1


def state_file() -> Path:
    """Where the counts lie."""
    return state.state_folder() / "sequences.json"


def dataset(bucket: str, key: str) -> str:
    """The folder that decides on a file's table."""
    folders = key.removeprefix("incoming/").split("/")[:-1]
    return f"s3://{bucket}/incoming/{'/'.join(folders[: 2 if folders[:1] == ['test'] else 1])}"


def stream(sender: str, bucket: str, key: str) -> str:
    """What is counted by itself: one sender's files of one dataset."""
    return f"{sender} {dataset(bucket, key)}"


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
            with state.locked(self.path):
                counts = _read(self.path)
                number = counts.get(name, 0) + 1 if self.told is None else self.told
                if number > LARGEST:
                    raise UserError(f"--seq {number} is too large", exit_code=2)
                if self.keep:
                    state.write(self.path, {**counts, name: max(number, counts.get(name, 0))})
        except OSError as error:
            raise UserError(f"{self.path}: {error.strerror}: files can't be numbered.", hint="Point XDG_STATE_HOME elsewhere.") from None
        if self.told is not None:
            self.told = number + 1
        return number


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
