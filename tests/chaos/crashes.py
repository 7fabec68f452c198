"""Files that lost three worker processes in a row: the product tries them no more, and can't know that it was the storm's doing."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from chaos.files import Damage
from chaos.model import Entry
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
    """The same files, as the judge shall see them: what lost three processes is to be in the dead-letter queue, and in no table."""
    return [replace(s, file=replace(s.file, damage=Damage.CRASHED)) if s.file.number in crashed else s for s in sent]
