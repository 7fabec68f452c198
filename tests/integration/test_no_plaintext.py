"""No plaintext and no key rests anywhere but where it must: files of every kind go through a stack whose spool is a tmpfs, and
everything that its services write, say or show is searched. PostgreSQL's own files are not: rows are what it is for.

In the end a decryptor that leaks takes the place of the real one: what the test could not see, it could not miss.
"""

import random
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pyrage
import pytest
import witness
from line import Line, Put, Start, encrypt, eventually, gzipped
from witness import Needle, Witness, findings

from hikyaku.setup import identity
from shared.contract import FileRef

SHM = Path("/dev/shm")  # noqa: S108 - a tmpfs on every Linux
SEED = 20261125
MARKER = f"hyoushiki-{random.Random(SEED).randbytes(12).hex()}"
ROWS = 8000
OF_THE_LIBRARIES = re.compile(r"pymp-\w+/pym-[\w-]+|[a-z0-9_]{8}")
"""In the folder for temporary files: memory that Celery's processes share (numbers), and how tempfile finds out that it may write there."""

pytestmark = [
    pytest.mark.skipif(not SHM.is_dir(), reason="this machine has no /dev/shm for a spool"),
    pytest.mark.skipif(not witness.can_watch(), reason="this machine has no C compiler for tests/integration/witness.c"),
]


def rows(first: int, marker: str = MARKER) -> str:
    """Long enough for several of age's chunks, also when it is compressed."""
    source = random.Random(first)
    return "".join(f"{first + n},{marker},{source.randbytes(12).hex()}\n" for n in range(ROWS))


def csv(first: int, *more: str) -> bytes:
    return ("id,item,noise\n" + rows(first) + "".join(f"{line}\n" for line in more)).encode()


