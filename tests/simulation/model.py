"""What must have come of the files, computed from the policies (docs/architecture.md) and not from the product's code."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

from decryptor import spool
from fakes.line import BUCKET
from shared.contract import AfterLoad
from shared.datasets import Mode
from simulation.files import AFTER_LOAD, DATASETS, File, Kind, Part
from simulation.queue import DLQ
from simulation.world import World

COUNTED = frozenset({"loaded", "duplicate"})
History = list[tuple[File, str]]
Rows = list[tuple[str, str]]


def judge(world: World) -> None:
    """Note every harm."""
    for harm in _harms(world):
        world.harm(harm)


def _harms(world: World) -> Iterator[str]:
    ends = _ends(world)
    yield from _wrong_fates(world.history)
    for file in world.files:
        yield from _lost(file, ends.get(file), world)
    for name, mode in DATASETS.items():
        yield from _wrong_table(name, mode, world)
    yield from _false_dead_letters(world, ends)
    yield from _left_in_spool(world)
    for file in world.files:
        yield from _untidy(file, ends.get(file), world)
    yield from _wrong_receipts(world, ends)


def _ends(world: World) -> dict[File, str]:
    """What the ledger says in the end."""
    files = {(file.key, file.version): file for file in world.files}
    return {files[row["key"], row["version_id"]]: row["status"] for row in world.postgres.files.values()}


# Fates


def _wrong_fates(history: History) -> Iterator[str]:
    for number, (file, status) in enumerate(history):
        possible = fates(file, history[:number])
        if status not in possible:
            yield f"{file} is {status} instead of {' or '.join(sorted(possible))}"


def fates(file: File, before: History) -> frozenset[str]:
    """What a file may become, after what was committed before."""
    if file.part is not None:
        return frozenset({part_end(file, file.part)} | ({"staged"} if file.kind in {Kind.GOOD, Kind.MALFORMED} else set()))
    if file.dry_run and file.is_good:
        return frozenset({"tested"})
    if not file.is_good:
        # Its fault may come to light before anybody asks whether something newer is there.
        return frozenset({"rejected", "superseded"} if outdone(file, before) and not file.dry_run else {"rejected"})
    if outdone(file, before):
        return frozenset({"superseded"})
    return frozenset({"duplicate"} if is_duplicate(file, before) else {"loaded"})


def part_end(file: File, part: Part) -> str:
    """What a part of a group comes to in the end, in any order of arrival. What is gone says nothing of a group."""
    if file.kind is Kind.MISSING or Kind.CORRUPT in part.kinds:
        return "rejected"
    if Kind.MISSING in part.kinds:
        return "staged"
    return "loaded" if part.is_loaded else "rejected"


def outdone(file: File, before: History) -> bool:
    """Whether something newer was there first. Numbers are in the order of the sequencers, and where it counts of the times."""
    return any(
        other.number > file.number and (other.path == file.path or (file.mode is Mode.REPLACE and other.dataset == file.dataset))
        for other, status in before
        if status in COUNTED
    )


def is_duplicate(file: File, before: History) -> bool:
    """Whether its content is what is there already."""
    loaded = [other for other, status in before if status == "loaded" and other.dataset == file.dataset]
    if file.mode is Mode.REPLACE:
        return bool(loaded) and loaded[-1].rows == file.rows
    same_key = [other for other, status in before if status in COUNTED and other.path == file.path]
    if same_key:
        return same_key[-1].rows == file.rows
    return any(other.rows == file.rows for other in loaded)


# Losses


def _lost_part(file: File, part: Part, end: str | None, world: World) -> Iterator[str]:
    if end != (expected := part_end(file, part)):
        yield f"lost: {file}, part {part.number} of {part.group}, is {end or 'nowhere in the ledger'} instead of {expected}"
    dead = set(world.sqs.bodies(DLQ))
    if file.kind in {Kind.CORRUPT, Kind.MISSING} and file.event not in dead:
        yield f"lost: {file} is {end}, and not in the dead-letter queue"
    group = [other for other in world.files if other.part is not None and other.part.group == part.group]
    if end == "rejected" and not any(other.event in dead for other in group):
        yield f"lost: the group of {file} is rejected, and no part is in the dead-letter queue"


def _lost(file: File, end: str | None, world: World) -> Iterator[str]:
    if file.part is not None:
        yield from _lost_part(file, file.part, end, world)
        return
    newer = any(other.number > file.number and other.path == file.path and other.is_good for other in world.files)
    if file.is_good and end in {None, "failed", "rejected"}:
        yield f"lost: {file} is good, and {end or 'nowhere in the ledger'}"
    if file.is_good and end == "superseded" and not newer and file.mode is not Mode.REPLACE:
        yield f"lost: {file} is the newest, and superseded"
    letters = [body for body in world.sqs.bodies(DLQ) if body == file.event]
    if not file.is_good and end != "superseded" and not letters:
        yield f"lost: {file} is {end}, and not in the dead-letter queue"


# Tables


def _wrong_table(name: str, mode: Mode, world: World) -> Iterator[str]:
    loaded = [file for file, status in world.history if status == "loaded" and file.dataset == name]
    expected, actual = Counter(_folded(loaded, mode)), Counter(world.postgres.tables[f"public.{name}"].rows)
    for row in (expected - actual) + (actual - expected):
        how = "lost" if actual[row] < expected[row] else "doubled" if expected[row] else "wrong order"
        yield f"{how}: {name} has the row {row} {actual[row]} times instead of {expected[row]}"
    good = [file for file in world.files if file.dataset == name and file.is_good and not file.dry_run]
    yield from _newest_missing(good, mode, Counter(actual))


def _folded(loaded: list[File], mode: Mode) -> Rows:
    match mode:
        case Mode.APPEND:
            return [row for file in loaded for row in file.rows]
        case Mode.UPSERT:
            return list({row[0]: row for file in loaded for row in file.rows}.values())
        case Mode.REPLACE:
            return list(loaded[-1].rows) if loaded else []


def _newest_missing(good: list[File], mode: Mode, actual: Counter[tuple[str, str]]) -> Iterator[str]:
    """Whatever the order of arrival: the newest version's rows are there, and in a whole table nothing else is."""
    newest = {file.dataset if mode is Mode.REPLACE else file.path: file for file in sorted(good, key=lambda f: f.number)}
    for file in newest.values():
        for row in file.rows:
            if not actual[row]:
                yield f"wrong order: {file} is the newest, and its row {row} is not there"
        if mode is Mode.REPLACE and len(actual) != len(file.rows):
            yield f"wrong order: {file} is the whole table, and there are other rows"


