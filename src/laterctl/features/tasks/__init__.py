"""Tasks that requests leave to be done later, by Dramatiq: in the application, or in processes of their own."""

from collections.abc import Iterator

from laterctl.edits.beside import Beside
from laterctl.edits.chosen import Chosen
from laterctl.edits.context import Edit, FeatureContext
from laterctl.edits.dropped_test import DroppedTest
from laterctl.edits.file import File
from laterctl.edits.manifest import DependencyFloor
from laterctl.edits.open_file import Listed, Step
from laterctl.edits.setting import Setting
from laterctl.feature import ExistingSigns, Feature, Group, Option, Stage
from laterctl.project.places import Place

QUEUES = ("celery", "arq", "rq", "taskiq", "saq", "huey", "procrastinate", "streaq")
"""Modules, and distributions, that do the same."""


COMPOSE = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")


def left(context: FeatureContext) -> Iterator[Edit]:
    """Tie tasks to commits where the project has a database, and say how the processes that do them are started."""
    if context.options["store"] == "redis":
        tell(context)
    database = context.project.database
    if database is not None:
        form = "async" if database.asynchronous else "sync"
        context.notice(
            f"tie a task to a transaction by enqueue_after_commit, in {context.path('core/tasks_database.py')}"
        )
        yield File("core/tasks_database.py", f"tasks/core/tasks_database.{form}.py.jinja")
        yield DroppedTest("test_tasks_database.py", f"tasks/tests/test_tasks_database.{form}.py.jinja", client=False)


def tell(context: FeatureContext) -> None:
    """Say what starts a worker, and which lines start it where the application is started."""
    root = context.project.layout.import_root
    path = f" --path {root}" if root else ""
    command = f"dramatiq {context.module('worker')}:broker MODULES{path} --worker-shutdown-timeout 25000"
    context.notice(f"start a worker, with the modules of your tasks for MODULES: {command}")
    tree = context.project.tree
    if tree.exists("Procfile"):
        context.notice(f"and in Procfile: worker: {command}", Place("Procfile", 1))
    for name in filter(tree.exists, COMPOSE):
        context.notice(f"and in {name} a service of the same image: command: {command}", Place(name, 1))


feature = Feature(
    name="tasks",
    group=Group.SCALING,
    aliases=("dramatiq",),
    summary="tasks that requests leave to be done later, in the application or by processes of their own",
    requires=("lifespan",),
    floors={"python": "3.10", "fastapi": "0.112.2"},
    options=(
        Option(
            "store",
            "who does tasks: the application itself (memory), or workers that get them from Redis",
            default="memory",
            choices=("memory", "redis"),
            requires={"redis": ("redis",)},
        ),
    ),
    edits=(
        File("core/tasks.py", "tasks/core/tasks.py.jinja", open=True),
        Step(
            "await stack.enter_async_context(tasks_here())",
            into="core.lifespan:open_resources",
            imports=("core.tasks:tasks_here",),
            rank=70,
        ),
        Chosen("store", ("memory",), (DependencyFloor("dramatiq>=2.2"),)),
        Chosen(
            "store",
            ("redis",),
            (
                DependencyFloor("dramatiq[redis]>=2.2"),
                Setting("tasks_namespace", "str", "tasks", help="what the keys of tasks in Redis begin with"),
                Setting(
                    "tasks_heartbeat_seconds",
                    "PositiveInt",
                    15,
                    help="a worker silent for longer is gone; others do its tasks",
                ),
                File("worker.py", "tasks/worker.py.jinja", open=True),
                Beside(
                    "logging",
                    (
                        Step("getLogger().handlers.clear()", "worker:prepare", ("logging:getLogger",), 10),
                        Step("configure_logging()", "worker:prepare", ("core.logs:configure_logging",), 20),
                    ),
                ),
            ),
        ),
        Beside("logging", (Listed("core.tasks:task_ids", into="core.logs:CONTEXT", rank=30),)),
        Beside("request-scope", (Listed("core.request_id:request_ids", into="core.tasks:CONTEXT", rank=10),)),
        Beside("tracing", (Listed("core.tracing:trace_ids", into="core.tasks:CONTEXT", rank=20),)),
        DroppedTest("test_tasks.py", "tasks/tests/test_tasks.py.jinja", client=False),
    ),
    edits_for=left,
    by_hand=ExistingSigns(
        imports=QUEUES,
        calls=(
            *("dramatiq.set_broker", "dramatiq.brokers.redis.RedisBroker"),
            *("dramatiq.brokers.rabbitmq.RabbitmqBroker", "dramatiq.brokers.stub.StubBroker"),
        ),
        dependencies=QUEUES,
    ),
    stage=Stage.MORE,
    why="what takes long and can wait is measured by now, and a worker's log says which request left a task",
    notes=(
        "leave a task: await enqueue(send_receipt.message(order.id)), of a function under @dramatiq.actor(broker=broker), "
        "with both from {core.tasks}",
        "with a process of its own for tasks: laterctl add tasks --set tasks.store=redis",
    ),
)
