"""The doctor rules of `health` and `shutdown`: what they find, and what they leave alone."""

from __future__ import annotations

import pytest

from tests.ruling import code

HEAD = """
import contextlib, os, signal, sys
from contextlib import asynccontextmanager
from signal import SIGINT, signal as install
from fastapi import FastAPI
app = FastAPI()
"""


def probe(path: str, *body: str) -> str:
    return HEAD + f'@app.get("{path}")\ndef probe():\n' + "".join(f"    {line}\n" for line in body)


@pytest.mark.parametrize("path", ["/health/live", "/livez", "/internal/liveness/", "/alive"])
def test_hlt001_in_every_spelling(path: str) -> None:
    assert code("HLT001", probe(path, "with engine.connect() as connection:", "    pass")) == [
        "with engine.connect() as connection:"
    ]


@pytest.mark.parametrize("path", ["/health/ready", "/health", "/users/{id}", "/olive"])
def test_hlt001_leaves_other_routes_alone(path: str) -> None:
    assert code("HLT001", probe(path, "with engine.connect() as connection:", "    pass")) == []


def test_hlt001_leaves_alone_what_asks_nobody() -> None:
    assert code("HLT001", probe("/live", "with lock:", "    return {'uptime': clock.time()}")) == []


@pytest.mark.parametrize("answer", ["return str(error)", "return {'db': repr(error)}", "raise Oops(f'{error}')"])
def test_hlt002_in_every_form(answer: str) -> None:
    assert code("HLT002", probe("/readyz", "try:", "    ping()", "except OSError as error:", f"    {answer}")) == [
        answer
    ]


@pytest.mark.parametrize(
    "answer", ["log(str(error))", "return type(error).__name__", "raise Oops() from error", "return str(other)"]
)
def test_hlt002_leaves_alone_what_is_not_told(answer: str) -> None:
    assert code("HLT002", probe("/readyz", "try:", "    ping()", "except OSError as error:", f"    {answer}")) == []
    shown = probe("/users", "try:", "    ping()", "except OSError as error:", "    return str(error)")
    assert code("HLT002", shown) == []


def test_shd001_names_are_resolved() -> None:
    assert code("SHD001", HEAD + "install(SIGINT, print)\n") == ["install(SIGINT, print)"]
    assert code("SHD001", HEAD + "class Own:\n    SIGINT = 1\n\n\ninstall(Own.SIGINT, print)\n") == []


def test_shd001_leaves_alone_what_a_command_does() -> None:
    assert code("SHD001", HEAD + "def work():\n    install(SIGINT, print)\n") == []


@pytest.mark.parametrize("ends", ["sys.exit()", "os._exit(1)"])
def test_shd002_in_a_lifespan_alone(ends: str) -> None:
    body = f"async def {{}}(app):\n    yield\n    {ends}\n"
    assert code("SHD002", f"{HEAD}@contextlib.asynccontextmanager\n{body.format('lifespan')}") == [ends]
    assert code("SHD002", f"{HEAD}@contextlib.asynccontextmanager\n{body.format('pool')}") == []
