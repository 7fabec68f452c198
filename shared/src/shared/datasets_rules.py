"""Which options of one dataset don't go together. Nothing here needs a file or a database."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared import datasets_match, keys
from shared.datasets_problems import did_you_mean
from shared.datasets_values import ORDERS

if TYPE_CHECKING:
    from shared.datasets import Entry, Options

WILDCARDS = "*?[{"
"""Of fnmatch, and the beginning of a capture."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """Options that don't go together."""

    options: tuple[str, ...]
    """All that take part; the first is the one to change, most likely."""
    what: str


class ConflictsError(ValueError):
    """What a model's validator raises."""

    def __init__(self, conflicts: Iterable[Conflict]) -> None:
        self.conflicts = tuple(conflicts)
        super().__init__("; ".join(conflict.what for conflict in self.conflicts))


def of_defaults(options: "Options") -> Iterator[Conflict]:
    """What is wrong in `[defaults]`."""
    yield from _of_both(options)
    yield from _order(options, "")


def _of_both(options: "Options") -> Iterator[Conflict]:
    yield from _characters(options)
    yield from _rejects(options)
    if options.mode != "upsert":
        for name in ("newer_by", "delete_when"):
            if getattr(options, name):
                yield Conflict((name, "mode"), f'{name} needs mode = "upsert": only there a row meets an earlier one')
    if options.signature == "off" and options.senders != ("*",):
        what = 'senders needs signature = "required" (or "if_present"), since only a signature tells who sent; or say senders = "*"'
        yield Conflict(("senders", "signature"), what)
    ours = {name: column for name in ("file_column", "line_column") if (column := getattr(options, name))}
    if options.on_extra_column == "rescue":
        ours["rescue_column"] = options.rescue_column
    for name, column in ours.items():
        if other := next((other for other in ours if other < name and ours[other] == column), None):
            yield Conflict((name, other), f'{name} and {other} are both "{column}": each needs a column of its own')


def of_entry(entry: "Entry") -> Iterator[Conflict]:
    """What is wrong in an entry."""
    yield from _of_both(entry)
    yield from _glob(entry.match)
    yield from (Conflict(("match",), what) for what in datasets_match.mistakes(entry.match or ""))
    yield from _order(entry, entry.match or "")
    yield from _twice("key", entry.key)
    yield from _twice("columns", entry.columns)
    if entry.header == "none" and not entry.columns:
        yield Conflict(("header", "columns"), 'header = "none" needs columns = [...], which names the columns of the file in order')
    if entry.header == "by_name" and entry.columns:
        what = 'columns = [...] needs header = "none" or "match": with "by_name" the file itself names its columns'
        yield Conflict(("columns", "header"), what)
    yield from _names(entry)


def _characters(options: "Options") -> Iterator[Conflict]:
    for name in ("quote", "escape"):
        if options.delimiter == getattr(options, name):
            yield Conflict(("delimiter", name), f"delimiter and {name} are the same character")
    for name in ("delimiter", "quote"):
        if any(getattr(options, name) in null for null in options.null):
            yield Conflict(("null", name), f"null must not hold the {name}")


def _rejects(options: "Options") -> Iterator[Conflict]:
    if options.rejects != "return":
        return
    if not options.rejects_recipient:
        yield Conflict(
            ("rejects_recipient", "rejects"), 'rejects = "return" needs rejects_recipient: an age public key of the sender, age1…'
        )
    if not options.receipt:
        yield Conflict(("receipt", "rejects"), 'rejects = "return" needs receipt = true: the receipt says where the records are')
    if not options.max_rejected_rows:
        what = 'rejects = "return" needs max_rejected_rows: with 0, one wrong record rejects the file, and none is put aside'
        yield Conflict(("max_rejected_rows", "rejects"), what)


def _glob(match: str | None) -> Iterator[Conflict]:
    """A glob that no key can match."""
    if match is None:
        return
    head = match[: next((at for at, sign in enumerate(match) if sign in WILDCARDS), len(match))]
    if not (head.startswith(keys.INCOMING) or keys.INCOMING.startswith(head)) or (head == match and not keys.is_ours(match)):
        yield Conflict(("match",), f"match never does: keys are {keys.INCOMING}…{keys.SUFFIXES[0]} or …{keys.SUFFIXES[1]}")
    elif head.startswith(f"{keys.INCOMING}{keys.DRY_RUN}/"):
        yield Conflict(("match",), f"match never does: a dry run's key is compared without its {keys.DRY_RUN}/; leave that out")


def _order(options: "Options", match: str) -> Iterator[Conflict]:
    names, name = datasets_match.captures(match), options.order_by.strip("{}")
    if options.order_by not in ORDERS and name not in names:
        what = f"match captures no {{{name}}}{did_you_mean(name, (*ORDERS, *names))}"
        yield Conflict(("order_by", "match"), f'order_by is neither "event_time" nor "seq", and {what}')


def _twice(option: str, names: tuple[str, ...]) -> Iterator[Conflict]:
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        yield Conflict((option,), f"{option} names {', '.join(repeated)} twice")


def _names(entry: "Entry") -> Iterator[Conflict]:
    """Names that don't fit one another, as far as they are known without the file."""
    targets = list(entry.rename.values())
    yield from (
        Conflict(("rename",), f'rename gives two columns the name "{name}"') for name in {n for n in targets if targets.count(n) > 1}
    )
    made = {name: column for name in ("file_column", "line_column") if (column := getattr(entry, name))}
    for name, column in made.items():
        if column in entry.key:
            yield Conflict(("key", name), f'key names "{column}", whose value comes from {name}: it is another one in every file')
        if column in entry.columns or column in targets:
            option = "columns" if column in entry.columns else "rename"
            yield Conflict((name, option), f'{name} is "{column}", which is a column of the file as well')
    if entry.columns:
        yield from _in_columns(entry)


def _in_columns(entry: "Entry") -> Iterator[Conflict]:
    if lost := [name for name in entry.rename if name not in entry.columns]:
        yield Conflict(("rename", "columns"), f"rename speaks of {', '.join(lost)}, which columns lacks")
    names = [entry.rename.get(name, name) for name in entry.columns]
    if clashes := sorted({name for name in entry.rename.values() if names.count(name) > 1} - _repeated(entry)):
        yield Conflict(("rename", "columns"), f"after rename two columns have the name {', '.join(clashes)}")
    known = {*names, *entry.columns}
    if entry.mode != "append" and (lost := [name for name in entry.key if name not in names]):
        yield Conflict(("key", "columns"), f"key names {', '.join(lost)}, which columns lacks")
    asked = {"newer_by": [entry.newer_by], "watermark": [entry.watermark], "delete_when": list(entry.delete_when)}
    for option, columns in asked.items():
        if lost := [name for name in columns if name and name not in known]:
            yield Conflict((option, "columns"), f"{option} names {', '.join(lost)}, which columns lacks")


def _repeated(entry: "Entry") -> set[str]:
    """Targets that rename itself gives twice: told already."""
    targets = list(entry.rename.values())
    return {name for name in targets if targets.count(name) > 1}
