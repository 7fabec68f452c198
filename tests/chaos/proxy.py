"""A small TCP proxy before each dependency, which cuts, delays, resets, swallows, throttles and answers with errors when told."""

import asyncio
import contextlib
import random
import socket
import struct
import threading
from collections.abc import Coroutine
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

CHUNK = 64 * 1024
DELAY_S = 0.3
SLOW_CHUNK, SLOW_PAUSE_S = 4096, 0.05
RESET_WITHIN = 20_000
"""Bytes of an answer after which, at the latest, a connection is reset in mid-stream."""
CALL_TIMEOUT_S = 10
T = TypeVar("T")


class Fault(StrEnum):
    """What a proxy does to its connections."""

    NONE = "none"
    CUT = "cut"
    DELAY = "delayed"
    RESET = "reset in mid-stream"
    SWALLOW = "swallows"
    ERROR = "answers with errors"
    SLOW = "slow bodies"
    KMS_DISABLED = "key disabled"
    KMS_THROTTLES = "throttles S3"


def _s3_error(status: str, code: str, message: str) -> tuple[str, bytes]:
    return status, f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()


ERRORS = {
    ("s3", Fault.ERROR): _s3_error("503 Slow Down", "SlowDown", "Please reduce your request rate."),
    # GetObject passes on what KMS answered it.
    ("s3", Fault.KMS_DISABLED): _s3_error("400 Bad Request", "KMS.DisabledException", "The KMS key is disabled."),
    ("s3", Fault.KMS_THROTTLES): _s3_error(
        "400 Bad Request", "ThrottlingException", "You have exceeded the rate at which you may call KMS."
    ),
    ("sqs", Fault.ERROR): ("400 Bad Request", b'{"__type":"com.amazonaws.sqs#RequestThrottled","message":"Request is throttled."}'),
}
"""HTTP status and body."""


@dataclass(eq=False)
class Connection:
    """A client's connection and the one to the server behind it."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    budget: int = 0
    """Bytes of answers until it is reset, while resets are on."""
    tainted: bool = False
    """Something of it was swallowed: it can never be right again."""

    def abort(self) -> None:
        """Reset both sides."""
        for writer in (self.client, self.server):
            reset(writer)


def reset(writer: asyncio.StreamWriter) -> None:
    """Close a connection with RST, as a crashed host or a firewall would."""
    sock = writer.get_extra_info("socket")
    with contextlib.suppress(OSError, ValueError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@dataclass
class Way:
    """The proxy before one dependency."""

    name: str
    target: int
    random: random.Random
    port: int = 0
    fault: Fault = Fault.NONE
    connections: set[Connection] = field(default_factory=set)

    async def listen(self) -> None:
        """Take a free port of loopback."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]

    def begin(self, fault: Fault) -> None:
        """Start to misbehave, on the connections that there are as well."""
        self.fault = fault
        for connection in list(self.connections):
            connection.budget = self.random.randrange(RESET_WITHIN)
            if fault is Fault.CUT:
                connection.abort()

    def end(self) -> None:
        """Behave again. What was swallowed from is reset: its peers would wait for ever."""
        self.fault = Fault.NONE
        for connection in list(self.connections):
            if connection.tainted:
                connection.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.fault is Fault.CUT:
            reset(writer)
            return
        try:
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            reset(writer)
            return
        connection = Connection(writer, server_writer, self.random.randrange(RESET_WITHIN))
        self.connections.add(connection)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, server_writer, connection, answers=False))
                group.create_task(self._pump(server_reader, writer, connection, answers=True))
        finally:
            self.connections.discard(connection)
            for each in (writer, server_writer):
                each.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: Connection, *, answers: bool) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while chunk := await reader.read(CHUNK):
                if not await self._pass(chunk, reader, writer, connection, answers=answers):
                    connection.abort()
                    return
        with contextlib.suppress(OSError, RuntimeError):
            writer.write_eof()
        if answers:
            # The server is done with it, and a client that waits in its pool shall see that.
            connection.client.close()

    async def _pass(
        self, chunk: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: Connection, *, answers: bool
    ) -> bool:
        """Pass a piece on, or what the fault makes of it. False: the connection shall be reset."""
        if self.fault is Fault.SWALLOW or connection.tainted:
            connection.tainted = True
            return True
        if (error := ERRORS.get((self.name, self.fault))) and not answers:
            await self._answer_with_error(error, chunk, reader, connection)
            return True
        if self.fault is Fault.RESET and answers:
            chunk, connection.budget = chunk[: connection.budget], connection.budget - len(chunk)
        await self._write(chunk, writer, slow=self.fault is Fault.SLOW and answers)
        return not (self.fault is Fault.RESET and answers and connection.budget <= 0)

    async def _write(self, chunk: bytes, writer: asyncio.StreamWriter, *, slow: bool) -> None:
        if self.fault is Fault.DELAY:
            await asyncio.sleep(DELAY_S)
        step = SLOW_CHUNK if slow else CHUNK
        for start in range(0, len(chunk), step):
            writer.write(chunk[start : start + step])
            await writer.drain()
            if slow and self.fault is Fault.SLOW:
                await asyncio.sleep(SLOW_PAUSE_S)

    async def _answer_with_error(
        self, error: tuple[str, bytes], chunk: bytes, reader: asyncio.StreamReader, connection: Connection
    ) -> None:
        """Take the whole HTTP request, and answer it as AWS would."""
        while b"\r\n\r\n" not in chunk and (more := await reader.read(CHUNK)):
            chunk += more
        head, _, body = chunk.partition(b"\r\n\r\n")
        missing = _content_length(head) - len(body)
        if missing > 0:
            await reader.readexactly(missing)
        status, answer = error
        said = f"HTTP/1.1 {status}\r\nContent-Length: {len(answer)}\r\nConnection: close\r\n\r\n".encode()
        connection.client.write(said + answer)
        await connection.client.drain()
        connection.client.close()


def _content_length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name == b"content-length":
            return int(value)
    return 0


class Proxies:
    """All proxies of a run, in a thread of their own."""

    def __init__(self, targets: dict[str, int], seed: int) -> None:
        self.ways = {name: Way(name, port, random.Random(f"{seed} {name}")) for name, port in targets.items()}
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="proxies", daemon=True).start()
        for way in self.ways.values():
            self._call(way.listen())

    def begin(self, name: str, fault: Fault) -> None:
        """Let one proxy misbehave."""
        self._call(self._do(lambda: self.ways[name].begin(fault)))

    def end(self, name: str) -> None:
        """Let it behave again."""
        self._call(self._do(self.ways[name].end))

    async def _do(self, action: Any) -> None:
        action()

    def _call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(CALL_TIMEOUT_S)
