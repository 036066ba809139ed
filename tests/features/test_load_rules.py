"""The doctor rules of `bench` and `load`: what they find, and what they leave alone."""

from __future__ import annotations

import pytest

from tests.ruling import code

WORK = "async def work(): ...\n\n\ndef plain(): ...\n\n\n"


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("tests/conftest.py", "import locust"),
        ("tests/unit/load_test.py", "from locust.contrib.fasthttp import FastHttpUser"),
        ("tests/test_a.py", "from gevent import monkey"),
        ("tests/test_a.py", "import gevent.monkey"),
    ],
)
def test_tests_that_import_it_are_found(path: str, line: str) -> None:
    assert code("LOA001", f"{line}\n", path) == [line]


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("tests/load/locustfile.py", "import locust"),
        ("tests/test_a.py", "from .locust import swarm"),
        ("tests/test_a.py", "import locusts"),
        ("tests/test_a.py", "import gevent"),
    ],
)
def test_what_is_run_by_itself_or_changes_nothing_is_left_alone(path: str, line: str) -> None:
    assert code("LOA001", f"{line}\n", path) == []


@pytest.mark.parametrize("line", ["benchmark(work)", "await benchmark(work)", "benchmark.pedantic(work, rounds=3)"])
def test_a_coroutine_that_is_measured_is_found(line: str) -> None:
    text = f"{WORK}async def test_work(benchmark):\n    {line}\n"
    assert code("BEN001", text, "tests/test_work.py") == [line]


@pytest.mark.parametrize(
    "test",
    [
        "def test_work(benchmark):\n    benchmark(plain)\n",
        "def test_work(benchmark):\n    benchmark(lambda: run(work()))\n",
        "def test_work(aio_benchmark):\n    aio_benchmark(work)\n",
        "from mine import benchmark\n\n\ndef test_work():\n    benchmark(work)\n",
    ],
)
def test_what_is_awaited_is_left_alone(test: str) -> None:
    assert code("BEN001", f"{WORK}{test}", "tests/test_work.py") == []
