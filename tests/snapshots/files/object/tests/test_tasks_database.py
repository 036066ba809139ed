# From laterctl: tasks.
"""Tasks wait for the transaction that they belong to."""

import dramatiq
import pytest
from dramatiq import Message
from dramatiq.brokers.stub import StubBroker
from sqlalchemy.orm import Session

from order_service.core.tasks_database import enqueue_after_commit

broker = StubBroker()


@dramatiq.actor(broker=broker)
def note(_text: str) -> None: ...


def test_a_task_waits_for_the_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rollback drops it, and what a savepoint brought goes with that."""
    left: list[str] = []

    def enqueue(message: Message[None]) -> None:
        left.append(message.args[0])

    monkeypatch.setattr('order_service.core.tasks_database.tasks.broker.enqueue', enqueue)
    with Session() as session:
        enqueue_after_commit(session, note, 'dropped')
        session.rollback()
        session.commit()
        enqueue_after_commit(session, note, 'kept')
        assert not left
        session.commit()
        enqueue_after_commit(session, note, 'outer')
        savepoint = session.begin_nested()
        enqueue_after_commit(session, note, 'inner')
        savepoint.rollback()
        savepoint = session.begin_nested()
        enqueue_after_commit(session, note, 'later')
        savepoint.commit()
        assert left == ['kept']
        session.commit()
        enqueue_after_commit(session, note, 'never')
    assert left == ['kept', 'outer', 'later']
