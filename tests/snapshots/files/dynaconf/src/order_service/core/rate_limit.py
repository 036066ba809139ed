# From laterctl: rate-limit.
"""How often clients may ask, and what they are told of it.

A setting bounds what each client does in all, and ``limit`` a route:

    @router.post('/orders', dependencies=[limit('5/minute')])

Of N requests a minute one comes back every N-th of a minute. A client that
begins with a burst of N therefore has some minute with up to 2 N - 1; no way
of counting holds N in each minute without delaying the others.
"""

import logging
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from ipaddress import IPv6Address, IPv6Network
from math import ceil
from typing import Annotated, Any, NamedTuple

from fastapi import Depends, HTTPException, params
from fastapi.requests import HTTPConnection
from pydantic import BeforeValidator
from starlette.datastructures import MutableHeaders
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from order_service.core.feature_settings import FeatureSettings
from order_service.core.rate_store import rate_store
from order_service.core.routing import is_probe, route_template

RATE = re.compile(r'([1-9][0-9]{0,5})/(second|minute|hour|day)')
SECONDS = {'second': 1, 'minute': 60, 'hour': 3600, 'day': 86400}
MICROSECONDS = 1_000_000
STARTS = {'http.response.start', 'websocket.http.response.start'}

logger = logging.getLogger(__name__)


class Rate(NamedTuple):
    """So many requests in so many seconds."""

    requests: int
    seconds: int


class Quota(NamedTuple):
    """What is left, and in how many seconds all of it, or the next, is there.

    ``wait`` is 0 for a request that was let in.
    """

    left: int
    whole: int
    wait: int
    rate: Rate


def parse_rate(text: object) -> Rate:
    """Return the rate of a text such as 5/minute; ValueError for others."""
    match = RATE.fullmatch(str(text))
    if not match:
        message = f'{text!r} is no rate such as 100/minute'
        raise ValueError(message)
    return Rate(int(match[1]), SECONDS[match[2]])


RateText = Annotated[Rate, BeforeValidator(parse_rate)]


class RateLimitSettings(FeatureSettings):
    """What a client may do in all; None for as much as it likes."""

    rate_limit_default: RateText | None = None


async def by_ip(connection: HTTPConnection) -> str:
    """Return the client's address; of IPv6 the part that a network has.

    Behind a proxy it is the client's if FORWARDED_ALLOW_IPS has the proxy's.
    """
    host = connection.client.host if connection.client else ''
    with suppress(ValueError):
        address = IPv6Address(host)
        network = IPv6Network((int(address) >> 64 << 64, 64))
        return str(address.ipv4_mapped or network)
    return host


def limit(rate: str, key: Callable[..., object] = by_ip) -> params.Depends:
    """Ask for a rate on each route that has this among its dependencies.

    ``key`` is a dependency that returns whose requests are counted together.
    429 above the rate, ValueError for a text that is no rate.
    """
    parsed, asked = parse_rate(rate), Depends(key)

    async def take(connection: HTTPConnection, who: str = asked) -> None:
        scope = connection.scope
        route = scope.get('method', '') + route_template(scope)
        await _take(scope, parsed, f'{route}:{who}')

    return params.Depends(take)


class RateLimitMiddleware:
    """Counts the requests of each client, and tells it what is left."""

    def __init__(self, app: ASGIApp, settings: RateLimitSettings) -> None:
        """Stand inside of CORS, whose preflights are not counted."""
        self.app = app
        self._rate = settings.rate_limit_default
        logger.warning('Rate limits hold for each process alone')

    async def __call__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        """Run the application, or answer 429."""
        if scope['type'] not in {'http', 'websocket'} or is_probe(scope):
            await self.app(scope, receive, send)
            return
        state = scope.setdefault('state', {})

        def send_with_quota(message: Message) -> Awaitable[None]:
            quota = state.get('rate_limit')
            if quota and message['type'] in STARTS:
                # Copied, because responses are reused.
                headers = MutableHeaders(raw=[*message.get('headers', ())])
                headers.update(_headers(quota))
                message = {**message, 'headers': headers.raw}
            return send(message)

        app = self.app
        if self._rate and scope.get('method') != 'OPTIONS':
            try:
                who = await by_ip(HTTPConnection(scope))
                await _take(scope, self._rate, who)
            except HTTPException as error:
                app = _refusal(error, scope['app'].exception_handlers)
        await app(scope, receive, send_with_quota)


async def _take(scope: Scope, rate: Rate, key: str) -> None:
    """Count a request; a 429 above the rate."""
    step = rate.seconds * MICROSECONDS // rate.requests
    window = step * rate.requests
    name = f'rate-limit:1:{rate.requests}:{rate.seconds}:{key}'
    debt = await rate_store.take(name, step, window)
    state = scope.setdefault('state', {})
    if debt > window:
        whole, wait = _seconds(debt - step), _seconds(debt - window)
        state['rate_limit'] = Quota(0, whole, wait, rate)
        raise HTTPException(429, 'Too many requests')
    quota = Quota((window - debt) // step, _seconds(debt), 0, rate)
    state['rate_limit'] = min(quota, state.get('rate_limit', quota))


def _seconds(microseconds: int) -> int:
    return ceil(microseconds / MICROSECONDS)


def _headers(quota: Quota) -> dict[str, str]:
    requests, seconds = quota.rate
    headers = {
        'RateLimit-Policy': f'"default";q={requests};w={seconds}',
        'RateLimit': f'"default";r={quota.left};t={quota.whole}',
    }
    if quota.wait:
        headers['Retry-After'] = f'{quota.wait}'
    return headers


def _refusal(error: HTTPException, handlers: dict[Any, Any]) -> ASGIApp:
    """Return what answers as the application does for such an error."""

    async def refuse(*_: object) -> None:
        raise error

    return ExceptionMiddleware(refuse, handlers)
