import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared import failpoint
from shared.failpoint import FailpointError, Point, count_file

ROOT = Path(__file__).parents[2]
POINT = Point.LOADER_MERGED


@pytest.fixture(autouse=True)
def off_again() -> Iterator[None]:
    yield
    failpoint.arm({})


def arm(spec: str, folder: Path | None = None) -> None:
    failpoint.arm({"HIKYAKU_FAILPOINTS": spec, **({"HIKYAKU_FAILPOINTS_DIR": str(folder)} if folder else {})})


def fires(key: str = "k", point: Point = POINT) -> bool:
    try:
        failpoint.failpoint(point, key)
    except FailpointError:
        return True
    return False


# Off


@pytest.mark.parametrize("environment", [{}, {"HIKYAKU_FAILPOINTS": ""}, {"HIKYAKU_FAILPOINTS_DIR": "/"}])
def test_off_unless_the_environment_says_otherwise(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    arm(f"{POINT}=raise")
    failpoint.arm(environment)
    monkeypatch.setattr(failpoint.Armed, "passed", lambda *_: pytest.fail("something was done"))
    assert not fires()


def test_off_a_place_costs_next_to_nothing() -> None:
    started = time.perf_counter()
    for _ in range(100_000):
        failpoint.failpoint(POINT, "k")
    assert time.perf_counter() - started < 1


def test_on_the_same_place_does_something() -> None:
    arm(f"{POINT}=raise")
    assert fires()


def test_nothing_that_we_ship_switches_one_on() -> None:
    for name in ("docker-compose.yml", "Dockerfile"):
        assert "FAILPOINTS" not in (ROOT / name).read_text(encoding="utf-8")


# When


def test_only_its_point_and_its_keys() -> None:
    arm(f"{POINT}(incoming/sick/*)=raise")
    assert fires("incoming/sick/a")
    assert not fires("incoming/well/a")
    assert not fires("incoming/sick/a", Point.LOADER_LOCKED)


def test_the_nth_pass_only_and_only_passes_that_fit_count(tmp_path: Path) -> None:
    arm(f"{POINT}(a*)=raise@2", tmp_path)
    assert [fires("a"), fires("b"), fires("a"), fires("a")] == [False, False, True, False]


def test_every_nth_pass(tmp_path: Path) -> None:
    arm(f"{POINT}=raise@*/3", tmp_path)
    assert [fires() for _ in range(7)] == [False, False, True, False, False, True, False]


def test_several_points(tmp_path: Path) -> None:
    arm(f"{POINT}=raise@1;loader.locked=raise", tmp_path)
    assert [fires(), fires()] == [True, False]
    assert [fires(point=Point.LOADER_LOCKED), fires(point=Point.LOADER_LOCKED)] == [True, True]


def test_passes_can_be_read(tmp_path: Path) -> None:
    spec = f"{POINT}(incoming/*)=sleep:0"
    arm(spec, tmp_path)
    assert [fires("incoming/a/b"), fires("incoming/a/b")] == [False, False]
    assert count_file(tmp_path, spec).stat().st_size == 2


# What: in processes of their own


def run(spec: str, folder: Path) -> subprocess.Popen[str]:
    code = (
        "import os, sys; from shared import failpoint;"
        "failpoint.arm(os.environ); failpoint.failpoint(failpoint.Point.LOADER_MERGED, 'k'); print('went on', file=sys.stderr)"
    )
    environment = {**os.environ, "HIKYAKU_FAILPOINTS": spec, "HIKYAKU_FAILPOINTS_DIR": str(folder)}
    return subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize(("action", "number"), [("kill", signal.SIGKILL), ("segfault", signal.SIGSEGV)])
def test_a_death_happens_once_over_restarts(action: str, number: signal.Signals, tmp_path: Path) -> None:
    died, restarted = run(f"{POINT}={action}@1", tmp_path), run(f"{POINT}={action}@1", tmp_path)
    fates = {process.communicate(timeout=60)[1]: process.returncode for process in (died, restarted)}
    assert fates == {"": -number, "went on\n": 0}


def test_a_stop_lasts_until_it_is_continued(tmp_path: Path) -> None:
    process = run(f"{POINT}=stop", tmp_path)
    pid, status = os.waitpid(process.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    os.kill(pid, signal.SIGCONT)
    assert process.communicate(timeout=60)[1] == "went on\n"


def test_a_delay(tmp_path: Path) -> None:
    started = time.monotonic()
    arm(f"{POINT}=sleep:0.2", tmp_path)
    assert not fires()
    assert time.monotonic() - started >= 0.2


# Wrong


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("loader.nowhere=kill", "'loader.nowhere' is no failpoint, they are: poller.received, "),
        ("loader.merged", "'loader.merged' is not POINT"),
        ("loader.merged=explode", "is not POINT"),
        ("loader.merged=sleep", "is not POINT"),
        ("loader.merged=kill@0", "is not POINT"),
        ("loader.merged=kill@1", "HIKYAKU_FAILPOINTS_DIR: is not set"),
    ],
)
def test_a_wrong_spec_is_told(spec: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        arm(spec)
    assert exit_.value.code == 2
    assert said in capsys.readouterr().err


def test_every_problem_is_told_together(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        arm("a=kill;b=kill", tmp_path / "none")
    said = capsys.readouterr().err
    assert "'a' is no" in said
    assert "'b' is no" in said
    assert "none: is not a directory" in said


def test_every_point_is_in_use() -> None:
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "services").rglob("*.py")]
    assert [point for point in Point if not any(f"failpoint(Point.{point.name}, " in text for text in sources)] == []


def test_a_pass_that_can_not_be_counted_passes(tmp_path: Path) -> None:
    """The spool is full in some tests: that must reach the work, not the place before it."""
    term = "decryptor.taken=raise@*/2"
    code = f"""
import os, resource
from shared import failpoint
failpoint.arm({{"{failpoint.VARIABLE}": "{term}", "{failpoint.FOLDER}": {str(tmp_path)!r}}})
failpoint.failpoint(failpoint.Point.DECRYPTOR_TAKEN, "k")
resource.setrlimit(resource.RLIMIT_FSIZE, (1, 1))
failpoint.failpoint(failpoint.Point.DECRYPTOR_TAKEN, "k")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, count_file(tmp_path, term).stat().st_size) == (0, 1), done.stderr
