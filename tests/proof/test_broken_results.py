"""Results that are whole when they are read, and broken when they run: `--prove` finds them, and takes all back."""

from __future__ import annotations

from pathlib import Path

import pytest

from laterctl.engine.plan import Request
from tests.proof.scene import (
    MANIFEST,
    SHOP,
    Step,
    committed,
    edited,
    environment,
    project,
    run,
    tree,
    write,
)
from tests.shapes import git

SWALLOWS = """

class Swallow:
    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope.get("path") == PATH and app.user_middleware[1:]:  # not before something is added
            await send({"type": "http.response.start", "status": 404, "headers": []})
            await send({"type": "http.response.body", "body": b""})
        else:
            await self.app(scope, receive, send)


app.add_middleware(Swallow)
"""
STARTS_NO_MORE = """

@app.router.on_event("startup")
def start() -> None:
    if app.user_middleware:
        raise RuntimeError("the pool is closed")
"""


def refused(root: Path, message: str) -> None:
    """Add a feature with a proof that must fail, and check what is said and that nothing of it stays."""
    before = tree(root)
    ran = run(root, "add", "metrics", "--yes", "--no-install", "--prove")
    assert ran.code == 4, ran.screen
    assert message in " ".join(ran.err.split()), ran.err
    assert "Every file is as it was." in ran.err
    assert tree(root) == before
    assert git(root, "status", "--porcelain", "--ignored").splitlines() == ["!! .venv/"]


def test_a_middleware_that_swallows_a_route(tmp_path: Path) -> None:
    code = SHOP + SWALLOWS.replace("PATH", "'/items'")
    root = committed(project(tmp_path / "shop", {"main.py": code}))
    refused(root, "GET /items is not reached any more: a request is answered 404 (routes; metrics)")


def test_a_middleware_that_swallows_the_new_route(tmp_path: Path) -> None:
    code = SHOP + SWALLOWS.replace("PATH", "'/metrics'")
    root = committed(project(tmp_path / "shop", {"main.py": code}))
    refused(root, "GET /metrics is promised and not reached: a request is answered 404 (promised; metrics)")


def test_a_lifespan_that_raises(tmp_path: Path) -> None:
    root = committed(project(tmp_path / "shop", {"main.py": SHOP + STARTS_NO_MORE}))
    refused(root, "the app does not start any more: RuntimeError: the pool is closed (lifespan; metrics)")


def test_an_import_that_fails_only_at_run_time(tmp_path: Path) -> None:
    root = tmp_path / "shop"
    write(root, {"pyproject.toml": MANIFEST, "main.py": SHOP})
    site = environment(root / ".venv", without=("prometheus",))
    metadata = "Metadata-Version: 2.1\nName: prometheus-client\nVersion: 0.99\n"
    write(
        site,
        {
            "prometheus_client/__init__.py": "raise RuntimeError('built for another machine')\n",
            "prometheus_client-0.99.dist-info/METADATA": metadata,
        },
    )
    refused(
        committed(root), "main:app does not import any more: RuntimeError: built for another machine (imports; metrics)"
    )


def test_a_route_in_place_of_which_a_middleware_raises(tmp_path: Path) -> None:
    code = SHOP + (
        "\n\n@app.middleware('http')\nasync def stamp(request, call_next):\n"
        "    response = await call_next(request)\n    # more\n    return response\n"
    )
    root = project(tmp_path / "shop", {"main.py": code})
    report = edited(root, "main.py", "# more", "{}[request.url.path]")
    assert [str(item.place) for item in report.failures] == ["main.py:19"]
    (message,) = (item.message for item in report.failures)
    assert message.startswith("GET /openapi.json, GET /docs, GET /docs/oauth2-redirect and 3 more are not reached")
    assert "answered 500: KeyError" in message


def test_a_middleware_that_never_answers(tmp_path: Path) -> None:
    code = (
        "import asyncio\n"
        + SHOP
        + (
            "\n\n@app.middleware('http')\nasync def stamp(request, call_next):\n    # more\n"
            "    return await call_next(request)\n"
        )
    )
    root = project(tmp_path / "shop", {"main.py": code})
    slow = edited(root, "main.py", "# more", "if request.url.path == '/items': await asyncio.sleep(600)")
    assert [item.message for item in slow.failures] == [
        "GET /items is not reached any more: a request gets no answer: no answer in 2 seconds"
    ]


@pytest.mark.parametrize("status", [401, 429, 404])
def test_what_answers_everything_already_is_not_blamed(status: int, tmp_path: Path) -> None:
    code = SHOP + SWALLOWS.replace(
        'scope.get("path") == PATH and app.user_middleware[1:]', 'scope["type"] == "http"'
    ).replace("404", str(status))
    step = Step(project(tmp_path / "shop", {"main.py": code}), Request(add=("metrics",)))
    step.execute()
    assert step.compared().failures == ()
