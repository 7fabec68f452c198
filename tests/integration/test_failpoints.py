"""Every failpoint kills its process once, in one stack: one file for each point flows among the others, and each is loaded exactly once.

The poller's come late, in quick succession: each death of it costs all that it holds one of their five receives, and poison its count.
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
IN_ITS_RECEIVER = [Point.POLLER_RECEIVED, Point.POLLER_HELD, Point.POLLER_SUBMITTED]
"""Where the poller dies without a long poll that LocalStack would still answer."""
# A poller that has just started sends a heartbeat with its first round.
POLLER = sorted((p for p in Point if p.startswith("poller.")), key=lambda p: (p not in IN_ITS_RECEIVER, p is not Point.POLLER_EXTENDED))
REJECTED = Point.POLLER_LETTER_SENT
"""Its file is one that will not load: no other has a dead letter."""
TIDY = frozenset({Point.DECRYPTOR_TIDYING, Point.DECRYPTOR_TIDIED})
"""Their files are of a dataset that wants its objects tagged."""
ON_THE_WAY = (
    # Held until a heartbeat has come by: one every third of the visibility timeout, and up to a round of the keeper later.
    f"decryptor.taken(*/{Point.POLLER_EXTENDED}.*)=sleep:{VISIBILITY_TIMEOUT_S * 3 // 4}@1",
    f"decryptor.taken(*/{Point.POLLER_HANDED_BACK}.*)=raise@1",
)
STALL = "decryptor.written(*/stalls.*)=stop@1"


def crash(point: Point) -> str:
    return f"{point}(*/{point}.*)=kill@1"


@dataclass
class World:
    """The stack and the files that were sent to it, by name; all went at once, but for the poller's and the one that stalls."""

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

    def send(self, name: str) -> None:
        """Send the file of a point, or a poison."""
        dataset = f"{self.table}_tidied" if name in TIDY else self.table
        self.files[name] = self.line.send(dataset, b"unknown\n1\n" if name == REJECTED else content(name), name)

    def wait_for(self, point: Point) -> None:
        """Until the point's file has been there."""
        eventually(lambda: self.passes(crash(point)) >= 1, what=f"{point} is passed", timeout=RECOVERY_S)

    def wait_for_the_next_poller(self, point: Point) -> None:
        """Until the one that followed the one killed at this point keeps house: the dead one's long poll is over by then."""
        health, killed = self.line.folder / "run" / "poller.health", count_file(self.counts, crash(point))
        eventually(lambda: health.stat().st_mtime > killed.stat().st_mtime, what="the poller is back")

    def rows(self, name: str) -> list[dict[str, object]]:
        counts = f"SELECT count(*) AS n, count(DISTINCT id) AS d FROM public.{self.table} WHERE item LIKE %s"
        return self.line.sql(counts, f"{name}:%")


@pytest.fixture(scope="module")
def world(start_stack: Start, tmp_path_factory: pytest.TempPathFactory) -> World:
    counts = tmp_path_factory.mktemp("failpoints")
    line = start_stack(
        HIKYAKU_VISIBILITY_TIMEOUT=str(VISIBILITY_TIMEOUT_S),
        HIKYAKU_BROKER_VISIBILITY_TIMEOUT="10",
        # LocalStack answers a long poll though its client is dead: what is sent meanwhile is lost for a visibility timeout.
        HIKYAKU_RECEIVE_WAIT="1",
        # What a process leaves that dies after its file went through by another is for the sweep.
        HIKYAKU_SPOOL_SWEEP_INTERVAL="5",
        HIKYAKU_TASK_DEADLINE=str(DEADLINE_S),
        HIKYAKU_CONCURRENCY="3",
        HIKYAKU_FAILPOINTS=";".join([*map(crash, Point), *POISON.values(), *ON_THE_WAY, STALL]),
        HIKYAKU_FAILPOINTS_DIR=str(counts),
    )
    table = line.table("id int, item text")
    line.configure(
        f'[datasets.{table}]\nmode = "append"\n[datasets.{table}_tidied]\ntable = "{table}"\nmode = "append"\nafter_load = "tag"\n'
    )
    made = World(line, counts, table, {})
    for name in [*(point for point in Point if point not in POLLER), *POISON]:
        made.send(name)
    return made


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


@pytest.mark.parametrize("point", [point for point in Point if point not in POLLER])
def test_a_kill_at(world: World, point: Point) -> None:
    world.wait_for(point)
    assert_loaded_once(world, point)


@pytest.mark.parametrize("point", sorted(TIDY))
def test_an_object_is_tagged_after_a_kill_at(world: World, point: Point) -> None:
    world.wait_for(point)
    line, put = world.line, world.files[point]

    def tags() -> dict[str, str]:
        found = line.s3.get_object_tagging(Bucket=line.bucket, Key=put.key, VersionId=put.version_id)["TagSet"]
        return {tag["Key"]: tag["Value"] for tag in found}

    eventually(lambda: tags() == {"hikyaku": "loaded"}, what="its object is tagged", timeout=RECOVERY_S)


@pytest.mark.parametrize("name", POISON)
def test_a_file_that_crashes_its_process_each_time(world: World, name: str) -> None:
    row = world.line.fate(world.files[name], "rejected", timeout=RECOVERY_S)
    assert row["error_code"] == "crashed"
    key = world.files[name].key
    eventually(lambda: world.line.dead_letters().get(key) == "crashed", what="it is a dead letter", timeout=RECOVERY_S)
    # Three of its own; one more if it shared its first parcel with others.
    assert TRIES <= world.passes(POISON[name]) <= TRIES + 1
    assert world.rows(name) == [{"n": 0, "d": 0}]


@pytest.mark.parametrize("point", POLLER)
def test_the_poller_is_killed_at(world: World, point: Point) -> None:
    """Also that a killed poller comes back: each waits for the one before."""
    world.send(point)
    world.wait_for(point)
    if point not in IN_ITS_RECEIVER:
        world.wait_for_the_next_poller(point)


def test_a_process_that_is_stopped_is_killed_at_its_deadline(world: World) -> None:
    world.stall()
    assert_loaded_once(world, "stalls")
    assert world.passes(STALL) >= 2
    eventually(lambda: not stopped_children(world.line), what="the stopped process is gone", timeout=RECOVERY_S)


@pytest.mark.parametrize("point", POLLER)
def test_after_a_kill_of_the_poller_at(world: World, point: Point) -> None:
    if point == REJECTED:
        world.line.fate(world.files[point], "rejected", timeout=RECOVERY_S)
    else:
        assert_loaded_once(world, point)


def stopped_children(line: Line) -> list[int]:
    parent = line.pid("decryptor")
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text(encoding="ascii").split()
    states = {int(pid): Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()[0] for pid in children}
    return [pid for pid, state in states.items() if state == "T"]


def test_nothing_is_left(world: World) -> None:
    """The last: only what is rejected is in the dead-letter queue, and nobody was doubled by a late redelivery."""
    world.line.quiet(timeout=RECOVERY_S)
    assert set(world.line.dead_letters()) == {world.files[name].key for name in (REJECTED, *POISON)}
    loaded = (len(world.files) - len(POISON) - 1 + WELL) * ROWS
    assert world.line.sql(f"SELECT count(*) AS n FROM public.{world.table}") == [{"n": loaded}]
