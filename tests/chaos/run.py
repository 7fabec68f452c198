"""One run from start to end."""

import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from chaos import crashes, disk, points, recovery, referee, report, wiring
from chaos.files import Maker
from chaos.model import Finding, Harm, Judge
from chaos.nemesis import World
from chaos.options import Options
from chaos.points import Points
from chaos.proxy import Proxies
from chaos.redrive import redrive
from chaos.result import Run
from chaos.sender import Sender
from chaos.stack import LONG_VISIBILITY_S, SERVICES, SHORT_VISIBILITY_S, Stack
from chaos.storm import LONG_STORM_S, Storm, schedule_calm, schedule_kills, schedule_outages

SETTLE_SHORT_S, SETTLE_LONG_S = 90.0, 600.0
LOCAL = Path(__file__).parents[2] / ".local"


@contextmanager
def running(visibility_s: int) -> Iterator[Stack]:
    """A stack in a folder of its own, stopped in every case."""
    LOCAL.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="chaos-", dir=LOCAL))
    # PostgreSQL may run as another user.
    folder.chmod(0o755)
    stack = Stack(folder, visibility_s)
    try:
        stack.up()
        yield stack
    finally:
        stack.down()


def run(options: Options, console: Console) -> Run:
    """Do it all, print it, and return it."""
    begin = time.monotonic()
    console.print(f"seed {options.seed}; again with: {options.again}", highlight=False, soft_wrap=True)
    with running(SHORT_VISIBILITY_S if options.storm_s < LONG_STORM_S else LONG_VISIBILITY_S) as stack:
        _note(console, begin, f"the stack is up in {stack.folder}")
        result = _storm(options, stack, console, begin)
    report.show(result, console)
    verdict = "[bold red]the promise is broken[/bold red]" if result.findings else "[bold green]every file exactly once[/bold green]"
    done = f"{result.kill_count} kills, {result.outage_kinds} kinds of outage, {len(result.sent)} files"
    took = f"settled {result.settled.seconds:.0f} s after the storm, {time.monotonic() - begin:.0f} s in all"
    console.print(f"{done}; {took}: {verdict}", highlight=False, soft_wrap=True)
    console.print(f"again with: {options.again}", highlight=False, soft_wrap=True)
    if options.keep or (result.findings and not options.mutant):
        console.print(f"The services' logs stay in {stack.folder}", highlight=False, soft_wrap=True)
    else:
        shutil.rmtree(stack.folder)
    return result


def _note(console: Console, begin: float, what: str) -> None:
    console.print(f"{time.monotonic() - begin:6.1f} s  {what}", highlight=False, soft_wrap=True)


def _storm(options: Options, stack: Stack, console: Console, begin: float) -> Run:
    ports = stack.ports()
    targets = {"postgres": ports["postgres"], "redis": ports["redis"], "s3": ports["localstack"], "sqs": ports["localstack"]}
    world = World(
        stack, Proxies(targets, options.seed), Sender(stack, Maker(options.seed, options.files).make(), options.seed), disk.can_be_full()
    )
    sender = world.sender
    armed = _prepare(world, options)
    _note(console, begin, f"{len(sender.files)} files are made; the storm begins")
    kills = schedule_kills(options.seed, options.storm_s, points.left_over(options.kills))
    outages = schedule_calm(options.seed) if options.outages else schedule_outages(options.seed, options.storm_s)
    storm = Storm(world, kills, outages)
    _blow(storm, sender, options)
    armed.disarm()
    _note(console, begin, f"{len(storm.acts)} nemeses have struck, {storm.missed} found no victim; settling")
    return _judged(storm, sender, armed, options, lambda what: _note(console, begin, what))


def _judged(storm: Storm, sender: Sender, armed: Points, options: Options, note: Callable[[str], None]) -> Run:
    """What became of the files, and what is wrong with it."""
    stack, logs = sender.stack, sender.stack.folder / "logs"
    settled = referee.settle(stack, sender.sent, SETTLE_SHORT_S if options.short else SETTLE_LONG_S)
    crashed = crashes.killed_thrice(sender.sent, settled.observed.ledger, [*storm.acts, *armed.acts(logs)])
    findings = Judge(crashes.as_damaged(sender.sent, crashed), settled.observed).judge()
    if len(sender.sent) != len(sender.files):
        findings.append(Finding(Harm.WRONG, None, f"only {len(sender.sent)} of {len(sender.files)} files were sent"))
    # Of a broken line nothing more is to be learnt.
    if not findings:
        note("settled; redriving")
        findings = redrive(stack, crashes.as_redriven(sender.sent, crashed, settled.observed.ledger))
    acts, receives = [*storm.acts, *armed.acts(logs)], list(stack.receives().values())
    result = Run(sender.sent, acts, settled, findings, receives, stack.most_receives(), armed.kills(), crashed, stack.visibility_s)
    return replace(result, findings=[*findings, *recovery.check(result)])


def _prepare(world: World, options: Options) -> Points:
    """Put the proxies between, arm the failpoints, let the disk be one that can be full, and put the files that are not announced by S3."""
    stack = world.stack
    folder = stack.folder / "passes"
    folder.mkdir()
    armed = Points(points.choose(options.kills, options.files), folder)
    wiring.put_between(stack, {name: way.port for name, way in world.proxies.ways.items()})
    for service in SERVICES:
        wiring.give(stack, service, armed.environment(service))
    if options.mutant:
        wiring.mutate(stack, options.mutant)
    if world.disk:
        disk.install(stack)
    wiring.restart(stack)
    if world.disk:
        disk.prove(stack)
    world.sender.prepare()
    return armed


def _blow(storm: Storm, sender: Sender, options: Options) -> None:
    """The sender's files and the storm side by side. When one of them fails, the other ends too."""
    stop = threading.Event()
    failures: list[BaseException] = []

    def send() -> None:
        try:
            sender.send(options.storm_s, stop)
        except BaseException as error:  # noqa: BLE001 - handed to the main thread
            failures.append(error)
            stop.set()

    thread = threading.Thread(target=send, name="sender")
    thread.start()
    try:
        storm.blow(stop)
    except BaseException:
        stop.set()
        raise
    finally:
        thread.join()
    if failures:
        raise failures[0]
