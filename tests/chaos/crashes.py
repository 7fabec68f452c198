"""Files that lost three worker processes in a row: the product tries them no more, and can't know that it was the storm's doing."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from chaos.entry import Entry
from chaos.files import Damage
from chaos.nemesis import KILL, Act
from chaos.sender import Sent

DEATHS = 3
SHARE = 0.01
"""Of all files; beyond it, it was not the storm's doing."""
OF_CHILDREN = tuple(f"{KILL}{what}" for what in ("decryptor's child", "loader's child", "at decryptor", "at loader"))


def killed_thrice(sent: Sequence[Sent], ledger: Mapping[tuple[str, str], Entry], acts: Iterable[Act]) -> frozenset[int]:
    """Numbers of the files that are rejected as `crashed`, and under way while three processes were killed. None if they are too many."""
    deaths = [act.ended for act in acts if act.name.startswith(OF_CHILDREN)]
    found = set()
    for each in sent:
        entry = ledger.get((each.file.key, each.version_id))
        if entry and entry.error_code == Damage.CRASHED and sum(each.announced < death < entry.updated for death in deaths) >= DEATHS:
            found.add(each.file.number)
    return frozenset(found if len(found) <= max(1, SHARE * len(sent)) else ())


def as_damaged(sent: Sequence[Sent], crashed: frozenset[int]) -> list[Sent]:
    """The same files, as the judge shall see them: what lost three processes is to be in the dead-letter queue, and in no table.

    Nor is a group with such a part.
    """
    groups = _groups(sent, crashed)
    damaged = [_with(s, Damage.GROUP) if s.file.group in groups and s.file.damage is None else s for s in sent]
    return [_with(s, Damage.CRASHED) if s.file.number in crashed else s for s in damaged]


def as_redriven(sent: Sequence[Sent], crashed: frozenset[int], ledger: Mapping[tuple[str, str], Entry]) -> list[Sent]:
    """The same once more, with what a redrive can't mend: a group that was rejected stays so, with all its parts."""
    rejected = {s.file.group for s in sent if _code(s, ledger) == Damage.GROUP}
    ended = _groups(sent, crashed) & rejected
    return [_with(s, Damage.GROUP) if s.file.group in ended else s for s in sent]


def _groups(sent: Sequence[Sent], crashed: frozenset[int]) -> set[str]:
    return {s.file.group for s in sent if s.file.group and s.file.number in crashed}


def _code(sent: Sent, ledger: Mapping[tuple[str, str], Entry]) -> str | None:
    entry = ledger.get((sent.file.key, sent.version_id))
    return entry and entry.error_code


def _with(sent: Sent, damage: Damage) -> Sent:
    return replace(sent, file=replace(sent.file, damage=damage))
