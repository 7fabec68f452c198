"""One run from start to end."""

import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from chaos import referee, report
from chaos.files import Maker
from chaos.model import Finding, Harm, Judge
from chaos.nemesis import World
from chaos.options import Options
from chaos.proxy import Proxies
from chaos.redrive import redrive
from chaos.sender import Sender
from chaos.stack import Stack
from chaos.storm import Storm, schedule_kills, schedule_outages

SETTLE_SHORT_S, SETTLE_LONG_S = 75.0, 600.0
LOCAL = Path(__file__).parents[2] / ".local"


@contextmanager
def running() -> Iterator[Stack]:
    """A stack in a folder of its own, stopped in every case."""
    LOCAL.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="chaos-", dir=LOCAL))
    # PostgreSQL may run as another user.
    folder.chmod(0o755)
    stack = Stack(folder)
    try:
        stack.up()
        yield stack
    finally:
        stack.down()


def run(options: Options, console: Console) -> report.Run:
    """Do it all, print it, and return it."""
    begin = time.monotonic()
    console.print(f"seed {options.seed}; again with: {options.again}", highlight=False, soft_wrap=True)
    with running() as stack:
        _note(console, begin, f"the stack is up in {stack.folder}")
        result = _storm(options, stack, console, begin)
    report.show(result, console)
    verdict = "[bold red]the promise is broken[/bold red]" if result.findings else "[bold green]every file exactly once[/bold green]"
    done = f"{result.kills} kills, {result.outage_kinds} kinds of outage, {len(result.sent)} files"
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


def _storm(options: Options, stack: Stack, console: Console, begin: float) -> report.Run:
    ports = stack.ports()
    targets = {"postgres": ports["postgres"], "redis": ports["redis"], "s3": ports["localstack"], "sqs": ports["localstack"]}
    proxies = Proxies(targets, options.seed)
    sender = Sender(stack, Maker(options.seed, options.files).make(), options.seed)
    stack.rewire({name: way.port for name, way in proxies.ways.items()}, options.mutant)
    sender.prepare()
    _note(console, begin, f"{len(sender.files)} files are made; the storm begins")
    storm = Storm(
        World(stack, proxies, sender),
        schedule_kills(options.seed, options.storm_s, options.kills),
        schedule_outages(options.seed, options.storm_s),
    )
    _blow(storm, sender, options)
    _note(console, begin, f"{len(storm.acts)} nemeses have struck, {storm.missed} found no victim; settling")
    settled = referee.settle(stack, sender.sent, SETTLE_SHORT_S if options.short else SETTLE_LONG_S)
    findings = Judge(sender.sent, settled.observed).judge()
    if len(sender.sent) != len(sender.files):
        findings.append(Finding(Harm.WRONG, None, f"only {len(sender.sent)} of {len(sender.files)} files were sent"))
    # Of a broken line nothing more is to be learnt.
    if not findings:
        _note(console, begin, "settled; redriving")
        findings = redrive(stack, sender.sent)
    return report.Run(sender.sent, storm.acts, settled, findings, list(stack.receives().values()))


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
