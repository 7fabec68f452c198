"""The demo's entries in a stack's datasets.toml."""

import tomllib
from pathlib import Path
from typing import Any

from hikyaku.errors import UserError


def ensure_datasets(path: Path, ours: Path) -> None:
    """Add the entries that datasets.toml lacks; it is left alone when it says the same already, in whatever words.

    Args:
        path: the stack's datasets.toml.
        ours: the demo's, its entries parted by blank lines.

    Raises:
        UserError: it says something else of our datasets, or lacks them and can't be written.
    """
    text = _read(path)
    present = _entries(text, path)
    lacking = []
    for block in ours.read_text(encoding="utf-8").split("\n\n"):
        entries = _entries(block, ours)
        for name in entries.keys() & present.keys():
            if present[name] != entries[name]:
                raise UserError(
                    f"{path} has another [datasets.{name}] than the demo's.", hint=f"Take it out, or make it the one of {ours}."
                )
        if not entries.keys() <= present.keys():
            lacking.append(block.strip())
    if lacking:
        _append(path, "".join(f"\n{block}\n" for block in lacking), ours)


def _entries(text: str, path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = tomllib.loads(text).get("datasets", {})
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path} is no valid TOML: {error}") from None
    return found


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}.") from None


def _append(path: Path, text: str, ours: Path) -> None:
    # Appending, not replacing: a service that reads it in between sees what was there before.
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise UserError(
            f"{path} lacks the demo's datasets and can't be written: {error.strerror}.",
            hint=f"Add what {ours} says. In containers, this file is config/datasets.toml on the host.",
        ) from None
