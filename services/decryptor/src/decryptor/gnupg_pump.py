"""Streams a message through gpg: bytes in, plaintext out, and what gpg says of it; each bounded, all in one thread.

In one thread, for the task's alarm rings in the main thread only, and must find it wherever it waits.
"""

import fcntl
import os
import selectors
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import IO

from decryptor.decrypt import Sink
from decryptor.download import Source
from shared.errors import ErrorCode, Rejected

CHUNK = 256 * 1024
PIPE = 1024**2
"""Bytes that a pipe holds, instead of 64 KiB; unprivileged users may have as much (pipe(7))."""
STATUS_MAX = 64 * 1024
"""Bytes of status lines. All of them find room in their pipe, so that gpg never waits for us at its end."""
RECIPIENTS_MAX = 20
ENCRYPTED_TO = b"[GNUPG:] ENC_TO "


@dataclass(slots=True)
class Pump:
    """One run of gpg.

    Args:
        source: the message.
        sink: for the plaintext.
        limit: bytes of plaintext.
        too_large: what to raise above it.
    """

    source: Source
    sink: Sink
    limit: int
    too_large: Callable[[], Rejected]
    written: int = 0
    status: bytearray = field(default_factory=bytearray)
    _ahead: memoryview = field(default_factory=lambda: memoryview(b""))

    def run(self, start: Callable[[int], "subprocess.Popen[bytes]"]) -> int:
        """Start gpg and pass everything through it. It is ended in every case.

        Args:
            start: given the descriptor for status lines.

        Returns:
            Its exit status; negative for the signal that ended it.

        Raises:
            Rejected: `too_large`; `openpgp_invalid`, it names too many recipients. And what source and sink raise.
        """
        reading, writing = os.pipe2(os.O_CLOEXEC)
        with os.fdopen(reading, "rb", buffering=0) as told:
            try:
                _widen(reading)
                process = start(writing)
            finally:
                os.close(writing)
            with _ended(process):
                self._pass(process, told)
                code = process.wait()
            self._hear(told)
            return code

    def _pass(self, process: "subprocess.Popen[bytes]", told: IO[bytes]) -> None:
        into, out = process.stdin, process.stdout
        if into is None or out is None:
            raise AssertionError("gpg is started with pipes")
        with selectors.DefaultSelector() as selector:
            for pipe, events in ((into, selectors.EVENT_WRITE), (out, selectors.EVENT_READ), (told, selectors.EVENT_READ)):
                os.set_blocking(pipe.fileno(), False)
                selector.register(pipe, events)
            _widen(into.fileno())
            _widen(out.fileno())
            open_ = True
            while open_:
                ready = {key.fileobj for key, _ in selector.select()}
                if told in ready and not self._hear(told):
                    selector.unregister(told)
                if into in ready and not self._feed(into):
                    selector.unregister(into)
                    _close(into)
                if out in ready:
                    open_ = self._take(out)

    def _feed(self, into: IO[bytes]) -> bool:
        """Give gpg some of the message. Returns whether there may be more to give."""
        if not self._ahead:
            self._ahead = memoryview(self.source.read(CHUNK))
        if not self._ahead:
            return False
        try:
            self._ahead = self._ahead[os.write(into.fileno(), self._ahead) :]
        except BlockingIOError:
            return True
        except BrokenPipeError:
            # It wants no more; its status lines tell why.
            return False
        return True

    def _take(self, out: IO[bytes]) -> bool:
        """Pass some plaintext on. Returns whether there may be more."""
        try:
            data = os.read(out.fileno(), CHUNK)
        except BlockingIOError:
            return True
        self.written += len(data)
        if self.written > self.limit:
            raise self.too_large()
        left = memoryview(data)
        while left:
            left = left[self.sink.write(bytes(left)) :]
        return bool(data)

    def _hear(self, told: IO[bytes]) -> bool:
        """Take what gpg has said so far. Returns whether there may be more."""
        # The agent has inherited the descriptor, so there may never be an end to it.
        with suppress(BlockingIOError):
            while data := os.read(told.fileno(), CHUNK):
                self.status += data
                self._bounded()
            return False
        return True

    def _bounded(self) -> None:
        if self.status.count(ENCRYPTED_TO) > RECIPIENTS_MAX:
            raise Rejected(ErrorCode.OPENPGP_INVALID, f"the OpenPGP file names more than {RECIPIENTS_MAX} recipients")
        if len(self.status) > STATUS_MAX:
            raise Rejected(ErrorCode.OPENPGP_INVALID, "the OpenPGP file consists of too many pieces: gpg has no end of things to say")


def _widen(descriptor: int) -> None:
    # Refused where many pipes are as wide already: then it is only slower.
    with suppress(OSError):
        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, PIPE)


def _close(pipe: IO[bytes]) -> None:
    # Nothing of ours is buffered there; gpg may have closed its end.
    with suppress(BrokenPipeError):
        pipe.close()


@contextmanager
def _ended(process: "subprocess.Popen[bytes]") -> Iterator[None]:
    try:
        yield
    finally:
        process.kill()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                _close(pipe)
        process.wait()
