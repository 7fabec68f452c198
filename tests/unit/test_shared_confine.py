"""What the kernel lets others see of a process that has confined itself, and of what it forks."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TRY = """
import os, resource
from pathlib import Path
from shared.confine import confine

me = os.getpid()

def seen(pid):
    out = []
    for name in ("environ", "maps"):
        try:
            Path(f"/proc/{pid}/{name}").read_bytes()
            out.append(name)
        except PermissionError:
            pass
    return out

def of_a_child():
    '''What another process of the same user sees of this one.'''
    read, write = os.pipe()
    if os.fork() == 0:
        os.write(write, ",".join(seen(me)).encode() or b"nothing")
        os._exit(0)
    os.wait()
    return os.read(read, 100).decode()

before = of_a_child()
confine()
print(before, of_a_child(), resource.getrlimit(resource.RLIMIT_CORE))
"""


# Root sees all, by its capabilities.
LIKE_ANYBODY = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []


@pytest.mark.skipif(sys.platform != "linux", reason="procfs")
def test_another_process_of_the_same_user_sees_neither_memory_nor_environment() -> None:
    done = subprocess.run([*LIKE_ANYBODY, sys.executable, "-c", TRY], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split(maxsplit=2) == ["environ,maps", "nothing", "(0, 0)\n"]


@pytest.mark.parametrize("module", ["poller", "decryptor", "loader", "shared.flower"])
def test_every_service_confines_itself_before_it_reads_a_setting(module: str, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import shared.confine\nshared.confine.confine = lambda: print('confined')\n")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HIKYAKU_")}
    command = [sys.executable, "-m", module]
    done = subprocess.run(command, env=clean | {"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (2, "confined\n")
