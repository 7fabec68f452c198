"""How an object key tells its dataset and whether it is a dry run."""

from dataclasses import dataclass

from shared.errors import ErrorCode, Rejected

INCOMING = "incoming/"
SUFFIXES = (".csv.gz.age", ".csv.gz.gpg")
DRY_RUN = "test"


@dataclass(frozen=True, slots=True)
class Route:
    """Where a key leads."""

    dataset: str
    dry_run: bool


def is_ours(key: str) -> bool:
    """Whether the line carries such a key at all; the EventBridge rule filters by the same prefix and suffixes."""
    return key.startswith(INCOMING) and key.endswith(SUFFIXES)


def plain(key: str) -> str:
    """The key as it would be if it were no dry run's."""
    return key.replace(f"{INCOMING}{DRY_RUN}/", INCOMING, 1) if key.startswith(f"{INCOMING}{DRY_RUN}/") else key


def route(key: str) -> Route:
    """Dataset of `incoming/<dataset>/<name>` or, as a dry run, of `incoming/test/<dataset>/<name>`.

    Raises:
        Rejected: `dataset_invalid`, the key names no dataset.
    """
    first, *rest = key.removeprefix(INCOMING).split("/")
    dry_run = first == DRY_RUN
    folders = rest if dry_run else [first, *rest]
    dataset = folders[0] if len(folders) > 1 else ""
    if not is_ours(key) or not dataset:
        raise Rejected(ErrorCode.DATASET_INVALID, "the key names no dataset: put files under incoming/<dataset>/")
    return Route(dataset=dataset, dry_run=dry_run)
