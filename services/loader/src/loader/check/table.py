"""What about the table itself keeps files out, or changes what they say."""

from collections.abc import Iterator
from dataclasses import dataclass

from psycopg import sql

from loader.check.facts import Facts
from loader.relation import Relation
from shared.datasets import Dataset, Mode

ON_DELETE = {"c": "are deleted with them", "n": "lose their reference (SET NULL)", "d": "lose their reference (SET DEFAULT)"}
"""By pg_constraint.confdeltype."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about a table."""

    what: str
    by_mode: bool = False
    """Another mode would not mind."""


def problems(relation: Relation, dataset: Dataset, facts: Facts) -> Iterator[Finding]:
    """Why files would be rejected."""
    role, target = sql.Identifier(relation.role).as_string(), relation.identifier.as_string()
    if not facts.may_use_schema:
        grant = f"GRANT USAGE ON SCHEMA {sql.Identifier(relation.schema).as_string()} TO {role}"
        yield Finding(f"{relation.role} may not use schema {relation.schema}: {grant}")
    if facts.refused:
        refused = ", ".join(facts.refused)
        yield Finding(f"{relation.role} lacks {refused} on {relation}: GRANT {refused} ON {target} TO {role}")
    for sequence in facts.refused_sequences:
        yield Finding(f"{relation.role} may not draw defaults from {sequence}: GRANT USAGE ON SEQUENCE {sequence} TO {role}")
    if not facts.may_stage:
        yield Finding(f"{relation.role} may not make temporary tables: GRANT TEMPORARY ON DATABASE … TO {role}")
    if facts.lacks_partitions:
        yield Finding(f"{relation} has no partition: no row finds a place in it")
    if facts.other_rules and dataset.mode is Mode.UPSERT:
        yield Finding(f"{relation} has rules ({_list(facts.other_rules)}): PostgreSQL can't upsert into it", by_mode=True)
    if facts.row_security and not facts.policies:
        yield Finding(f"{relation} has row-level security and no policy for {relation.role}: every row is refused")


def warnings(relation: Relation, dataset: Dataset, facts: Facts) -> Iterator[Finding]:
    """What may surprise."""
    if facts.unlogged:
        yield Finding(f"{relation} is unlogged: after a crash of PostgreSQL it is empty, while the ledger says loaded")
    if facts.is_partition:
        yield Finding(f"{relation} is a partition: rows beyond its bounds reject the file")
    if facts.before_triggers:
        yield Finding(f"triggers may change or drop rows before they are stored ({_list(facts.before_triggers)})")
    if facts.other_triggers:
        yield Finding(f"triggers run for what is loaded ({_list(facts.other_triggers)})")
    if facts.other_rules and dataset.mode is not Mode.UPSERT:
        yield Finding(f"rules do more than what the loader asks for ({_list(facts.other_rules)})")
    if facts.row_security and facts.policies:
        yield Finding(
            f"row-level security applies to {relation.role}: rows that it hides or refuses reject the file ({_list(facts.policies)})"
        )
    if facts.exclusions:
        yield Finding(f"a row that collides with another by an exclusion constraint rejects the file ({_list(facts.exclusions)})")
    if facts.deferrables:
        yield Finding(f"deferrable constraints are looked at when all rows are in: an error names no line ({_list(facts.deferrables)})")
    yield from _deleting(dataset, facts)
    if dataset.mode is Mode.REPLACE:
        yield from _replaced(relation, facts)


def _deleting(dataset: Dataset, facts: Facts) -> Iterator[Finding]:
    if facts.delete_rules and (dataset.mode is Mode.REPLACE or dataset.delete_when):
        yield Finding(f"rules may keep or move the rows that the loader deletes ({_list(facts.delete_rules)})", by_mode=True)


def _replaced(relation: Relation, facts: Facts) -> Iterator[Finding]:
    """`replace` deletes all rows first."""
    if facts.has_children:
        yield Finding(f"tables inherit from {relation}: replace takes away their rows as well", by_mode=True)
    for table, action in facts.referred_by.items():
        fate = ON_DELETE.get(action, "keep it from being replaced: the file is rejected")
        yield Finding(f"{table} refers to {relation}, whose rows replace takes away: rows that refer {fate}", by_mode=True)


def _list(names: list[str]) -> str:
    return ", ".join(names)
