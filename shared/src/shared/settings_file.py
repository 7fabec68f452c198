"""The file of settings that `HIKYAKU_SETTINGS` names: one KEY=VALUE a line, `#` begins a comment. It may be absent.

It belongs to one service, so a name that this service does not know is a typing error, and is told.
"""

import logging
import re
from pathlib import Path

from pydantic_settings import BaseSettings, DotEnvSettingsSource

_LINE = re.compile(r"\s*(?:export\s+)?(\w+)\s*=\s*(.*)")
_QUOTED = re.compile(r"""(['"])(?:\\.|(?!\1)[^\\])*\1\s*(?:#.*)?""")


def source(settings_class: type[BaseSettings], path: str | None) -> DotEnvSettingsSource:
    """The values of the file; none where it is absent or can't be read, which `problems` tells."""
    # It warns of lines that `problems` names.
    logging.getLogger("dotenv.main").setLevel(logging.ERROR)
    readable = path if path and _read(path)[1] is None else None
    return DotEnvSettingsSource(settings_class, env_file=readable, env_file_encoding="utf-8", dotenv_filtering="only_existing")


def problems(path: str | None, known: set[str]) -> list[str]:
    """What is wrong with the file as such, a line each and never with a value.

    Args:
        path: what `HIKYAKU_SETTINGS` says.
        known: names of this service's settings.
    """
    if not path:
        return []
    text, unreadable = _read(path)
    if unreadable:
        return [f"HIKYAKU_SETTINGS: {path}: {unreadable}"]
    lines = enumerate(text.splitlines(), start=1)
    return [f"{path}, line {number}: {problem}" for number, line in lines if (problem := _problem(line, known))]


def _problem(line: str, known: set[str]) -> str | None:
    if not line.strip() or line.lstrip().startswith("#"):
        return None
    found = _LINE.fullmatch(line)
    if found is None:
        return "is not KEY=VALUE"
    if found[1].upper() not in known:
        return f"{found[1]} is no setting of this service"
    if found[2][:1] in {"'", '"'} and not _QUOTED.fullmatch(found[2]):
        return f"{found[1]} has a quote that does not close at the line's end"
    return None


def _read(path: str) -> tuple[str, str | None]:
    """Text of the file and, if there is one that can't be read, why."""
    try:
        return Path(path).read_text(encoding="utf-8-sig"), None
    except FileNotFoundError:
        return "", None
    except (OSError, UnicodeDecodeError) as error:
        return "", unreadable(error)


def unreadable(error: OSError | UnicodeDecodeError) -> str:
    """Why a file can't be read, in words."""
    return "is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else error.strerror or type(error).__name__
