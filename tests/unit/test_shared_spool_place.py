"""Where the spool lies is read from the kernel's own tables; here from made-up ones, and from this machine's."""

import os
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from shared import spool_place
from shared.settings import WorkerSettings

SHM = Path("/dev/shm")  # noqa: S108 - looked at, not written to


def settings(spool: Path, **more: Any) -> WorkerSettings:
    return WorkerSettings.model_validate({"redis_url": "redis://unused.invalid", "spool_dir": spool, "datasets": spool / "d", **more})


class Kernel:
    """What it tells of one spool."""

    def __init__(self, folder: Path) -> None:
        self.spool, self.proc, self.cgroups = folder / "spool", folder / "proc", folder / "cgroup"
        self.spool.mkdir()
        (self.proc / "self").mkdir(parents=True)
        (self.cgroups / "of" / "ours").mkdir(parents=True)
        self.mounted("tmpfs")
        self.swaps()
        (self.proc / "self" / "cgroup").write_text("9:memory:/elsewhere\n0::/of/ours\n")

    def mounted(self, kind: str, options: str = "rw,size=2097152k,uid=10001", place: str = "/spool with\\040space") -> None:
        device = self.spool.stat().st_dev
        (self.proc / "self" / "mountinfo").write_text(
            "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/root rw,errors=remount-ro\n"
            "30 22 0:9999 / /run rw - tmpfs tmpfs rw,noswap\n"
            f"31 22 {os.major(device)}:{os.minor(device)} / {place} rw,nosuid master:1 propagate_from:2 - {kind} tmpfs {options}\n"
        )

    def swaps(self, *devices: str) -> None:
        lines = [f"{device}  partition  8388604  0  -2" for device in devices]
        (self.proc / "swaps").write_text("\n".join(["Filename  Type  Size  Used  Priority", *lines, ""]))

    def problems(self, **more: Any) -> list[str]:
        return spool_place.problems(settings(self.spool, **more), self.proc)

    def may_swap(self) -> bool:
        return spool_place.warn_of_swap(settings(self.spool), self.proc, self.cgroups)


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    return Kernel(tmp_path)


@pytest.mark.parametrize("kind", ["tmpfs", "ramfs"])
def test_memory_is_right(kernel: Kernel, kind: str) -> None:
    kernel.mounted(kind)
    assert kernel.problems() == []


@pytest.mark.parametrize("kind", ["ext4", "xfs", "overlay", "nfs4", "fuse.sshfs", "devtmpfs2"])
def test_anything_else_is_refused(kernel: Kernel, kind: str) -> None:
    kernel.mounted(kind)
    [problem] = kernel.problems()
    assert problem.startswith(
        f"{kernel.spool}: the spool is on {kind}, not a tmpfs, so plaintext would rest on a disk: mount a tmpfs there"
    )


def test_a_device_that_is_not_listed_is_refused(kernel: Kernel) -> None:
    """As with overlayfs and btrfs, whose files name a device of their own."""
    (kernel.proc / "self" / "mountinfo").write_text("30 22 0:9999 / /run rw - tmpfs tmpfs rw\n")
    assert "on a file system that this service can't tell" in kernel.problems()[0]


def test_what_the_operator_allows_is_told_loudly(kernel: Kernel) -> None:
    kernel.mounted("ext4")
    with capture_logs() as logs:
        assert kernel.problems(spool_on_disk="allow") == []
    [warning] = logs
    assert (warning["event"], warning["log_level"]) == ("spool_on_disk", "warning")
    assert "HIKYAKU_SPOOL_ON_DISK" in warning["reason"]


def test_a_spool_in_memory_needs_no_warning(kernel: Kernel) -> None:
    with capture_logs() as logs:
        assert kernel.problems(spool_on_disk="allow") == []
    assert logs == []


def test_a_spool_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert spool_place.problems(settings(tmp_path / "none")) == [f"{tmp_path / 'none'}: the spool is not a directory"]


@pytest.mark.parametrize(
    ("devices", "options", "limit", "may"),
    [
        ((), "rw", None, False),
        (("/dev/sda2",), "rw", None, True),
        (("/swapfile",), "rw", "max", True),
        (("/dev/zram0",), "rw", None, False),
        (("/dev/zram0", "/dev/sda2"), "rw", None, True),
        (("/dev/sda2",), "rw,noswap,size=1g", None, False),
        (("/dev/sda2",), "rw", "0", False),
    ],
)
def test_swap_is_told(kernel: Kernel, devices: tuple[str, ...], options: str, limit: str | None, may: bool) -> None:
    kernel.swaps(*devices)
    kernel.mounted("tmpfs", options)
    if limit is not None:
        (kernel.cgroups / "of" / "ours" / "memory.swap.max").write_text(f"{limit}\n")
    with capture_logs() as logs:
        assert kernel.may_swap() is may
    assert [entry["event"] for entry in logs] == (["spool_may_be_swapped"] if may else [])


def test_on_a_disk_swap_makes_no_difference(kernel: Kernel) -> None:
    kernel.mounted("ext4")
    kernel.swaps("/dev/sda2")
    assert kernel.may_swap() is False


@pytest.mark.skipif(not SHM.is_dir(), reason="this machine has no /dev/shm")
def test_this_machines_own_tables_are_understood() -> None:
    found = spool_place.mount_of(SHM)
    assert found is not None
    assert found.kind == "tmpfs"
    assert spool_place.problems(settings(SHM)) == []
    assert "plaintext would rest on a disk" in spool_place.problems(settings(Path("/proc")))[0]
