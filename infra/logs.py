"""Logs: one shape for every process, its own lines and its libraries' alike."""

import logging
import sys
from pathlib import Path
from typing import Final

import structlog
from structlog.typing import Processor

from schemas.settings import Settings

_QUIET: Final = {
    # Libraries that tell of their daily life at INFO.
    "aiokafka": logging.WARNING,
    "faust": logging.WARNING,
    "mode": logging.WARNING,
    "httpx": logging.WARNING,
    "clickhouse_connect": logging.WARNING,
    "numba": logging.WARNING,
}

_SILENT: Final = {
    # At DEBUG it tells the headers of WebSockets, tokens among them, at INFO their addresses.
    "uvicorn": logging.WARNING,
    "websockets": logging.WARNING,
    # They tell whom it writes to, and with which secrets.
    "apprise": logging.CRITICAL,
    "urllib3": logging.WARNING,
}
"""Whatever ``log_level`` says."""


def configure_logging(settings: Settings, path: Path | None = None, *, quiet: bool = False) -> None:
    """Send structlog and the standard library's logging the same way, by ``log_level`` and ``log_format``.

    They go to standard error, or to the file at ``path`` where standard error belongs to people. ``quiet`` is for
    commands that answer in one line: only ``log_level`` debug shows what their libraries say.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    handler = logging.FileHandler(path, delay=True) if path else logging.StreamHandler(sys.stderr)
    to_terminal = path is None and sys.stderr.isatty()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_renderers(settings, colors=to_terminal),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.CRITICAL if quiet and settings.log_level != "debug" else settings.log_level.upper())
    levels = _SILENT if settings.log_level == "debug" else {**_QUIET, **_SILENT}
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


def _renderers(settings: Settings, *, colors: bool) -> list[Processor]:
    # Tracebacks without local variables: those hold tokens and positions.
    if settings.log_format == "json":
        traceback = structlog.processors.ExceptionRenderer(
            structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        )
        return [traceback, structlog.processors.JSONRenderer()]
    return [structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback)]
