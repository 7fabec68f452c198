"""`up` and `down`: the order in which the stack comes and goes."""

import fcntl
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from hikyaku.errors import UserError
from hikyaku.local import (
    aws,
    endpoints,
    environment,
    files,
    leftovers,
    listener,
    postgres,
    preparation,
    programs,
    ready,
    state,
    supervise,
    tools,
    unprivileged,
)
from hikyaku.local.layout import Layout
from hikyaku.local.program import BACKENDS, LINE, NAMES, health_file, write
from hikyaku.local.progress import Progress
from hikyaku.setup.datasets import DATASETS

MIGRATE_TIMEOUT_S = 120
STOP_TIMEOUT_S = 120


@contextmanager
def locked(layout: Layout) -> Iterator[None]:
    """Let one `up` or `down` at a time work on a stack.

    Raises:
        UserError: another one does.
    """
    layout.directory.mkdir(parents=True, exist_ok=True)
    files.private_directory(layout.run)
    with (layout.run / "lock").open("w", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(f"Another `hikyaku local` is at work in {layout.directory}.", hint="Wait until it is done.") from error
        yield


@dataclass(frozen=True)
class Stack:
    """A supervised stack, as the steps of `up` hand it on."""

    layout: Layout
    kept: state.State
    supervisor: supervise.Supervisor
    progress: Progress
    caller: Mapping[str, str]


def up(layout: Layout, progress: Progress, caller: Mapping[str, str]) -> None:
    """Start what does not run, and leave alone what does.

    Raises:
        UserError: something can't be started; what runs by then stays up, for its logs and for another `up`.
    """
    preparation.make_folders(layout)
    tools.ensure_localstack(layout, progress)
    stack = _supervised(layout, progress, caller)
    _start_backends(stack)
    _migrate(stack)
    outputs = aws.outputs(layout)
    changes = {told.name: write(layout, told) for told in programs.line(layout, stack.kept, outputs, caller)}
    _start_line(stack, changes)
    pids = {name: info.pid for name, info in stack.supervisor.processes().items() if info.runs and name in NAMES}
    endpoints.write(layout, stack.kept, outputs, pids)


def _choose(layout: Layout) -> state.State:
    kept = state.load(layout.state)
    if kept is None:
        kept = state.State(secrets.token_hex(8), state.choose_ports(), unprivileged.choose())
        state.save(layout.state, kept)
    return kept


def _supervised(layout: Layout, progress: Progress, caller: Mapping[str, str]) -> Stack:
    """The running supervisor, or a new one after whatever an old one left is ended."""
    kept = _choose(layout)
    with progress.step("supervisor") as step:
        supervisor = supervise.connect(layout, kept)
        step.detail = "runs already" if supervisor else "started"
        if supervisor is None:
            _end_leftovers(layout)
            aws.start_afresh(layout)
            kept = state.with_free_ports(kept)
            state.save(layout.state, kept)
        preparation.prepare(layout, kept, caller)
        if supervisor is None:
            supervisor = supervise.launch(layout, kept, caller)
        else:
            supervisor.reread()
    return Stack(layout, kept, supervisor, progress, caller)


def _start_backends(stack: Stack) -> None:
    """Start all, then wait for each: LocalStack's seconds and PostgreSQL's pass together."""
    before = stack.supervisor.processes()
    for name in BACKENDS:
        stack.supervisor.start(name)
    for name in BACKENDS:
        _await(stack, name, "runs already" if before[name].runs else "started")


def _await(stack: Stack, name: str, done: str) -> None:
    with stack.progress.step(name) as step:
        info = ready.wait(stack.layout, stack.kept, stack.supervisor, name)
        port = f" on 127.0.0.1:{stack.kept.ports[name]}" if name in stack.kept.ports else ""
        step.detail = f"{done}{port}, pid {info.pid}"


def _migrate(stack: Stack) -> None:
    """Roles and database as superuser, then the ledger's schema as the migrator."""
    with stack.progress.step("roles and database"):
        postgres.bootstrap(stack.layout, stack.kept.ports["postgres"])
    log = stack.layout.log("migrate")
    secret = stack.layout.secret("postgres", "hikyaku_migrator.url")
    env = {**environment.base(stack.caller), "HIKYAKU_DATABASE_URL_FILE": str(secret)}
    with stack.progress.step("migrations"), log.open("w", encoding="utf-8") as output:
        command = [sys.executable, "-m", "loader.migrate"]
        done = subprocess.run(command, stdout=output, stderr=output, env=env, timeout=MIGRATE_TIMEOUT_S, check=False)  # noqa: S603 - our own module
        if done.returncode != 0:
            raise UserError("The migrations did not run.", hint=ready.last_line(log), log=log)


def _start_line(stack: Stack, changes: Mapping[str, Sequence[str]]) -> None:
    """Start the services; restart those whose settings changed."""
    before = stack.supervisor.processes()
    done = {name: "runs already" if before[name].runs else "started" for name in LINE}
    for name in LINE:
        if before[name].runs and changes[name]:
            stack.supervisor.stop(name)
            done[name] = f"restarted for {', '.join(changes[name])}"
    for name in LINE:
        stack.supervisor.start(name)
    for name in LINE:
        _await(stack, name, done[name])


def down(layout: Layout, progress: Progress) -> None:
    """Stop exactly what `up` started; data stays.

    Raises:
        UserError: something does not stop.
    """
    kept = state.load(layout.state)
    supervisor = supervise.connect(layout, kept) if kept else None
    if supervisor is not None:
        _stop(layout, supervisor, progress)
    ended = _end_leftovers(layout)
    if supervisor is None:
        progress.note(f"Nothing was supervised; ended {', '.join(ended)}." if ended else "Nothing runs.")
    layout.endpoints.unlink(missing_ok=True)


def _stop(layout: Layout, supervisor: supervise.Supervisor, progress: Progress) -> None:
    pid = supervisor.pid()
    with progress.step("poller stopped"):
        supervisor.stop("poller")
    with progress.step("everything stopped"):
        # Side by side: supervisor's own shutdown waits for one after the other.
        for name in ("decryptor", "loader", "flower", "localstack"):
            supervisor.stop(name, wait=False)
        supervisor.shutdown()
        if not leftovers.ends(pid, STOP_TIMEOUT_S):
            raise UserError(f"The supervisor (pid {pid}) still runs after {STOP_TIMEOUT_S} s.", log=layout.log("supervisord"))


def _end_leftovers(layout: Layout) -> list[str]:
    """Processes whose supervisor was killed: none after an orderly end."""
    ended = leftovers.end_remembered(layout.run / listener.NOTED)
    if postgres.data(layout).exists():
        leftovers.end_inside(postgres.data(layout))
    for name in LINE:
        health_file(layout, name).unlink(missing_ok=True)
    return ended


def clean(layout: Layout, progress: Progress) -> None:
    """Remove a stopped stack's data, secrets and logs; tools and an edited datasets.toml stay."""
    with progress.step("data removed"):
        for folder in (layout.postgres, layout.redis, layout.localstack, layout.spool, layout.secrets, layout.logs):
            if folder.exists():
                shutil.rmtree(folder)
        for file in (layout.state, layout.receipt_signers):
            file.unlink(missing_ok=True)
        for file in layout.run.iterdir():
            if file.name != "lock":
                file.unlink()
        if layout.datasets.exists() and layout.datasets.read_text(encoding="utf-8") == DATASETS:
            layout.datasets.unlink()
