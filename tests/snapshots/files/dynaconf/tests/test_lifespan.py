# From laterctl: lifespan.
"""What the application opens is closed again, in order, whatever happens."""

import asyncio

import anyio
import pytest
from fastapi import APIRouter, FastAPI

from order_service.core.lifespan import ManagedResources, Step


def _step(log: list[str], entry: str) -> Step:
    async def step() -> None:
        log.append(entry)

    return step


def _failing(log: list[str], entry: str) -> Step:
    async def step() -> None:
        log.append(entry)
        raise RuntimeError(entry)

    return step


def _app(resources: ManagedResources) -> FastAPI:
    return FastAPI(lifespan=resources.run)


def _run(app: FastAPI) -> None:
    async def cycle() -> None:
        async with app.router.lifespan_context(app):
            pass

    asyncio.run(cycle())


def test_starts_by_rank_and_closes_in_reverse() -> None:
    """Hooks run by rank; closers run the other way round."""
    log: list[str] = []
    resources = ManagedResources()

    async def build() -> None:
        resources.on_shutdown('cache', _step(log, 'close cache'), rank=30)
        resources.on_shutdown('pool', _step(log, 'close pool'), rank=10)
        resources.on_shutdown('queue', _step(log, 'close queue'), rank=30)

    resources.on_startup('last', _step(log, 'start last'), rank=60)
    resources.on_startup('build', build)
    resources.on_startup('first', _step(log, 'start first'), rank=40)
    _run(_app(resources))
    starts, closes = log[:2], log[2:]
    assert starts == ['start first', 'start last']
    assert closes == ['close queue', 'close cache', 'close pool']


def test_starts_again_on_another_event_loop() -> None:
    """A closer is forgotten once it ran; a hook runs at each start."""
    log: list[str] = []
    resources = ManagedResources()

    async def build() -> None:
        log.append('build')
        resources.on_shutdown('pool', _step(log, 'close'))

    resources.on_startup('pool', build)
    app = _app(resources)
    _run(app)
    _run(app)
    assert log == ['build', 'close', 'build', 'close']


def test_a_failing_closer_stops_no_other_and_surfaces() -> None:
    """Every closer runs; the last error is raised."""
    log: list[str] = []
    resources = ManagedResources()
    resources.on_shutdown('pool', _step(log, 'pool'), rank=10)
    resources.on_shutdown('cache', _failing(log, 'cache'), rank=20)
    resources.on_shutdown('queue', _failing(log, 'queue'), rank=30)
    with pytest.raises(RuntimeError, match='cache'):
        _run(_app(resources))
    assert log == ['queue', 'cache', 'pool']


def test_a_failing_start_closes_what_was_opened() -> None:
    """Hooks after the failing one do not run; closers do."""
    log: list[str] = []
    resources = ManagedResources()

    async def build() -> None:
        resources.on_shutdown('pool', _step(log, 'close pool'))

    resources.on_startup('pool', build, rank=10)
    resources.on_startup('broken', _failing(log, 'broken'), rank=20)
    resources.on_startup('later', _step(log, 'later'), rank=30)
    with pytest.raises(RuntimeError, match='broken'):
        _run(_app(resources))
    assert log == ['broken', 'close pool']


def test_a_hanging_closer_is_given_up() -> None:
    """It costs its time limit, and the others still run."""
    log: list[str] = []
    resources = ManagedResources(close_timeout_seconds=0.05)
    resources.on_shutdown('pool', _step(log, 'pool'), rank=10)
    resources.on_shutdown('stuck', anyio.sleep_forever, rank=20)
    with pytest.raises(TimeoutError):
        _run(_app(resources))
    assert log == ['pool']


def test_entered_twice_it_runs_once() -> None:
    """The application and a router may both have it as their lifespan."""
    log: list[str] = []
    resources = ManagedResources()

    async def build() -> None:
        log.append('build')
        resources.on_shutdown('pool', _step(log, 'close'))

    resources.on_startup('pool', build)
    app = _app(resources)
    app.include_router(APIRouter(lifespan=resources.run))

    async def cycle() -> None:
        async with app.router.lifespan_context(app):
            log.append('running')

    asyncio.run(cycle())
    assert log == ['build', 'running', 'close']


def test_the_same_name_replaces() -> None:
    """A module that is imported under two names registers once."""
    log: list[str] = []
    resources = ManagedResources()
    for turn in ('one', 'two'):
        resources.on_startup('pool', _step(log, f'start {turn}'))
        resources.on_shutdown('pool', _step(log, f'close {turn}'))
    _run(_app(resources))
    assert log == ['start two', 'close two']
