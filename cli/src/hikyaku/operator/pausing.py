"""`hikyaku pause` and `hikyaku resume`: a file that the poller follows. It holds over restarts, and with Redis and AWS away."""

import datetime as dt
import json
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hikyaku.errors import UserError
from hikyaku.operator import action, output
from hikyaku.operator.settings import OperatorSettings
from hikyaku.printable import printable

READABLE = 0o644
"""The poller may run as another user: it reads, and there is no secret in it."""


def pause(*, reason: action.Reason = "", dry_run: action.DryRun = False, yes: action.Yes = False) -> None:
    """Stop receiving: nothing new begins, what is under way is finished, the rest waits in SQS. Holds over restarts.

    The poller sees it within seconds; a long poll that is under way may still bring messages, for 20 s at the most.

    Example: hikyaku pause --reason "the database moves tonight"
    """
    settings = OperatorSettings.read("database_url", "pause_file")
    path = Path(settings.pause_file)
    if said := read(path):
        output.note(f"Paused already: {shown(said)}.")
        return
    if not action.is_wanted("Pause the line?", yes=yes, dry_run=dry_run):
        return
    with action.written_down(settings.database_url, "pause", {"file": str(path)}, reason), _told(path):
        now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        _write(path, {"who": action.who(), "host": socket.gethostname(), "when": now, "why": reason})
    output.note("Paused. To go on: hikyaku resume")


def resume(*, reason: action.Reason = "", dry_run: action.DryRun = False, yes: action.Yes = False) -> None:
    """Go on receiving after a pause.

    Example: hikyaku resume --yes
    """
    settings = OperatorSettings.read("database_url", "pause_file")
    path = Path(settings.pause_file)
    said = read(path)
    if said is None:
        output.note("Nothing is paused.")
        return
    output.note(f"Paused {shown(said)}.")
    if not action.is_wanted("Resume?", yes=yes, dry_run=dry_run):
        return
    with action.written_down(settings.database_url, "resume", {"file": str(path), "paused": said}, reason), _told(path):
        path.unlink(missing_ok=True)
    output.note("Resumed.")


def read(path: Path) -> dict[str, Any] | None:
    """What the file says; None when there is none. Whatever it holds, while it is there the line is paused.

    Raises:
        UserError: it can't be read.
    """
    with _told(path):
        try:
            said = json.loads(path.read_text(encoding="utf-8", errors="replace"))
        except FileNotFoundError:
            return None
        except ValueError:
            return {}
    return said if isinstance(said, dict) else {}


def shown(said: dict[str, Any]) -> str:
    """As in `by toki on host since …: why`."""
    host = f" on {said['host']}" if said.get("host") else ""
    why = f": {said['why']}" if said.get("why") else ""
    text = f"by {said.get('who') or 'somebody'}{host} since {said.get('when') or 'some time'}{why}"
    return printable(text)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        hint = "HIKYAKU_PAUSE_FILE names it; the poller must read the same file."
        raise UserError(f"{path}: {error.strerror}", hint=hint) from None


def _write(path: Path, said: dict[str, str]) -> None:
    """At once, so that the poller reads all of it or nothing."""
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, prefix=".pause-", delete=False) as file:
        try:
            json.dump(said, file, ensure_ascii=False)
            file.flush()
            os.fsync(file.fileno())
            os.fchmod(file.fileno(), READABLE)
            os.replace(file.name, path)  # noqa: PTH105 - within one folder, by the name that tempfile gave
        except BaseException:
            os.unlink(file.name)  # noqa: PTH108
            raise
