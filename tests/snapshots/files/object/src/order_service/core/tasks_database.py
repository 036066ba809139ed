# From laterctl: tasks.
"""Tasks that are left when a session commits, and only then.

Between the commit and the queue a task can be lost: where it is not taken, as
while Redis is down, there is a line in the log, and after a crash none.
"""

import logging
from typing import Any

from dramatiq import Message
from sqlalchemy import event
from sqlalchemy.orm import Session, SessionTransaction

from order_service.core import tasks
from order_service.core.tasks import check_size

LEFT = 'tasks'

logger = logging.getLogger(__name__)


def enqueue_after_commit(
    session: Session,
    message: Message[Any],
) -> None:
    """Have a task done once the transaction of a session is committed.

    A rollback drops it, be it to a savepoint that was there before.
    """
    check_size(message)
    within = session.get_nested_transaction() or session.get_transaction()
    left = session.info.setdefault(LEFT, {})
    left.setdefault(within or session.begin(), []).append(message)


@event.listens_for(Session, 'after_commit')
def _committed(session: Session) -> None:
    left = session.info.get(LEFT, {})
    if savepoint := session.get_nested_transaction():
        kept = left.pop(savepoint, [])
        left.setdefault(savepoint.parent, []).extend(kept)
        return
    for message in left.pop(session.get_transaction(), ()):
        _send(message)


@event.listens_for(Session, 'after_transaction_end')
def _ended(session: Session, transaction: SessionTransaction) -> None:
    session.info.get(LEFT, {}).pop(transaction, None)


def _send(message: Message[Any]) -> None:
    try:
        tasks.broker.enqueue(message)  # pyright: ignore[reportUnknownMemberType]
    except Exception:
        name, args = message.actor_name, message.message_id
        logger.exception('%s is lost: %s', name, args)
