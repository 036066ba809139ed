# From laterctl: pooling.
"""Engines with a bounded pool, which say when the database is not there."""

import logging
from collections.abc import Sequence
from functools import partial, wraps
from inspect import isawaitable
from typing import Any, cast

from fastapi import HTTPException, Request, Response
from fastapi.types import DecoratedCallable
from pydantic import NonNegativeFloat, NonNegativeInt, PositiveInt
from sqlalchemy import URL, event, exc, make_url
from sqlalchemy.engine import Dialect, ExceptionContext
from sqlalchemy.pool import QueuePool

from order_service.core.feature_settings import FeatureSettings

# Classes of SQLSTATE: no connection, no resources, stopped by the server.
UNAVAILABLE = ('08', '53', '57')

PoolTimeoutError = exc.TimeoutError
logger = logging.getLogger(__name__)


class PoolSettings(FeatureSettings):
    """How many connections there are, and how long they may be busy."""

    db_pool_size: PositiveInt = 5
    db_max_overflow: NonNegativeInt = 5
    db_statement_timeout_seconds: NonNegativeFloat = 30.0
    db_pgbouncer: bool = False


class DatabaseUnavailableError(exc.OperationalError):
    """The database cannot be reached or had no time: try again."""


def pooled(create: DecoratedCallable) -> DecoratedCallable:
    """Return what makes engines as `create` does, with a bounded pool.

    Options that are given win. SQLite has no server, and is left as it is.
    """

    @wraps(create)
    def create_pooled(url: str | URL, **options: object) -> object:
        if make_url(url).get_backend_name() == 'sqlite':
            return create(url, **options)
        settings = PoolSettings()
        engine = create(url, **_pool(settings, options) | options)
        target = getattr(engine, 'sync_engine', engine)
        event.listen(target, 'do_connect', partial(_connect, settings))
        event.listen(target, 'handle_error', _translated)
        return engine

    return cast('DecoratedCallable', create_pooled)


def _pool(settings: PoolSettings, given: dict[str, Any]) -> dict[str, object]:
    kind = given.get('poolclass') or QueuePool
    if 'pool' in given or not issubclass(kind, QueuePool):
        return {}
    return {
        'pool_size': settings.db_pool_size,
        'max_overflow': settings.db_max_overflow,
        'pool_timeout': 3,
        'pool_recycle': 1800,
        'pool_pre_ping': True,
        'pool_use_lifo': True,
    }


def _limits(
    settings: PoolSettings,
    driver: str,
    given: dict[str, Any],
) -> dict[str, Any]:
    """Return the arguments of a driver for PostgreSQL."""
    # PgBouncer refuses limits, and what is prepared on a shared connection.
    shared = settings.db_pgbouncer
    limits = {
        'statement_timeout': f'{settings.db_statement_timeout_seconds:f}s',
        'idle_in_transaction_session_timeout': '60s',
    }
    if driver == 'asyncpg':
        session = {'application_name': __name__} | ({} if shared else limits)
        session |= given.get('server_settings', {})
        cache = {'statement_cache_size': 0} if shared else {}
        return {'timeout': 5, **cache, **given, 'server_settings': session}
    if driver in {'psycopg', 'psycopg2'}:
        ours: dict[str, Any] = {'connect_timeout': 5}
        ours['application_name'] = __name__
        if not shared:
            options = (f'-c {name}={limits[name]}' for name in limits)
            ours['options'] = ' '.join(options)
        elif driver == 'psycopg':
            ours['prepare_threshold'] = None
        return ours | given
    return given


def _connect(
    settings: PoolSettings,
    dialect: Dialect,
    _record: object,
    args: Sequence[Any],
    given: dict[str, Any],
) -> object:
    try:
        return dialect.connect(*args, **_limits(settings, dialect.driver, given))
    except Exception as error:
        if _is_unavailable(error, dialect.loaded_dbapi.OperationalError):
            raise DatabaseUnavailableError(None, None, error) from error
        raise


def _translated(context: ExceptionContext) -> Exception | None:
    error = context.original_exception
    if context.is_pre_ping or not isinstance(error, Exception):
        return None
    if context.is_disconnect or _is_unavailable(error):
        return DatabaseUnavailableError(None, None, error)
    return None


def _is_unavailable(error: Exception, kind: type[Exception] = OSError) -> bool:
    state = getattr(error, 'sqlstate', None) or getattr(error, 'pgcode', None)
    return isinstance(error, OSError | kind) or str(state)[:2] in UNAVAILABLE


async def handle_unavailable(request: Request, error: Exception) -> Response:
    """Answer 503 in the shape that the application's errors have."""
    if request.scope['type'] != 'http':
        raise error
    logger.warning('no database: %s', type(error.__cause__ or error).__name__)
    busy = HTTPException(503, 'The database is busy', {'Retry-After': '1'})
    handlers = request.app.exception_handlers
    kinds = (503, *HTTPException.__mro__)
    answer = next(handlers[each] for each in kinds if each in handlers)
    response: Any = answer(request, busy)
    if isawaitable(response):
        response = await response
    return cast('Response', response)
