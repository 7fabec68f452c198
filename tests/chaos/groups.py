"""What must come of files in parts: all are loaded together, or none is."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from chaos.entry import Entry, rows
from chaos.files import Damage, File
from chaos.sender import Sent

Ledger = Mapping[tuple[str, str], Entry]


def apart(sent: Sequence[Sent], ledger: Ledger) -> Iterator[tuple[Sent, str]]:
    """Good groups that are not loaded as a whole: the first part, and what is wrong. The one that came last tells of all rows."""
    groups: dict[str, list[Sent]] = defaultdict(list)
    for each in sent:
        if each.file.group:
            groups[each.file.group].append(each)
    for name, parts in groups.items():
        if not any(each.file.damage for each in parts):
            entries = [ledger.get((each.file.key, each.version_id)) for each in parts]
            told, total = [entry and (entry.status, entry.rows_loaded) for entry in entries], sum(len(rows(each.file)) for each in parts)
            if sorted(told, key=str) != sorted([("loaded", None)] * (parts[0].file.parts - 1) + [("loaded", total)], key=str):
                yield parts[0], f"{name}: of its {parts[0].file.parts} parts with {total} rows the ledger says {told}"


def may_wait(file: File, sent: Sequence[Sent]) -> bool:
    """Whether a part may stay staged: a part of its group crashed, and the storm may have kept even that from being told."""
    crashed = {each.file.group for each in sent if each.file.damage is Damage.CRASHED}
    return file.damage is Damage.GROUP and file.group in crashed
