"""No plaintext and no key rests anywhere but where it must: files of every kind go through a stack whose spool is a tmpfs, and
everything that its services write, say or show is searched. PostgreSQL's own files are not: rows are what it is for.

In the end a decryptor that leaks takes the place of the real one: what the test could not see, it could not miss.
"""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pyrage
import pytest
import witness
from line import Put, Start, encrypt, eventually
from plaintext_scene import AGENT, MARKER, ROWS, Scene, csv
from witness import Needle, findings

from fakes.gpg import ABSENT, People, needs_gpg, people
from hikyaku.setup import identity
from shared.contract import FileRef

SHM = Path("/dev/shm")  # noqa: S108 - a tmpfs on every Linux
LONG_AGO = "20200101T000000"
"""OpenPGP keys are made, and files signed, then: the line takes files by today's clock."""

pytestmark = [
    pytest.mark.skipif(not SHM.is_dir(), reason="this machine has no /dev/shm for a spool"),
    pytest.mark.skipif(not witness.can_watch(), reason="this machine has no C compiler for tests/integration/witness.c"),
]


@pytest.fixture(scope="module")
def gpg_people() -> Iterator[People | None]:
    """Who send OpenPGP files, where gpg is installed."""
    if ABSENT:
        yield None
        return
    with people(LONG_AGO, LONG_AGO) as everybody:
        yield everybody


@pytest.fixture(scope="module")
def scene(start_stack: Start, tmp_path_factory: pytest.TempPathFactory, gpg_people: People | None) -> Iterator[Scene]:
    tmp = tmp_path_factory.mktemp("tmp")
    with (
        TemporaryDirectory(dir=SHM, prefix="hikyaku-test-") as spool,
        TemporaryDirectory(dir=SHM, prefix="gpg-") as homes,
    ):
        # Without HIKYAKU_SPOOL_ON_DISK: the services themselves have looked that both are memory.
        line = start_stack(HIKYAKU_SPOOL_DIR=spool, HIKYAKU_GNUPG_DIR=homes, TMPDIR=str(tmp))
        yield Scene(line, spool=Path(spool), homes=Path(homes), tmp=tmp, people=gpg_people)


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
            **by_gpg(scene),
        }
        fates = {name: line.fate(put)["status"] for name, put in puts.items()}
        eventually(lambda: line.messages(line.queue_url) == 0, what="the ingest queue is empty")
    scene.heard += heard
    loaded = {"loaded", "tolerated", "gpg: loaded"}
    assert fates == {name: "loaded" if name in loaded else "rejected" for name in puts}
    return puts


def by_gpg(scene: Scene) -> dict[str, Put]:
    """OpenPGP files, where gpg is installed."""
    if scene.people is None:
        return {}
    return {
        "gpg: loaded": scene.send_by_gpg(scene.people, scene.table, csv(ROWS * 9)),
        "gpg: wrong": scene.send_by_gpg(scene.people, scene.table, csv(ROWS * 10, f"x{MARKER},{MARKER},")),
        "gpg: damaged": scene.send_by_gpg(scene.people, scene.table, csv(ROWS * 11), damage=-1),
    }


def test_no_plaintext_and_no_key_is_anywhere(scene: Scene, through: dict[str, Put]) -> None:
    assert scene.found() == set()


def test_only_the_spool_was_written_to_by_those_who_see_plaintext(scene: Scene, through: dict[str, Put]) -> None:
    assert scene.strange("decryptor") == set()
    assert scene.strange("loader") == set()
    assert any(path.startswith(f"{scene.spool}/") for path in scene.witness.opened("decryptor")), "the witness sees"


@needs_gpg
def test_gpg_and_its_agent_write_to_their_home_alone(scene: Scene, through: dict[str, Put]) -> None:
    assert scene.strange(AGENT) == set()
    assert any(path.startswith(f"{scene.homes}/") for path in scene.witness.opened(AGENT)), "the witness sees"
    assert list(scene.homes.iterdir()) == []


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
    if scene.people:
        needles = scene.openpgp_needles()
        at_home = findings([*witness.files(scene.people.host.home), ("armored", scene.people.host.secret())], needles)
        assert {name for _, name in at_home} == {needle.name for needle in needles}
    seen = {place for place, _ in findings(witness.processes(scene.line), [Needle.of("folder", folder)])}
    assert {f"{service} environ" for service in witness.SERVICES} <= seen


def test_a_decryptor_that_leaks_is_seen_in_every_way(scene: Scene, through: dict[str, Put]) -> None:
    leaked = Path(__file__).with_name("leaky.py")
    scene.key = next(row for row in identity.new().splitlines() if row.startswith("AGE-SECRET-KEY-1"))
    scene.witness.watch("decryptor", argv=(str(leaked),), environment={"LEAKED_KEY": scene.key})
    with witness.monitored(scene.line) as heard:
        scene.line.fate(scene.send(scene.table, csv(ROWS * 7)), "loaded")
        packed = f"packed {len(scene.sent) - 1}"
        scene.line.fate(scene.send(scene.table, csv(ROWS * 8), damage=-1), "rejected")
        if scene.people:
            scene.line.fate(scene.send_by_gpg(scene.people, scene.table, csv(ROWS * 12)), "loaded")
        eventually(lambda: scene.line.messages(scene.line.queue_url) == 0, what="the ingest queue is empty")
    scene.heard += heard
    found = scene.found()
    assert {("left", packed), ("logs/decryptor.log", "key"), ("decryptor environ", "key"), ("said to Redis", "key")} <= found
    assert {("dead-letter queue", "key"), ("ledger", "key"), ("Flower /api/tasks", "key"), ("redis/appendonly.aof", "key")} <= found
    strange = scene.strange("decryptor")
    assert str(scene.tmp / "left") in strange
    assert any(path.endswith("(deleted)") for path in strange)
    if scene.people:
        assert any(place == "logs/decryptor.log" and name.startswith("OpenPGP key") for place, name in found)
        assert str(scene.tmp / "agent") in scene.strange(AGENT)
