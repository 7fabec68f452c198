"""One log line per step, with the same keys everywhere: JSON in containers, readable on a terminal.

Every unit of work logs `action`, `file` (its id), `dataset`, `message_id`, `duration_s`. Row data, secrets and receipt
handles are never logged. What others chose, as a key, can't forge a line or steer a terminal: see `shared.printable`.
"""

import io
import logging
import sys
from typing import Any, Literal, TextIO

import structlog
from celery.signals import setup_logging
from structlog.typing import EventDict, ExcInfo, Processor

from shared.printable import printable

QUIET = (
    "celery.app.trace",
    "celery.worker.strategy",
    "botocore",
    "boto3",
    "urllib3",
    "kombu",
    "amqp",
    "tornado.access",
)
"""Loggers whose everyday lines would bury ours; their warnings still show."""


def configure(service: str, instance: str, log_format: Literal["auto", "json", "console"], level: str) -> None:
    """Send structlog and the standard library's logging through one formatter to stderr, and keep Celery from replacing it."""

    def name_the_service(_logger: Any, _method: str, event: EventDict) -> EventDict:
        # Not a context variable: those do not reach other threads.
        event.setdefault("service", service)
        event.setdefault("instance", instance)
        return event

    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        name_the_service,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_formatter(log_format, shared))
    logging.basicConfig(handlers=[handler], level=level, force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    setup_logging.connect(_leave_it, weak=False)


def _leave_it(**_: Any) -> None:
    """A receiver of Celery's setup_logging signal: while there is one, Celery leaves logging alone."""


def _formatter(log_format: str, shared: list[Processor]) -> logging.Formatter:
    pretty = log_format == "console" or (log_format == "auto" and sys.stderr.isatty())
    renderer: list[Processor] = (
        # Plain tracebacks: the pretty ones print local variables, and with them secrets and row data.
        [_fit_to_print, structlog.dev.ConsoleRenderer(exception_formatter=_traceback)]
        if pretty
        else [structlog.processors.format_exc_info, _fit_to_print, structlog.processors.JSONRenderer(ensure_ascii=False)]
    )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer]
    )


def _fit_to_print(_logger: Any, _method: str, event: EventDict) -> EventDict:
    for name, value in event.items():
        event[name] = _lines(value) if name in {"exception", "stack"} else _printable(value)
    return event


def _printable(value: Any) -> Any:
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, list | tuple | set | frozenset):
        return [_printable(each) for each in value]
    if isinstance(value, dict):
        return {_printable(name): _printable(each) for name, each in value.items()}
    return value


def _lines(value: Any) -> Any:
    """Of a traceback, whose line ends are our own."""
    return "\n".join(map(printable, value.split("\n"))) if isinstance(value, str) else value


def _traceback(out: TextIO, error: ExcInfo) -> None:
    written = io.StringIO()
    structlog.dev.plain_traceback(written, error)
    out.write(_lines(written.getvalue()))


def get_logger() -> structlog.stdlib.BoundLogger:
    """The one logger; bind what is known of the file before the work starts."""
    logger: structlog.stdlib.BoundLogger = structlog.get_logger("hikyaku")
    return logger
