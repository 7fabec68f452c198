"""Certificates of a test's own, and a TLS front for servers that were built without it. PYTEST_DONT_REWRITE: test modules import this."""

import asyncio
import contextlib
import ssl
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SSL_REQUEST = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"
"""How a PostgreSQL client asks for TLS (PostgreSQL manual, "Message Formats")."""
CHUNK = 65536


@dataclass(frozen=True, slots=True)
class Authority:
    """A CA that signs certificates for one name each."""

    folder: Path

    @property
    def certificate(self) -> Path:
        return self.folder / "ca.pem"

    def issue(self, name: str) -> ssl.SSLContext:
        """What a server presents whose certificate says `name`: `IP:127.0.0.1` or `DNS:redis`."""
        stem = self.folder / name.replace(":", "-")
        extensions = stem.with_suffix(".ext")
        extensions.write_text(f"subjectAltName={name}\n")
        _openssl("req", "-newkey", *KEY, "-keyout", f"{stem}.key", "-subj", "/CN=server", "-out", f"{stem}.csr")
        authority = ("-CA", str(self.certificate), "-CAkey", str(self.folder / "ca.key"), "-CAcreateserial")
        _openssl("x509", "-req", "-in", f"{stem}.csr", *authority, "-days", "2", "-extfile", str(extensions), "-out", f"{stem}.pem")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(f"{stem}.pem", f"{stem}.key")
        return context


KEY = ("ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def authority(folder: Path) -> Authority:
    """A new CA."""
    folder.mkdir()
    made = Authority(folder)
    _openssl(
        *("req", "-x509", "-newkey", *KEY, "-keyout", str(folder / "ca.key"), "-days", "2", "-subj", "/CN=test CA"),
        *("-addext", "keyUsage=critical,keyCertSign", "-out", str(made.certificate)),
    )
    return made


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


@contextlib.contextmanager
def front(port: int, context: ssl.SSLContext, *, postgres: bool = False) -> Iterator[int]:
    """Take TLS on a free loopback port and pass it on in clear to `port`; with `postgres`, after its request for TLS."""
    loop = asyncio.new_event_loop()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError):
            if postgres:
                assert await reader.readexactly(len(SSL_REQUEST)) == SSL_REQUEST
                writer.write(b"S")
                await writer.start_tls(context)
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.gather(_pump(reader, inner_writer), _pump(inner_reader, writer))

    async def listen() -> asyncio.Server:
        return await asyncio.start_server(serve, "127.0.0.1", 0, ssl=None if postgres else context)

    # A client that refuses our certificate is what the tests are about, and no news.
    loop.set_exception_handler(lambda *_: None)
    server = loop.run_until_complete(listen())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        asyncio.run_coroutine_threadsafe(_close(server), loop).result(timeout=10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while chunk := await reader.read(CHUNK):
            writer.write(chunk)
            await writer.drain()
    finally:
        writer.close()


async def _close(server: asyncio.Server) -> None:
    server.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
