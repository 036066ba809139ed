"""The doctor rules of `rate-limit`: what they find, and what they leave alone."""

from __future__ import annotations

import pytest

from laterctl.features.rate_limit.rules import _INSTALLED
from tests.ruling import code, places

HEAD = "from fastapi import APIRouter, Request\nfrom project.limits import limiter\nrouter = APIRouter()\n"


@pytest.mark.parametrize("rate", ["5/min", "5 per fortnight", "5", "5/minute; 10/hrs"])
def test_rl005_in_every_spelling(rate: str) -> None:
    line = f'@limiter.limit("{rate}")'
    assert code("RL005", f'{HEAD}@router.post("/x")\n{line}\ndef x(request: Request): ...\n') == [line]


@pytest.mark.parametrize("rate", ["5/minute", "1 per day", "10/5 minutes", "100 PER hours, 5/second", "1/month|2/year"])
def test_rl005_leaves_rates_alone(rate: str) -> None:
    assert code("RL005", f'{HEAD}@router.post("/x")\n@limiter.limit("{rate}")\ndef x(request: Request): ...\n') == []


@pytest.mark.parametrize("call", ["query.limit(5)", 'rows.limit("five")', "limiter.exempt"])
def test_what_is_no_limit_of_a_rate_is_left_alone(call: str) -> None:
    text = f'{HEAD}@{call}\n@router.post("/x")\ndef x(request: Request): ...\n'
    assert code("RL005", text) == []
    assert code("RL006", text) == []


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("Dockerfile", "ENV FORWARDED_ALLOW_IPS=*"),
        ("Dockerfile", 'CMD ["uvicorn", "app.main:app", "--forwarded-allow-ips", "*"]'),
        ("Procfile", 'web: uvicorn app.main:app --forwarded-allow-ips="*"'),
        ("compose.yaml", "      FORWARDED_ALLOW_IPS: '*'"),
    ],
)
def test_rl003_in_every_spelling(path: str, line: str) -> None:
    head = "services:\n  app:\n    build: .\n    environment:\n" if path.endswith("yaml") else ""
    number = head.count("\n") + 1
    assert places({**_INSTALLED, path: f"{head}{line}\n"}, "RL003") == [f"{path}:{number}"]
    assert places({"app/main.py": _INSTALLED["app/main.py"], path: f"{head}{line}\n"}, "RL003") == []