class Scene:
    """A stack under watch."""

    def __init__(self, line: Line, spool: Path, folder: Path) -> None:
        self.line, self.spool, self.tmp = line, spool, folder
        self.witness = Witness(line)
        self.witness.watch(*witness.SERVICES)
        self.table = line.table("id int PRIMARY KEY, item text, noise text")
        self.tolerant = line.table("id int PRIMARY KEY, item text, noise text")
        returned = f'rejects = "return"\nrejects_recipient = "{pyrage.x25519.Identity.generate().to_public()}"'
        line.configure(f"[datasets.{self.tolerant}]\nmax_rejected_rows = 10\n{returned}\n")
        keys = line.folder / "secrets" / "identities"
        self.own_keys = [keys]
        self.key = next(row for row in (keys / "local.txt").read_text().splitlines() if row.startswith("AGE-SECRET-KEY-1"))
        self.sent: list[bytes] = []
        self.heard: list[bytes] = []

    def send(self, dataset: str, plain: bytes, *, recipient: str = "", damage: int = 0) -> Put:
        """A file whose packed form is looked for too: the spool's files are packed."""
        packed = gzipped(plain)
        self.sent.append(packed)
        sealed = bytearray(encrypt(packed, recipient or self.line.world.recipient))
        if damage:
            sealed[damage] ^= 1
        return self.line.put(f"incoming/{dataset}/{random.Random(len(self.sent)).randbytes(6).hex()}.csv.gz.age", bytes(sealed))

    def needles(self) -> list[Needle]:
        packed = [Needle.of(f"packed {n}", each[at : at + 24]) for n, each in enumerate(self.sent) for at in (200, len(each) // 2)]
        return [Needle.of("plaintext", MARKER.encode()), *packed]

    def key_needles(self) -> list[Needle]:
        return [Needle.of("key", self.key.encode())]

    def places(self) -> Iterator[tuple[str, bytes]]:
        line = self.line
        yield from witness.files(line.folder, [line.folder / "postgres", *self.own_keys])
        yield from witness.files(self.tmp)
        yield from (("said to Redis", command) for command in self.heard)
        for look in (witness.redis, witness.processes, witness.flower, witness.dead_letters, witness.ledger):
            yield from look(line)
        for service in witness.SERVICES:
            paths = [Path(path) for path in self.witness.opened(service)]
            yield from ((f"{service} wrote {path}", path.read_bytes()) for path in paths if path.is_file())

    def found(self) -> set[tuple[str, str]]:
        return findings(self.places(), [*self.needles(), *self.key_needles()])

    def strange(self, service: str) -> set[str]:
        """What a service that sees plaintext opened for writing, and had no business to."""
        own = {str(self.line.folder / "run" / f"{service}.health"), "/dev/null"}
        return {path for path in self.witness.opened(service) - own if not self._is_plain(path)}

    def _is_plain(self, path: str) -> bool:
        inside = path.removeprefix(f"{self.tmp}/")
        return path.startswith(f"{self.spool}/") or "/__pycache__/" in path or (inside != path and bool(OF_THE_LIBRARIES.fullmatch(inside)))


@pytest.fixture(scope="module")
def scene(start_stack: Start, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("tmp")
    with tempfile.TemporaryDirectory(dir=SHM, prefix="hikyaku-test-") as spool:
        # Without HIKYAKU_SPOOL_ON_DISK: the services themselves have looked that it is memory.
        yield Scene(start_stack(HIKYAKU_SPOOL_DIR=spool, TMPDIR=str(folder)), Path(spool), folder)


@pytest.fixture(scope="module")
def through(scene: Scene) -> dict[str, Put]:
    """One file of each fate, by what it is."""
    line = scene.line
    with witness.monitored(line) as heard:
        stranger = pyrage.x25519.Identity.generate().to_public()
        puts = {
            "loaded": scene.send(scene.table, csv(0)),
            "wrong": scene.send(scene.table, csv(ROWS, f"x{MARKER},{MARKER},")),
            "tolerated": scene.send(scene.tolerant, csv(0, f"x{MARKER},{MARKER},")),
            "tested": scene.send(f"test/{scene.table}", csv(ROWS * 2, f"x{MARKER},{MARKER},")),
            "for a stranger": scene.send(scene.table, csv(ROWS * 3), recipient=str(stranger)),
            "damaged": scene.send(scene.table, csv(ROWS * 4), damage=-1),
            "no gzip": line.put(f"incoming/{scene.table}/bare.csv.gz.age", encrypt(csv(ROWS * 5), line.world.recipient)),
            "of a long line": scene.send(scene.table, csv(ROWS * 6, f'1,"{MARKER},')),
        }
        fates = {name: line.fate(put)["status"] for name, put in puts.items()}
        eventually(lambda: line.messages(line.queue_url) == 0, what="the ingest queue is empty")
    scene.heard += heard
    assert fates == dict.fromkeys(puts, "rejected") | {"loaded": "loaded", "tolerated": "loaded"}
    return puts


def test_no_plaintext_and_no_key_is_anywhere(scene: Scene, through: dict[str, Put]) -> None:
    assert scene.found() == set()


def test_only_the_spool_was_written_to_by_those_who_see_plaintext(scene: Scene, through: dict[str, Put]) -> None:
    assert scene.strange("decryptor") == set()
    assert scene.strange("loader") == set()
    assert any(path.startswith(f"{scene.spool}/") for path in scene.witness.opened("decryptor")), "the witness sees"


def test_the_spool_is_empty_again(scene: Scene, through: dict[str, Put]) -> None:
    eventually(lambda: not list(scene.spool.iterdir()), what="the spool is empty")


def test_what_must_be_in_these_places_is_found_there(scene: Scene, through: dict[str, Put]) -> None:
    """A search that looks at nothing would find nothing."""
    put = through["wrong"]
    file_id = FileRef.model_validate(
        {
            "bucket": scene.line.bucket,
            "key": put.key,
            "version_id": put.version_id,
            "size": put.size,
            "event_time": "",
            "received_at": "",
            "message_id": "",
        }
    ).file_id
    places = {place for place, _ in findings(scene.places(), [Needle.of("id", file_id.encode()), Needle.of("key", put.key.encode())])}
    assert {"logs/decryptor.log", "logs/loader.log", "redis/appendonly.aof", "said to Redis", "dead-letter queue", "ledger"} <= places
    assert "Flower /api/tasks" in places
    assert any(place.startswith("Flower /task/") for place in places)
    folder = str(scene.line.folder).encode()
    seen = {place for place, _ in findings(witness.processes(scene.line), [Needle.of("folder", folder)])}
    assert {f"{service} environ" for service in witness.SERVICES} <= seen


def test_a_decryptor_that_leaks_is_seen_in_every_way(scene: Scene, through: dict[str, Put]) -> None:
    leaked = Path(__file__).with_name("leaky.py")
    scene.key = next(row for row in identity.new().splitlines() if row.startswith("AGE-SECRET-KEY-1"))
    scene.witness.watch("decryptor", argv=(str(leaked),), environment={"LEAKED_KEY": scene.key})
    with witness.monitored(scene.line) as heard:
        scene.line.fate(scene.send(scene.table, csv(ROWS * 7)), "loaded")
        scene.line.fate(scene.send(scene.table, csv(ROWS * 8), damage=-1), "rejected")
        eventually(lambda: scene.line.messages(scene.line.queue_url) == 0, what="the ingest queue is empty")
    scene.heard += heard
    found = scene.found()
    packed = f"packed {len(scene.sent) - 2}"
    assert {("left", packed), ("logs/decryptor.log", "key"), ("decryptor environ", "key"), ("said to Redis", "key")} <= found
    assert {("dead-letter queue", "key"), ("ledger", "key"), ("Flower /api/tasks", "key"), ("redis/appendonly.aof", "key")} <= found
    strange = scene.strange("decryptor")
    assert str(scene.tmp / "left") in strange
    assert any(path.endswith("(deleted)") for path in strange)
