"""A second poller on the same queue, for some seconds."""

import json
import random
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from chaos.nemesis import World
from chaos.stack import Stack

NAME = "second poller"
INSTANCE = "chaos-second"
END_TIMEOUT_S = 15


@contextmanager
def another_poller(world: World, source: random.Random) -> Iterator[None]:
    """It works beside the first until it is stopped in good order or killed; it never outlives the context."""
    process = _start(world.stack)
    try:
        yield
        process.send_signal(source.choice([signal.SIGTERM, signal.SIGKILL]))
        with suppress(subprocess.TimeoutExpired):
            process.wait(END_TIMEOUT_S)
    finally:
        process.kill()
        process.wait(END_TIMEOUT_S)


def _start(stack: Stack) -> "subprocess.Popen[bytes]":
    told = json.loads((stack.folder / "run" / "poller.json").read_text(encoding="utf-8"))
    environment = told["env"] | {"HIKYAKU_INSTANCE": INSTANCE, "HIKYAKU_HEALTH_FILE": str(stack.folder / "run" / "second.health")}
    with (stack.folder / "logs" / "poller-second.log").open("ab") as log:
        return subprocess.Popen(told["argv"], env=environment, cwd=stack.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
