# From laterctl: tasks.
"""Tasks wait for the transaction that they belong to."""

import asyncio

import dramatiq
import pytest
from dramatiq import Message
from dramatiq.brokers.stub import StubBroker
from sqlalchemy.ext.asyncio import AsyncSession

from order_service.core.tasks_database import enqueue_after_commit

broker = StubBroker()


@dramatiq.actor(broker=broker)
def note(_text: str) -> None: ...


def test_a_task_waits_for_the_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rollback drops it, and what a savepoint brought goes with that."""
    left: list[str] = []

    async def hand_on(message: Message[None]) -> None:
        left.append(message.args[0])

    monkeypatch.setattr('order_service.core.tasks_database.hand_on', hand_on)

    async def run() -> None:
        async with AsyncSession() as session:
            enqueue_after_commit(session, note, 'dropped')
            await session.rollback()
            await session.commit()
            enqueue_after_commit(session, note, 'kept')
            assert not left
            await session.commit()
            enqueue_after_commit(session, note, 'outer')
            savepoint = await session.begin_nested()
            enqueue_after_commit(session, note, 'inner')
            await savepoint.rollback()
            savepoint = await session.begin_nested()
            enqueue_after_commit(session, note, 'later')
            await savepoint.commit()
            assert left == ['kept']
            await session.commit()
            enqueue_after_commit(session, note, 'never')

    asyncio.run(run())
    assert left == ['kept', 'outer', 'later']
