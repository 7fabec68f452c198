"""Roles against calls: what was found, beside what is designed."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from rich.table import Table


@dataclass(slots=True)
class Matrix:
    """Which of the roles may do which call. A call that nobody may do is in it too."""

    title: str
    roles: tuple[str, ...]
    allowed: dict[str, frozenset[str]] = field(default_factory=dict)

    def note(self, call: str, roles: Collection[str]) -> None:
        self.allowed[call] = frozenset(roles)

    def differences(self, designed: Mapping[str, Collection[str]]) -> Iterator[str]:
        """What is not as designed, a sentence each. A call that the design does not name is nobody's."""
        for call in sorted(self.allowed.keys() | designed.keys()):
            if call not in self.allowed:
                yield f"{self.title}: {call}: designed, but nobody tried it"
                continue
            found, wanted = self.allowed[call], frozenset(designed.get(call, ()))
            for role in sorted(found - wanted):
                yield f"{self.title}: {role} may {call}, against the design"
            for role in sorted(wanted - found):
                yield f"{self.title}: {role} may not {call}, against the design"

    def table(self, designed: Mapping[str, Collection[str]]) -> Table:
        """For people: yes, a dot for denied, and what is against the design in words."""
        table = Table(title=f"{self.title} ({self.count()})", title_justify="left")
        table.add_column("call", overflow="fold")
        for role in self.roles:
            table.add_column(role, justify="center")
        for call, found in self.allowed.items():
            wanted = frozenset(designed.get(call, ()))
            table.add_row(call, *(_cell(role in found, role in wanted) for role in self.roles))
        return table

    def count(self) -> str:
        """How many calls were allowed and denied."""
        allowed = sum(len(roles) for roles in self.allowed.values())
        return f"{allowed} allowed, {len(self.allowed) * len(self.roles) - allowed} denied"


def _cell(found: bool, wanted: bool) -> str:
    if found == wanted:
        return "[green]yes[/]" if found else "[dim]·[/]"
    return "[bold red]YES, not by design[/]" if found else "[bold red]NO, against design[/]"
