"""Memory does not grow with file size: a 300 MB CSV passes through decryptor and loader below 200 MB each."""

import random
from pathlib import Path

from line import Line, eventually
from test_kills import children

MIB = 1024 * 1024
CSV_BYTES = 300 * 1000 * 1000
LIMIT_BYTES = 200 * MIB
SEED = 20261124


def big_csv() -> bytearray:
    """About 300 MB of seeded rows: half of each is random, so gzip can not make it small."""
    source = random.Random(SEED)
    csv = bytearray(b"id,item,price\n")
    n = 0
    while len(csv) < CSV_BYTES:
        block = bytearray()
        for _ in range(20_000):
            n += 1
            block += b"%d,%s,%d.%02d\n" % (n, source.randbytes(24).hex().encode() * 4, n % 1000, n % 100)
        csv += block
    return csv


def proportional_bytes(pids: list[int]) -> int:
    """Memory of processes, shared pages counted once (PSS, proc(5)); by anybody but root, all that is no file's and counted each time."""
    try:
        return sum(_bytes(f"/proc/{pid}/smaps_rollup", "Pss") for pid in pids)
    except PermissionError:
        # The services are confined.
        return sum(_bytes(f"/proc/{pid}/status", "RssAnon") for pid in pids)


def _bytes(path: str, name: str) -> int:
    rows = Path(path).read_text(encoding="ascii").splitlines()
    return sum(int(row.split()[1]) * 1024 for row in rows if row.startswith(f"{name}:"))


def peak_bytes(pid: int) -> int:
    """Highest resident set that a process ever had (VmHWM, proc(5))."""
    found = _bytes(f"/proc/{pid}/status", "VmHWM")
    assert found
    return found


def test_a_300_mb_csv_passes_through_flat_memory(line: Line) -> None:
    table = line.table("id int, item text, price numeric")
    line.configure(f'[datasets.{table}]\nmode = "append"\n')
    csv = big_csv()
    put = line.send(table, bytes(csv))
    highest = {"decryptor": 0, "loader": 0}

    def look() -> bool:
        for service in highest:
            parent = line.pid(service)
            highest[service] = max(highest[service], proportional_bytes([parent, *children(parent)]))
        row = line.ledger(put)
        return bool(row and row["status"] == "loaded")

    eventually(look, what="the file is loaded", timeout=240)
    assert line.sql(f"SELECT count(*) AS n FROM public.{table}")[0]["n"] == csv.count(b"\n") - 1
    for service, total in highest.items():
        parent = line.pid(service)
        peak = max(peak_bytes(pid) for pid in [parent, *children(parent)])
        print(f"{service}: at most {total // MIB} MiB in all, {peak // MIB} MiB in one process")  # noqa: T201 - the figure is the point
        assert total < LIMIT_BYTES
        assert peak < LIMIT_BYTES
    line.sql(f"DROP TABLE public.{table}")
