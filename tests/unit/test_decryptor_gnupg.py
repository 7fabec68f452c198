"""gpg's homes: made in memory, for one run, and nothing is left of them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from decryptor.gnupg import LONGEST, PREFIX, Gnupg
from decryptor.gnupg_home import GnupgError, Home
from decryptor.gnupg_pump import STATUS_MAX, Pump
from fakes.gpg import needs_gpg
from fakes.gpg_gate import GpgGate
from shared.errors import Rejected

pytestmark = needs_gpg

VICTIM = """
import sys, time
from pathlib import Path
from decryptor.gnupg import Gnupg
from decryptor.gnupg_pump import Pump

class Stuck:
    def __init__(self, data): self.data = data
    def read(self, size):
        if self.data:
            data, self.data = self.data, b""
            return data
        print("stuck", flush=True)
        time.sleep(600)

class Sink:
    def write(self, data): return len(data)

place, ring, message = map(Path, sys.argv[1:])
files = {str(path.relative_to(ring)): path.read_bytes() for path in ring.rglob("*") if path.is_file()}
with Gnupg(place, on_disk=True).home(files) as home:
    Pump(Stuck(message.read_bytes()), Sink(), 10**9, None).run(lambda status: home.start("--decrypt", status=status))
"""


def eventually(look: Callable[[], object], what: str) -> None:
    limit = time.monotonic() + 60
    while not look():
        assert time.monotonic() < limit, what
        time.sleep(0.05)


def using(place: Path) -> list[str]:
    """Processes that name the place in their arguments, but zombies."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if os.fsencode(place) in arguments and process.name != str(os.getpid()):
            found.append(arguments.split(b"\0")[0].decode())
    return sorted(found)


def test_a_home_is_its_users_alone_and_gone_at_the_end(place: Path) -> None:
    with Gnupg(place, on_disk=True).home({"private-keys-v1.d/x.key": b"x"}) as home:
        assert (home.path.parent, home.path.stat().st_mode & 0o777) == (place, 0o700)
        assert home.files() == {"private-keys-v1.d/x.key": b"x"}
    assert list(place.iterdir()) == []


def test_a_home_is_gone_after_a_bug_too(place: Path) -> None:
    with pytest.raises(ZeroDivisionError), Gnupg(place, on_disk=True).home():
        raise ZeroDivisionError
    assert list(place.iterdir()) == []


def test_no_agent_is_left(place: Path) -> None:
    with Gnupg(place, on_disk=True).home() as home:
        home.run("--list-keys")
        assert not home.stop()
    eventually(lambda: not using(place), "agents end")


def test_the_default_is_memory() -> None:
    Gnupg().check()


def test_a_disk_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GnupgError, match="is not on a tmpfs"):
        Gnupg(tmp_path).check()


def test_a_place_that_will_not_do_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(GnupgError, match=r"HIKYAKU_GNUPG_DIR: .*/absent: is not a folder"):
        Gnupg(tmp_path / "absent").check()
    deep = tmp_path / ("x" * LONGEST)
    deep.mkdir()
    with pytest.raises(GnupgError, match="longer than 60 bytes"):
        Gnupg(deep, on_disk=True).check()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GnupgError, match=r"gpg is not installed: install GnuPG \(Debian: gnupg\)"):
        Gnupg().check()


def test_a_sweep_spares_what_lives_and_what_is_not_ours(place: Path) -> None:
    gnupg = Gnupg(place, on_disk=True)
    dead, other = place / f"{PREFIX}dead", place / "gnupg"
    (dead / "private-keys-v1.d").mkdir(parents=True)
    other.mkdir()
    with gnupg.home() as home, capture_logs() as logs:
        assert gnupg.sweep() == 1
        assert home.path.is_dir()
        assert sorted(place.iterdir()) == sorted([other, home.path])
    assert [entry["name"] for entry in logs] == [dead.name]
    assert Gnupg(place / "absent").sweep() == 0


def test_what_can_not_be_removed_is_told(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("decryptor.gnupg_home.shutil.rmtree", lambda *_, **__: None)
    with capture_logs() as logs:
        Home(place).remove()
    assert [entry["event"] for entry in logs] == ["gnupg_home_left"]


def test_a_killed_workers_gpg_and_agent_end_and_its_home_is_swept(gpg_gate: GpgGate, tmp_path: Path) -> None:
    message = gpg_gate.seal(os.urandom(400_000))
    gpg_gate.opened(message)
    ring = tmp_path / "ring"
    (ring / "private-keys-v1.d").mkdir(parents=True)
    for name, data in (gpg_gate.openpgp._ring or {}).items():
        (ring / name).write_bytes(data)
    (tmp_path / "message").write_bytes(message[:-1000])
    command = [sys.executable, "-c", VICTIM, str(gpg_gate.place), str(ring), str(tmp_path / "message")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as victim:
        assert victim.stdout is not None
        assert victim.stdout.readline() == b"stuck\n"
        eventually(lambda: len(using(gpg_gate.place)) == 3, "worker, gpg and agent run")
        assert gpg_gate.gnupg.sweep() == 0, "it lives"
        victim.send_signal(signal.SIGKILL)
    eventually(lambda: not using(gpg_gate.place), "gpg and its agent end by themselves")
    assert len(gpg_gate.homes()) == 1
    assert gpg_gate.gnupg.sweep() == 1
    assert gpg_gate.homes() == []


def test_gpg_sees_nothing_of_the_services_environment(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    started: list[dict[str, str]] = []

    def note(*_: object, env: dict[str, str], **__: object) -> None:
        started.append(env)
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr("decryptor.gnupg_home.subprocess.Popen", note)
    with (
        Gnupg(place, on_disk=True).home() as home,
        pytest.raises(GnupgError, match="gpg can't be started: Cannot allocate memory"),
    ):
        home.run("--list-keys")
    assert {tuple(sorted(env)) for env in started} == {("HOME", "LC_ALL", "PATH")}


class Nothing:
    """A source and a sink."""

    def read(self, _size: int) -> bytes:
        return b""

    def write(self, data: bytes) -> int:
        return len(data)


def talkative(line: str, times: int) -> Callable[[int], "subprocess.Popen[bytes]"]:
    program = f"import os\nfor _ in range({times}): os.write(%d, b'[GNUPG:] {line}\\n')"

    def start(status: int) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-c", program % status]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=(status,))

    return start


@pytest.mark.parametrize(("line", "times"), [("NOTATION_DATA " + "x" * 100, STATUS_MAX // 100), ("ENC_TO 0", 21)])
def test_what_gpg_says_is_bounded(line: str, times: int) -> None:
    pump = Pump(Nothing(), Nothing(), 1, lambda: Rejected("too_large", "x"))  # type: ignore[arg-type]
    with pytest.raises(Rejected) as refused:
        pump.run(talkative(line, times))
    assert refused.value.error_code == "openpgp_invalid"
    assert Pump(Nothing(), Nothing(), 1, lambda: Rejected("too_large", "x")).run(talkative(line, 20)) == 0  # type: ignore[arg-type]
