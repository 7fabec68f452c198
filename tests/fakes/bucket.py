"""S3 as boto3's managed upload drives it, and the hooks that tell of its last call."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import pytest

from hikyaku.sending import upload


class Bucket:
    """Takes uploads, or fails them; `before` each one something may happen."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error
        self.got: list[tuple[str, bytes, dict[str, Any]]] = []
        """Key, bytes and parameters of each upload."""
        self.before: Callable[[], object] = lambda: None
        self.hooks: dict[str, list[Callable[..., object]]] = {}
        self.meta = self
        self.events = self
        self.config = self
        self.request_checksum_calculation = "when_required"

    def installed(self, monkeypatch: pytest.MonkeyPatch, home: Path) -> Self:
        """Be what the command sends to; what it remembers lies in `home`."""
        monkeypatch.setenv("XDG_STATE_HOME", str(home / "state"))
        monkeypatch.setattr(upload, "s3_client", lambda: self)
        return self

    def register(self, event: str, hook: Callable[..., object]) -> None:
        """Have a hook called."""
        self.hooks.setdefault(event, []).append(hook)

    def register_first(self, event: str, hook: Callable[..., object], **_: Any) -> None:
        """The managed upload's own, for requests that are not made here."""

    register_last = register_first

    def unregister(self, event: str, hook: Callable[..., object]) -> None:
        """Have it called no more."""
        self.hooks[event].remove(hook)

    def put_object(self, **params: Any) -> None:
        """Take it: the bytes first, then `before`, then the answer."""
        body = params.pop("Body").read()
        self.before()
        if self.error is not None:
            raise self.error
        self._call("provide-client-params.s3.PutObject", params=params)
        self.got.append((params["Key"], body, params))
        self._call("after-call.s3.PutObject", parsed={"ETag": "x", "VersionId": f"v{len(self.got)}"})

    def _call(self, event: str, **about: Any) -> None:
        for hook in self.hooks.get(event, []):
            hook(**about)
