"""One program of the stack, and the file by which `run.py` learns how to start it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from hikyaku.local import files, unprivileged
from hikyaku.local.layout import Layout

BACKENDS = ("postgres", "redis", "localstack")
LINE = ("poller", "decryptor", "loader", "flower")
NAMES = (*BACKENDS, *LINE)


@dataclass(frozen=True)
class Program:
    """One process.

    Attributes:
        name: in supervisor, logs and endpoints.env.
        argv: program and arguments.
        env: its whole environment: nothing is inherited.
        identity: whom it runs as, see `unprivileged.py`.
        data: folder whose leftover processes are ended before it starts (PostgreSQL's), empty for none.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    identity: str = unprivileged.SELF
    data: str = ""


def health_file(layout: Layout, name: str) -> Path:
    """Touched by the service while it is alive."""
    return layout.run / f"{name}.health"


def record(layout: Layout, name: str) -> Path:
    """Where `run.py` reads how to start a program."""
    return layout.run / f"{name}.json"


def write(layout: Layout, program: Program) -> list[str]:
    """Keep how to start a program, for `run.py`.

    Returns:
        What changed since it was last written, in words: names of variables, or `command`. Empty when it is new or the
        change is only in the caller's locale, certificates or proxies, which is no reason to restart anything.
    """
    path = record(layout, program.name)
    before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
    after = asdict(program)
    files.write_atomically(path, json.dumps(after, indent=1))
    return [] if before is None else differences(before, json.loads(json.dumps(after)))


def differences(before: Mapping[str, object], after: Mapping[str, object]) -> list[str]:
    """Names of the settings that differ between two written programs, and `command` when that does."""
    old, new = _settings(before), _settings(after)
    names = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
    return names + (["command"] if before.get("argv") != after.get("argv") else [])


def _settings(written: Mapping[str, object]) -> dict[str, object]:
    env = written.get("env")
    return {k: v for k, v in env.items() if k.startswith(("HIKYAKU_", "AWS_"))} if isinstance(env, dict) else {}


def read(path: Path) -> Program:
    """Read what `write` kept."""
    data = json.loads(path.read_text(encoding="utf-8"))
    return Program(**{**data, "argv": tuple(data["argv"])})
