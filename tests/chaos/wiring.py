"""What a run changes in the local stack's own files: the proxies between, more environment, a mutant in a service's place."""

import json
import signal
import time
from collections.abc import Mapping
from pathlib import Path

from chaos.stack import SERVICES, Stack, eventually, signal_to

TESTS = Path(__file__).parent.parent


def put_between(stack: Stack, proxies: Mapping[str, int]) -> None:
    """Let the services reach their dependencies through these ports; nobody else does."""
    ports, secrets = stack.ports(), stack.folder / "secrets"
    for service in SERVICES:
        _replace_port(secrets / "redis" / f"{service}.url", ports["redis"], proxies["redis"])
    _replace_port(secrets / "postgres" / "hikyaku_loader.url", ports["postgres"], proxies["postgres"])
    _replace_port(_record(stack, "poller"), ports["localstack"], proxies["sqs"])
    _replace_port(_record(stack, "decryptor"), ports["localstack"], proxies["s3"])


def give(stack: Stack, program: str, environment: Mapping[str, str]) -> None:
    """Add to a program's environment, from its next start on."""
    path = _record(stack, program)
    told = json.loads(path.read_text(encoding="utf-8"))
    told["env"] |= environment
    path.write_text(json.dumps(told), encoding="utf-8")


def mutate(stack: Stack, mutant: str) -> None:
    """Start the services as `chaos.mutant` breaks them."""
    for service in SERVICES:
        path = _record(stack, service)
        told = json.loads(path.read_text(encoding="utf-8"))
        told["argv"] = [told["argv"][0], "-m", "chaos.mutant", mutant, service]
        told["env"]["PYTHONPATH"] = str(TESTS)
        path.write_text(json.dumps(told), encoding="utf-8")


def restart(stack: Stack) -> None:
    """Start PostgreSQL and the services anew, with what they were given."""
    before = time.time()
    signal_to(stack.main("postgres"), signal.SIGKILL)
    for service in SERVICES:
        signal_to(stack.worker(service), signal.SIGKILL)
    eventually(lambda: all(_is_fresh(stack, service, before) for service in SERVICES), "the services run with the proxies between")


def _is_fresh(stack: Stack, service: str, since: float) -> bool:
    path = stack.folder / "run" / f"{service}.health"
    return path.exists() and path.stat().st_mtime > since + 1


def _record(stack: Stack, program: str) -> Path:
    """Where the stack reads how to start a program."""
    return stack.folder / "run" / f"{program}.json"


def _replace_port(path: Path, old: int, new: int) -> None:
    path.write_text(path.read_text(encoding="utf-8").replace(f"127.0.0.1:{old}", f"127.0.0.1:{new}"), encoding="utf-8")
