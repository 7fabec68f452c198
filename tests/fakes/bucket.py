"""S3 as the sender's upload drives it: boto3's managed upload, and the hooks that tell of its last call."""

from collections.abc import Callable
from typing import Any


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

    def register(self, event: str, hook: Callable[..., object]) -> None:
        """Have a hook called."""
        self.hooks.setdefault(event, []).append(hook)

    def unregister(self, event: str, hook: Callable[..., object]) -> None:
        """Have it called no more."""
        self.hooks[event].remove(hook)

    def upload_fileobj(self, file: Any, bucket: str, key: str, **how: Any) -> None:
        """As one PutObject."""
        self.before()
        if self.error is not None:
            raise self.error
        params: dict[str, Any] = {"Bucket": bucket, "Key": key, **how["ExtraArgs"]}
        self._call("provide-client-params.s3.PutObject", params=params)
        self.got.append((key, file.read(), params))
        self._call("after-call.s3.PutObject", parsed={"ETag": "x", "VersionId": f"v{len(self.got)}"})

    def _call(self, event: str, **about: Any) -> None:
        for hook in self.hooks.get(event, []):
            hook(**about)
