# From laterctl: tasks.
"""Tasks are done, tried again when they fail, and given up in the end."""

import asyncio
from functools import partial

import dramatiq
import pytest
from dramatiq.brokers.stub import StubBroker

from order_service.core import tasks


@pytest.fixture(name='broker')
def use_broker(monkeypatch: pytest.MonkeyPatch) -> StubBroker:
    """Hand tasks on in this process."""
    broker = tasks.build_broker()
    assert isinstance(broker, StubBroker)
    monkeypatch.setattr(tasks, 'broker', broker)
    return broker


def test_a_task_is_done_on_the_loop_of_the_application(
    broker: StubBroker,
) -> None:
    """It knows which one it is."""

    async def run() -> dict[str, str]:
        done: asyncio.Future[dict[str, str]] = asyncio.Future()

        @dramatiq.actor(broker=broker, actor_name='note')
        async def note(number: int) -> None:
            done.set_result({**tasks.task_ids(), 'number': str(number)})

        async with tasks.tasks_here():
            task_id = await tasks.enqueue(note.message(7))
            ids = await asyncio.wait_for(done, 10)
        assert ids['task_id'] == task_id
        return ids

    ids = asyncio.run(run())
    assert ids['task'] == 'note'
    assert ids['number'] == '7'


def test_a_task_that_fails_is_tried_again_and_given_up(
    broker: StubBroker,
) -> None:
    tries: list[int] = []

    @dramatiq.actor(broker=broker, actor_name='fail', min_backoff=1, max_backoff=1)
    def fail() -> None:
        tries.append(1)
        raise LookupError

    async def run() -> None:
        async with tasks.tasks_here():
            await tasks.enqueue(fail.message())
            wait = partial(broker.join, timeout=10_000, fail_fast=False)
            await asyncio.to_thread(wait, fail.queue_name)

    asyncio.run(run())
    assert len(tries) == 4
    assert [each.actor_name for each in broker.dead_letters] == ['fail']
