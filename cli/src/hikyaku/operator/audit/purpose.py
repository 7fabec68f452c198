"""What datasets.toml wants done with the objects of files that are loaded: what is removed on purpose is no finding.

The ledger does not say it of a file, and the operator's AWS user may not read the bucket's rules; so the loader's own file is asked.
"""

import tomllib
from collections.abc import Callable
from pathlib import Path

from hikyaku.errors import UserError

DEFAULT = "keep"


def after_load(path: str) -> Callable[[str | None], str]:
    """A dataset's `after_load`: keep, tag or delete.

    Args:
        path: of datasets.toml; "" where nobody said where it is: every dataset keeps its objects then.

    Raises:
        UserError: the file is there and can't be understood. Exit code 2.
    """
    entries, default = _read(Path(path)) if path else ({}, DEFAULT)
    return lambda dataset: entries.get(dataset or "", default)


def _read(path: Path) -> tuple[dict[str, str], str]:
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        # As for the loader: without the file, every dataset has the defaults.
        return {}, DEFAULT
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"{path} can't be read: {error}", hint="See `hikyaku datasets check`.", exit_code=2) from None
    default = str(found.get("defaults", {}).get("after_load", DEFAULT))
    return {name: str(entry.get("after_load", default)) for name, entry in found.get("datasets", {}).items()}, default
