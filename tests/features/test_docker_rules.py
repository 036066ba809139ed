"""Doctor rules of `docker`: what they find, and what they leave alone."""

from __future__ import annotations

import pytest

from tests.ruling import found

RULES = ["DKR001", "DKR002", "DKR003", "DKR004"]
APP = "from fastapi import FastAPI\n\napp = FastAPI()\n"
START = 'CMD ["uvicorn", "app.main:app"]\n'


@pytest.mark.parametrize(
    ("text", "rule", "line"),
    [
        ("FROM python:3.13\nUSER app\nCMD alembic upgrade head && \\\n    uvicorn app.main:app\n", "DKR001", 3),
        ("from python\nuser app\nentrypoint uvicorn app.main:app\n", "DKR001", 3),
        (f"FROM python:3 AS b\nUSER 1\nFROM docker.io/library/python:3\n{START}", "DKR002", 3),
        (f"FROM python:3\nUSER 0:0\n{START}", "DKR002", 2),
        (f'FROM python:3\nUSER 1\nCOPY ["a", ".env.production", "/srv/"]\n{START}', "DKR003", 3),
        (f"FROM python:3\nUSER 1\nCOPY --chown=1 .secrets.toml ./\n{START}", "DKR003", 3),
        (f"FROM python:3\nUSER 1\n# all\nCOPY . /app\n{START}", "DKR004", 4),
    ],
)
def test_found(text: str, rule: str, line: int) -> None:
    findings = found({"app/main.py": APP, "deploy/Dockerfile": text}, RULES)
    assert [(item.rule, item.place and item.place.line) for item in findings] == [(rule, line)]


@pytest.mark.parametrize(
    "text",
    [
        'FROM python:3\nCMD ["celery", "worker"]\n',
        f"FROM registry.example/own-base:1\n{START}",
        f"FROM python:3\nUSER 1\nCOPY .env.example app/secrets.py ./\n{START}".replace("app/secrets.py", "app"),
        'FROM python:3\nUSER 1\nCMD ["sh", "-c", "exec uvicorn app.main:app"]\n',
        f"FROM python:3 AS builder\nCOPY --from=other /app /app\nFROM python:3\nUSER 1\n{START}",
    ],
)
def test_left_alone(text: str) -> None:
    assert found({"app/main.py": APP, "Dockerfile": text}, RULES) == []
