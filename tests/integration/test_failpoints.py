"""Every failpoint kills its process once, in one stack: one file for each point flows among the others, and each is loaded exactly once.

The targets have no key and the mode is append, so that a second load would show. The last files are poison, which is another matter:
they kill or stall every process that gets them, and the others flow on.
"""

from dataclasses import dataclass
from pathlib import Path

import pytest
from line import Line, Put, Start, eventually

from shared.failpoint import Point, count_file
from shared.losses import TRIES

VISIBILITY_TIMEOUT_S = 20
DEADLINE_S = 30
RECOVERY_S = VISIBILITY_TIMEOUT_S + 40.0
ROWS = 200
CSV = b"id,item\n" + b"".join(b"%d,item %d\n" % (n, n) for n in range(ROWS))
WELL = 5
FLOWS_WITHIN_S = DEADLINE_S / 2
POISON = {
    "segfaults": "decryptor.downloading(*/segfaults.*)=segfault",
    "outgrows": "decryptor.written(*/outgrows.*)=oom",
    "dies": "loader.copied(*/dies.*)=kill",
}
STALL = "decryptor.written(*/stalls.*)=stop@1"


def crash(point: Point) -> str:
    return f"{point}(*/{point}.*)=kill@1"


@dataclass
class World:
    """The stack and the files that were sent to it, by name; all went at once, but for the one that stalls."""

    line: Line
    counts: Path
    table: str
    files: dict[str, Put]

    def passes(self, term: str) -> int:
        """How often a point was passed."""
        path = count_file(self.counts, term)
        return path.stat().st_size if path.exists() else 0

    def stall(self) -> None:
        """Send the file whose process is stopped, once. Its deadline runs from then on, not from the start of a busy stack."""
        if "stalls" not in self.files:
            self.files["stalls"] = self.line.send(self.table, content("stalls"), "stalls")
        eventually(lambda: self.passes(STALL), what=f"{STALL} is passed")

    def rows(self, name: str) -> list[dict[str, object]]:
        counts = f"SELECT count(*) AS n, count(DISTINCT id) AS d FROM public.{self.table} WHERE item LIKE %s"
        return self.line.sql(counts, f"{name}:%")


@pytest.fixture(scope="module")
def world(start_stack: Start, tmp_path_factory: pytest.TempPathFactory) -> World:
    counts = tmp_path_factory.mktemp("failpoints")
    line = start_stack(
        HIKYAKU_VISIBILITY_TIMEOUT=str(VISIBILITY_TIMEOUT_S),
        HIKYAKU_BROKER_VISIBILITY_TIMEOUT="10",
        HIKYAKU_TASK_DEADLINE=str(DEADLINE_S),
        HIKYAKU_CONCURRENCY="3",
        HIKYAKU_FAILPOINTS=";".join([*map(crash, Point), *POISON.values(), STALL]),
        HIKYAKU_FAILPOINTS_DIR=str(counts),
    )
    table = line.table("id int, item text")
    line.configure(f'[datasets.{table}]\nmode = "append"\n')
    names = [*Point, *POISON]
    files = {name: line.send(table, content(name), name) for name in names}
    return World(line, counts, table, files)


def content(name: str) -> bytes:
    """A file of its own: the same content under another key would be a duplicate."""
    return CSV.replace(b"item ", f"{name}:".encode())


def assert_loaded_once(world: World, name: str) -> None:
    world.line.fate(world.files[name], "loaded", timeout=RECOVERY_S)
    assert world.rows(name) == [{"n": ROWS, "d": ROWS}]


def test_others_flow_meanwhile(world: World) -> None:
    """While one process is stopped, and others die one after the other."""
    for term in POISON.values():
        eventually(lambda term=term: world.passes(term), what=f"{term} is passed")  # type: ignore[misc]
    world.stall()
    others = [world.line.send(world.table, content(f"well{n}"), f"well{n}") for n in range(WELL)]
    for other in others:
        world.line.fate(other, "loaded", timeout=FLOWS_WITHIN_S)
    assert stopped_children(world.line)


@pytest.mark.parametrize("point", list(Point))
def test_a_kill_at(world: World, point: Point) -> None:
    eventually(lambda: world.passes(crash(point)) >= 1, what=f"{point} is passed", timeout=RECOVERY_S)
    assert_loaded_once(world, point)


@pytest.mark.parametrize("name", POISON)
def test_a_file_that_crashes_its_process_each_time(world: World, name: str) -> None:
    row = world.line.fate(world.files[name], "rejected", timeout=RECOVERY_S)
    assert row["error_code"] == "crashed"
    key = world.files[name].key
    eventually(lambda: world.line.dead_letters().get(key) == "crashed", what="it is a dead letter", timeout=RECOVERY_S)
    # Three of its own; one more if it shared its first parcel with others.
    assert TRIES <= world.passes(POISON[name]) <= TRIES + 1
    assert world.rows(name) == [{"n": 0, "d": 0}]


def test_a_process_that_is_stopped_is_killed_at_its_deadline(world: World) -> None:
    world.stall()
    assert_loaded_once(world, "stalls")
    assert world.passes(STALL) >= 2
    eventually(lambda: not stopped_children(world.line), what="the stopped process is gone", timeout=RECOVERY_S)


def stopped_children(line: Line) -> list[int]:
    parent = line.pid("decryptor")
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text(encoding="ascii").split()
    states = {int(pid): Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()[0] for pid in children}
    return [pid for pid, state in states.items() if state == "T"]


def test_nothing_is_left(world: World) -> None:
    """The last: only the poison is in the dead-letter queue, and nobody was doubled by a late redelivery."""
    world.line.quiet(timeout=RECOVERY_S)
    assert set(world.line.dead_letters()) == {world.files[name].key for name in POISON}
    loaded = (len(world.files) - len(POISON) + WELL) * ROWS
    assert world.line.sql(f"SELECT count(*) AS n FROM public.{world.table}") == [{"n": loaded}]
