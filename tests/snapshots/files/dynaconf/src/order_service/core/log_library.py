# From laterctl: logging.
"""Connects structlog to the standard library's logging."""

import logging
from typing import Any

import structlog
from structlog.contextvars import clear_contextvars, merge_contextvars
from structlog.stdlib import BoundLogger, LoggerFactory, filter_by_level
from structlog.typing import EventDict

Arguments = tuple[tuple[Any, ...], dict[str, Any]]


def connect(_handler: logging.Handler, _level: str) -> None:
    """Have structlog's events logged by the standard library."""
    structlog.configure(
        processors=[filter_by_level, merge_contextvars, _arguments],
        logger_factory=LoggerFactory(),
        wrapper_class=BoundLogger,
        # Loggers that modules had before follow this too.
        cache_logger_on_first_use=False,
    )


def forget() -> None:
    """Forget what an earlier request bound by `bind_contextvars()`."""
    clear_contextvars()


def _arguments(_logger: object, _method: str, event: EventDict) -> Arguments:
    """Return what the standard library's logger is called with."""
    own = {'exc_info', 'stack_info'} & event.keys()
    known = {name: event.pop(name) for name in own}
    args = event.pop('event', ''), *event.pop('positional_args', ())
    return args, {**known, 'extra': {'extra': dict(event)}}