# What is left


def _untidy(file: File, end: str | None, world: World) -> Iterator[str]:
    """Of what was loaded the object is deleted or tagged, as its dataset wants it; of all else it is as it was."""
    if file.kind is Kind.MISSING or file.key in world.given_up:
        return
    wish = AFTER_LOAD[file.dataset] if end in COUNTED else AfterLoad.KEEP
    version = world.s3.versions.get((BUCKET, file.key, file.version))
    if (version is None) is not (wish is AfterLoad.DELETE):
        yield f"untidy: {file} is {end}, and its object is {'there' if version else 'gone'}"
    elif version and bool(version.tags) is not (wish is AfterLoad.TAG):
        yield f"untidy: {file} is {end}, and its object has the tags {version.tags}"


def _wrong_receipts(world: World, ends: dict[File, str]) -> Iterator[str]:
    """One for each key, of its newest version that has a fate, saying what the ledger says; and no older one was ever put over a newer."""
    last = {}
    for key in {file.key for file in world.files} - world.untold:
        fated = {file: ends[file] for file in world.files if file.key == key and ends.get(file) not in {None, "failed"}}
        told = _receipts(world, key)
        numbers = [int(version.removeprefix("v")) for version, _ in told]
        if numbers != sorted(numbers):
            yield f"older receipt over newer: those of {key} were put in the order {numbers}"
        newest = max(fated, key=lambda file: file.number, default=None)
        last[newest] = told[-1] if told else None
        if last[newest] not in (possible := _possible_receipts(newest, fated)):
            yield f"wrong receipt: of {key} it says {last[newest]} instead of {possible[0]}"
    yield from _untold_groups(world, ends, last)


def _possible_receipts(newest: File | None, fated: Mapping[File, str]) -> list[tuple[str, str] | None]:
    if newest is None:
        return [None]
    # The message of a part is settled before its group has its fate.
    return [(newest.version, status) for status in (fated[newest], *(["staged"] if newest.part else []))]


def _receipts(world: World, key: str) -> list[tuple[str, str]]:
    """Version and status of each that was put."""
    puts = [version.data for name, version in world.s3.versions.items() if name[:2] == (BUCKET, f"receipts/{key}.json")]
    told = [json.loads(data) for data in puts if data is not None]
    return [(each["version_id"], each["status"]) for each in told]


def _untold_groups(world: World, ends: dict[File, str], last: Mapping[File | None, tuple[str, str] | None]) -> Iterator[str]:
    """The receipt of at least one part says how its group ended."""
    groups: dict[str, list[File]] = defaultdict(list)
    for file in world.files:
        if file.part is not None:
            groups[file.part.group].append(file)
    for name, files in groups.items():
        fates, told = {ends.get(file) for file in files}, {status for file in files if (found := last.get(file)) for _, status in [found]}
        if "loaded" in fates and "loaded" not in told and not world.untold & {file.key for file in files}:
            yield f"wrong receipt: {name} is loaded, and its parts' say {sorted(told)}"


def _false_dead_letters(world: World, ends: dict[File, str]) -> Iterator[str]:
    dead = set(world.sqs.bodies(DLQ))
    for file in world.files:
        if file.is_good and file.event in dead:
            yield f"false DLQ: {file} is good, {ends.get(file)}, and in the dead-letter queue"


def _left_in_spool(world: World) -> Iterator[str]:
    """What a killed process or a lost task has left goes by the sweep; without any, there is nothing to sweep."""
    if world.tasks_lost:
        spool.sweep(world.spool, max_age=-1)
    for path in world.spool.iterdir():
        yield f"left in spool: {path.name}"
