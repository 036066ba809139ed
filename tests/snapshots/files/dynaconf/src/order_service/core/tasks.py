# From laterctl: tasks.
"""Tasks: what requests leave to be done later.

    @dramatiq.actor(broker=broker)
    async def send_receipt(order_id: int) -> None:
        ...

    await enqueue(send_receipt.message(order.id))

One that fails is tried three times more, later and later, and for an hour at
the most; one that takes a minute is ended.
This process does them, and what is left at its end is lost.
Give a task ids, and let it look whether there is still something to do:
``UPDATE orders SET receipt_sent = true WHERE id = :id AND NOT receipt_sent``
changes one row for two that try.
"""

# ruff: noqa: ARG002 - Dramatiq names the parameters of what it calls
# pyright: reportUnknownMemberType=false

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

from dramatiq import Broker, Message, MessageProxy, Worker
from dramatiq.asyncio import EventLoopThread, set_event_loop_thread
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import (
    AgeLimit,
    Callbacks,
    Middleware,
    Pipelines,
    Retries,
    ShutdownNotifications,
    TimeLimit,
)

from order_service.core.request_id import request_ids
from order_service.core.tracing import trace_ids

MAX_BYTES = 65536
MINUTE, HOUR = 60_000, 3_600_000  # in milliseconds

# What a task keeps of the request that left it, for the lines of its log.
CONTEXT: list[Callable[[], dict[str, str]]] = [request_ids, trace_ids]

logger = logging.getLogger(__name__)

_ids: ContextVar[dict[str, str]] = ContextVar('task_ids')


def task_ids() -> dict[str, str]:
    """Return what log lines say of the task that is being done."""
    return _ids.get({})


class TaskContext(Middleware):
    """Has log lines say which task they are of, and which request left it."""

    def before_enqueue(
        self,
        broker: Broker,
        message: Message[Any],
        delay: int,
    ) -> None:
        """Keep what is known of the request; a task that is retried has it."""
        ids = {name: value for read in CONTEXT for name, value in read().items()}
        message.options.setdefault('left_by', ids)

    def before_process_message(
        self,
        broker: Broker,
        message: MessageProxy,
    ) -> None:
        """Replace what the thread was told of the task before."""
        own = {'task': message.actor_name, 'task_id': message.message_id}
        _ids.set({**message.options.get('left_by', {}), **own})

    def after_nack(self, broker: Broker, message: MessageProxy) -> None:
        """Log an error: nobody tries again."""
        name, task_id = message.actor_name, message.message_id
        logger.error('%s is given up: %s', name, task_id)


def build_broker() -> Broker:
    """Return what hands tasks on; it connects to nothing yet."""
    middleware: list[Middleware] = [
        AgeLimit(max_age=HOUR),
        TimeLimit(time_limit=MINUTE),
        ShutdownNotifications(),
        Callbacks(),
        Pipelines(),
        Retries(max_retries=3),
        TaskContext(),
    ]
    return StubBroker(middleware=middleware)


broker = build_broker()


def check_size(message: Message[Any]) -> None:
    """Raise ValueError for a task with more than 64 KiB of arguments."""
    if len(message.encode()) > MAX_BYTES:
        error = f'{message.actor_name}: too much for a task, give it an id'
        raise ValueError(error)


async def enqueue(message: Message[Any]) -> str:
    """Have a task done; return its id."""
    check_size(message)
    broker.enqueue(message)
    return message.message_id


@asynccontextmanager
async def tasks_here() -> AsyncGenerator[None]:
    """Do tasks in this process, on its event loop."""
    if not isinstance(broker, StubBroker):
        yield
        return
    logger.warning('Tasks are done in this process, and lost at its end')
    thread = EventLoopThread(logger)
    thread.loop.close()
    thread.loop = asyncio.get_running_loop()
    set_event_loop_thread(thread)
    middleware = [*broker.middleware]
    worker = Worker(broker, worker_timeout=50)
    worker.start()
    try:
        yield
    finally:
        await asyncio.to_thread(worker.stop, 5000)
        broker.middleware[:] = middleware  # which a worker leaves its own in
