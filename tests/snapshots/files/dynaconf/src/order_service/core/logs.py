# From laterctl: logging.
"""Logging: each event is one line, those of servers and libraries too."""

import functools
import json
import logging
import re
import sys
import time
from collections.abc import Awaitable, Callable
from traceback import format_exception
from typing import Annotated, Any, Literal, cast

from pydantic import StringConstraints
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from order_service.core.feature_settings import FeatureSettings
from order_service.core.log_library import connect, forget
from order_service.core.request_id import request_ids
from order_service.core.routing import is_probe, route_template
from order_service.core.tasks import task_ids
from order_service.core.tracing import trace_ids

# What lines say beside the event, such as ids; asked anew for each line.
CONTEXT: list[Callable[[], dict[str, str]]] = [request_ids, trace_ids, task_ids]

HANDLER = 'logs'
ACCESS = ('uvicorn.access', 'gunicorn.access')
LEVELS = r'(?i)^(debug|info|warning|error|critical)$'
SECRETS = re.compile(
    r'(?i)(password|secret|((access|refresh)[_-])?token|authorization'
    r'|(set[_-])?cookie|api[_-]?key)',
)
LEFT = {'message', 'asctime', 'taskName', 'color_message'}  # by others
STANDARD = {*vars(logging.makeLogRecord({})), *LEFT}
access = logging.getLogger('access')
is_secret = functools.lru_cache(maxsize=1024)(SECRETS.fullmatch)
WEBSOCKET = {'websocket.accept': 101, 'websocket.close': 403}

Level = Annotated[str, StringConstraints(to_upper=True, pattern=LEVELS)]
Line = dict[str, Any]


class LogSettings(FeatureSettings):
    """What is logged, and for whom: machines, or people at a terminal."""

    log_level: Level = 'INFO'
    log_format: Literal['json', 'console'] = 'json'


def configure_logging() -> None:
    """Write each event as one line to the standard output.

    Raises ValueError when a setting is wrong.
    """
    settings = LogSettings()
    console = settings.log_format == 'console'
    handler = logging.StreamHandler(sys.__stdout__)
    handler.set_name(HANDLER)
    handler.addFilter(_is_safe)
    handler.setFormatter(ConsoleFormatter() if console else LineFormatter())
    root = logging.getLogger()
    # Those of others stay, such as the ones of tests and error trackers.
    others = [each for each in root.handlers if each.get_name() != HANDLER]
    root.handlers[:] = [*others, handler]
    root.setLevel(settings.log_level)
    _take_over_servers()
    connect(handler, settings.log_level)
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_uncaught


def _take_over_servers() -> None:
    """Have servers' lines go our way, and none for each request."""
    for name in ('uvicorn', 'uvicorn.error', 'gunicorn.error', *ACCESS):
        server = logging.getLogger(name)
        server.handlers.clear()
        server.setLevel(logging.NOTSET)
        server.propagate = name not in ACCESS


def _is_safe(record: logging.LogRecord) -> bool:
    """Leave out lines with whole URLs, whose queries hold secrets."""
    if str(record.name).partition('.')[0] in {'httpx', 'httpx2'}:
        return record.levelno > logging.INFO
    return '"WebSocket %s"' not in str(record.msg)


def _log_uncaught(_kind: object, error: BaseException, _trace: object) -> None:
    logging.getLogger(__name__).critical('Uncaught exception', exc_info=error)


class LineFormatter(logging.Formatter):
    """Writes a record, with the fields it was given, as a line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        return _json(_line(record))


class ConsoleFormatter(logging.Formatter):
    """Writes a record for people, with its traceback below."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the lines."""
        line = _line(record)
        below = line.pop('traceback', '')
        words = [_text(line.pop(key)) for key in list(line)[:4]]
        return '\n'.join([' '.join([*words, _json(line)]), below]).rstrip()


def _line(record: logging.LogRecord) -> Line:
    moment = time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created))
    line: Line = {
        'timestamp': f'{moment}.{int(record.msecs):03}Z',
        'level': record.levelname.lower(),
        'logger': record.name,
        'event': record.getMessage(),
    }
    for ids in CONTEXT:
        line |= ids()
    own = {k: v for k, v in vars(record).items() if k not in STANDARD}
    if isinstance(own.get('extra'), dict):
        own |= own.pop('extra')
    line |= {k: v for k, v in _redacted(own).items() if k not in line}
    if record.exc_info and record.exc_info[1]:
        # Without local variables, which may be secrets.
        line['exception'] = type(record.exc_info[1]).__qualname__
        line['traceback'] = ''.join(format_exception(record.exc_info[1]))
    if record.stack_info:
        line['stack'] = record.stack_info
    return line


def _redacted(fields: Line, depth: int = 3) -> Line:
    found: Line = {}
    for key, value in fields.items():
        found[key] = value
        if depth and isinstance(value, dict):
            found[key] = _redacted(cast('Line', value), depth - 1)
        if is_secret(_text(key)):
            found[key] = '***'
    return found


def _text(value: object) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - whatever is logged, the line is written
        return f'<{type(value).__name__}>'


_encode = json.JSONEncoder(allow_nan=False, default=_text).encode


def _json(line: Line) -> str:
    try:
        return _encode(line)
    except (TypeError, ValueError, RecursionError):
        # Such as NaN, a key that is no text, a list that holds itself.
        return _encode({_text(key): _text(line[key]) for key in line})


class AccessLogMiddleware:
    """Logs each request when it is over, but for those of probes."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap the rest of the application."""
        self.app = app
        _take_over_servers()  # `uvicorn.run(app)` has set them up since

    async def __call__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        """Run the application."""
        if scope['type'] not in {'http', 'websocket'}:
            await self.app(scope, receive, send)
            return
        forget()
        started = time.perf_counter()
        ended = 0.0
        status = size = 0

        def watch(message: Message) -> Awaitable[None]:
            nonlocal ended, size, status
            kind = message['type']
            status = message.get('status') or status or WEBSOCKET.get(kind, 0)
            size += len(message.get('body', b''))
            ended = time.perf_counter()  # what runs after the answer is apart
            return send(message)

        try:
            await self.app(scope, receive, watch)
        finally:
            if not is_probe(scope):
                seconds = (ended or time.perf_counter()) - started
                _log_access(scope, status or 500, size, seconds)


def _log_access(scope: Scope, status: int, size: int, seconds: float) -> None:
    fields = {
        'method': scope.get('method', 'WEBSOCKET'),
        'route': route_template(scope),
        'status': status,
        'duration_ms': round(seconds * 1000, 1),
        'bytes': size,
        'client': (scope.get('client') or ('',))[0],
    }
    levels = {4: logging.WARNING, 5: logging.ERROR}
    level = levels.get(status // 100, logging.INFO)
    if access.isEnabledFor(level):
        # Made here, because looking for its caller costs a tenth of the line.
        where = (access.name, level, __file__, 0)
        record = access.makeRecord(*where, 'request', (), None, extra=fields)
        access.handle(record)
