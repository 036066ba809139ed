"""Doctor rules of `tasks`: what they find, and what they leave alone."""

from __future__ import annotations

import pytest

from laterctl.project.installed import file_of
from tests.ruling import found

RULES = ["TASK001", "TASK002", "TASK003", "TASK004", "TASK005"]
JOBS = "import dramatiq\nfrom uuid import UUID\n@dramatiq.actor(max_retries=1)\ndef bill({}): ...\n"
USES = "import fastapi\napp = fastapi.FastAPI()\nfrom app.jobs import bill\nfrom app import jobs\n"
SENDS = "@app.post('/')\nasync def order():\n    {}\n"
COMPOSE = "services:\n  web:\n    command: gunicorn app.main:app\n  redis:\n    image: redis\n"
LEDGER = '{"feature": "tasks", "options": {"store": "redis"}}'


def project(sends: str, parameters: str = "number: int", **more: str) -> dict[str, str]:
    main = USES + SENDS.format(sends) + "app.state.used = bill\n"
    files = {"app/__init__.py": "", "app/main.py": main, "app/jobs.py": JOBS.format(parameters)}
    return files | {name.replace("__", "."): text for name, text in more.items()}


@pytest.mark.parametrize(
    ("files", "rule"),
    [
        (project("bill.send(1)"), "TASK001"),
        (project("jobs.bill.send_with_options(args=(1,), delay=1)"), "TASK001"),
        (project("...", "number: int, *, id: UUID | None = None"), "TASK004"),
        (project("...") | {"app/jobs.py": JOBS.format("").replace("(max_retries=1)", "")}, "TASK002"),
        (project("...") | {"app/jobs.py": JOBS.format("").replace("max_retries", "priority")}, "TASK002"),
        (project("...", compose__yaml=COMPOSE) | {file_of("tasks"): LEDGER}, "TASK005"),
    ],
)
def test_found(files: dict[str, str], rule: str) -> None:
    assert [item.rule for item in found(files, RULES)] == [rule]


@pytest.mark.parametrize(
    "files",
    [
        project("await asyncio.to_thread(bill.send, 1)"),
        project("def inner(): bill.send(1)"),
        project("other.send(1)"),
        project("bill.message(1)"),
        project("...", "items: list[dict[str, int]], name: str | None"),
        project("...", "id: UUID", app__codec__py="") | {"app/c.py": "import dramatiq\ndramatiq.set_encoder(x)\n"},
        project("...") | {"app/jobs.py": JOBS.format("").replace("max_retries=1", "**OPTIONS")},
        project("...") | {"app/jobs.py": JOBS.format("") + "broker = Broker([Retries(max_retries=2)])\n"},
        project("...", compose__yaml=COMPOSE),
        project("...", compose__yaml=f"{COMPOSE}  worker:\n    command: dramatiq app.worker:broker app.jobs\n")
        | {file_of("tasks"): LEDGER},
    ],
)
def test_left_alone(files: dict[str, str]) -> None:
    assert found(files, RULES) == []
