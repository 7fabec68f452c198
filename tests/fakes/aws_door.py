"""A door before AWS (LocalStack): passes requests on, with another Date on the answers; or refuses them all."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.request import ProxyHandler, Request, build_opener

REFUSAL = (
    b"<ErrorResponse><Error><Type>Sender</Type><Code>InvalidClientTokenId</Code>"
    b"<Message>The security token included in the request is invalid.</Message></Error></ErrorResponse>"
)
DROPPED = {"date", "transfer-encoding", "connection", "content-length", "server"}


@contextmanager
def door(upstream: str = "", *, off: timedelta = timedelta()) -> Iterator[str]:
    """Yields its URL; without an upstream it knows no credentials."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, headers, answer = _passed_on(upstream + self.path, dict(self.headers), body) if upstream else (403, {}, REFUSAL)
            self.send_response_only(status)
            self.send_header("Date", format_datetime(datetime.now(UTC) + off, usegmt=True))
            for name, value in {**headers, "Content-Length": str(len(answer))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _passed_on(url: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
    request = Request(url, body, headers)  # noqa: S310 - http, to LocalStack
    with build_opener(ProxyHandler({})).open(request, timeout=30) as answer:
        return answer.status, {name: value for name, value in answer.headers.items() if name.lower() not in DROPPED}, answer.read()
