"""What a user's own middleware sees of exceptions is the same before and after: cases 118, 119 and 119f.

It rolls back, answers or logs by whether an exception comes through, so the error boundary stands outside of it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests import memory

MIDDLEWARE = """\
class Kept(ValueError):
    pass


SEEN = []


async def own(request, call_next):
    try:
        response = await call_next(request)
    except Kept:
        SEEN.append("answered")
        return JSONResponse({"code": "kept"}, status_code=409)
    except Exception as error:
        SEEN.append(f"rolled back: {error}")
        raise
    SEEN.append("committed")
    return response
"""
ROUTES = """

@app.get("/fails")
def fails():
    raise RuntimeError("half done")


@app.get("/kept")
def kept():
    raise Kept


@app.get("/works")
def works():
    return {"works": True}
"""
IMPORTS = """\
from fastapi import FastAPI
from fastapi.middleware import Middleware
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.responses import JSONResponse
from starlette.middleware.base import BaseHTTPMiddleware

"""
CLASS = """

class Own(BaseHTTPMiddleware):
    async def dispatch(self, request, call_next):
        return await own(request, call_next)
"""
APPS: Mapping[str, str] = {
    "decorated": '\napp = FastAPI()\n\n\n@app.middleware("http")\nasync def unit(request, call_next):\n'
    "    return await own(request, call_next)\n",
    "a call": f"{CLASS}\n\napp = FastAPI()\napp.add_middleware(Own)\n",
    "calls": f"{CLASS}\n\napp = FastAPI()\napp.add_middleware(GZipMiddleware)\napp.add_middleware(Own)\n",
    "a list": f"{CLASS}\n\napp = FastAPI(middleware=[Middleware(Own), Middleware(GZipMiddleware)])\n",
    "a list and a call": f"{CLASS}\n\napp = FastAPI(middleware=[Middleware(GZipMiddleware)])\napp.add_middleware(Own)\n",
}
ASK = """\
import asyncio, json
import httpx
import main


async def ask():
    transport = httpx.ASGITransport(main.app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        origin = {"Origin": "https://app.example.com"}
        answers = [await client.get(path, headers=origin) for path in ("/fails", "/kept", "/works")]
    allowed = ["access-control-allow-origin" in answer.headers for answer in answers]
    print(json.dumps([[answer.status_code for answer in answers], main.SEEN, allowed]))


asyncio.run(ask())
"""


def asked(files: memory.Files, folder: Path) -> list[object]:
    """Return what the application answers, what its middleware saw, and which answers a front end may read."""
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    (folder / "ask.py").write_text(ASK)
    ran = subprocess.run(
        [sys.executable, "ask.py"],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "CORS_ORIGINS": "https://app.example.com"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    result: list[object] = json.loads(ran.stdout)
    return result


@pytest.mark.parametrize("name", APPS)
@pytest.mark.parametrize("feature", ["cors", "security-headers", "jwt"])
def test_118_119_119f_own_middleware_sees_exceptions_as_before(name: str, feature: str, tmp_path: Path) -> None:
    main = f"{IMPORTS}\n{MIDDLEWARE}{APPS[name]}{ROUTES}"
    before = {"main.py": main.encode(), "requirements.txt": b"fastapi>=0.115.4\npydantic>=2\n"}
    after = memory.add(before, feature)

    was = asked(before, tmp_path / "before")
    is_now = asked(after, tmp_path / "after")

    assert was[:2] == [[500, 409, 200], ["rolled back: half done", "answered", "committed"]]
    assert is_now[:2] == was[:2]
    assert is_now[2] == [feature == "cors"] * 3, "an answer that a front end may not read is none"
    assert memory.remove(after, feature) == before
