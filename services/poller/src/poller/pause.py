"""The operator's pause: while the file is there, nothing new is received. It holds over restarts, and needs neither Redis nor AWS."""

import json
import threading
from dataclasses import dataclass
from pathlib import Path

from shared.followed_file import FollowedFile
from shared.logging import get_logger


@dataclass(frozen=True, slots=True)
class Paused:
    """What the file says; each is "" where it says nothing of it."""

    who: str = ""
    when: str = ""
    why: str = ""


class PauseFile(FollowedFile[Paused | None]):
    """The file that `hikyaku pause` makes and `hikyaku resume` removes.

    Args:
        path: None: nobody pauses this poller.
    """

    def __init__(self, path: Path | None) -> None:
        super().__init__(path, "pause", read, None, lambda paused: [paused] if paused else [])
        self._lock = threading.Lock()
        """The receiver asks and the keeper."""
        if paused := self.current():
            self._tell(paused)

    def current(self) -> Paused | None:
        """What holds now."""
        with self._lock:
            return super().current()

    def is_on(self) -> bool:
        """Whether nothing new may be received."""
        return self.current() is not None

    def status(self) -> str:
        """One line for a person, empty when nothing is paused."""
        paused = self.current()
        if paused is None:
            return ""
        return f"paused by {paused.who or 'somebody'} since {paused.when or 'some time'}" + (f": {paused.why}" if paused.why else "")

    def _tell(self, content: Paused | None) -> None:
        if content:
            get_logger().warning("paused", action="pause", who=content.who, when=content.when, why=content.why)
        else:
            get_logger().info("resumed", action="pause")


def read(path: Path) -> Paused | None:
    """What the file says. One that can't be understood or read pauses too: somebody put it there."""
    try:
        said = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        return Paused(why=f"{path} can't be read: {error.strerror}")
    except ValueError:
        said = None
    told = said if isinstance(said, dict) else {}
    return Paused(*(_line(told.get(name)) for name in ("who", "when", "why")))


def _line(value: object) -> str:
    text = value if isinstance(value, str) else ""
    return "".join(c if c.isprintable() else "�" for c in text)[:500]
