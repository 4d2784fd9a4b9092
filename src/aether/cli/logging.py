"""Structured logs on stderr: readable on a terminal, a JSON object a line elsewhere."""

from __future__ import annotations

import logging
import sys

import structlog


def configure_logging(level: str) -> None:
    """`level` is a name of the standard library's, in lower case."""
    terminal = sys.stderr.isatty()
    # Without the values of variables: among them are passwords and functions' own settings.
    traceback = structlog.dev.RichTracebackFormatter(show_locals=False)
    on_terminal = structlog.dev.ConsoleRenderer(exception_formatter=traceback)
    renderer = on_terminal if terminal else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.StackInfoRenderer(),
            *([] if terminal else [structlog.processors.format_exc_info]),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
