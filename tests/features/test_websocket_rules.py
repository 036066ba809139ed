"""Doctor rules of `websocket`: what they find, and what they leave alone."""

from __future__ import annotations

import pytest

from tests.ruling import found

RULES = ["WS001", "WS002", "WS003", "WS004"]
HEAD = "import fastapi\nfrom typing import Annotated\napp = fastapi.FastAPI()\n"
ROUTE = "@app.websocket('/ws')\nasync def live(ws: fastapi.WebSocket{}):\n    {}\n"
USED = "app.state.used = [f, live, get_user, who, connect]\n"
"""Nothing is said of what nothing in the project mentions."""
RECEIVING = (
    "async def live(ws):\n    try:\n        await ws.receive_text()\n    except {}:\n        clients.remove(ws)\n"
)


@pytest.mark.parametrize(
    ("code", "rule"),
    [
        (ROUTE.format("", "user = ws.cookies['session']"), "WS001"),
        (ROUTE.format("", "user = ws.session.get('user')"), "WS001"),
        (ROUTE.format(", sid: Annotated[str, fastapi.Cookie()]", "..."), "WS001"),
        ("async def get_user(ws: fastapi.WebSocket, sid: str = fastapi.Cookie()): ...\n", "WS001"),
        ("async def f(all):\n    for key, ws in all.items():\n        await ws.send_json({})\n", "WS002"),
        (RECEIVING.format("fastapi.WebSocketDisconnect"), "WS003"),
        (RECEIVING.format("fastapi.WebSocketDisconnect as e"), "WS003"),
        (ROUTE.format(", token: str | None = None", "..."), "WS004"),
        (ROUTE.format(", *, api_key: Annotated[str, fastapi.Query()]", "..."), "WS004"),
        (ROUTE.format("", "user = ws.query_params['token']"), "WS004"),
        ("async def who(ws: fastapi.WebSocket, token: str = fastapi.Query()): ...\n", "WS004"),
    ],
)
def test_found(code: str, rule: str) -> None:
    assert [item.rule for item in found(HEAD + code + USED, RULES)] == [rule]


@pytest.mark.parametrize(
    "code",
    [
        ROUTE.format("", "user = ws.cookies['session'] if ws.headers['origin'] in MINE else None"),
        ROUTE.format(", token: str = fastapi.Depends(who)", "..."),
        ROUTE.format(", token: Annotated[str, fastapi.Header()]", "..."),
        ROUTE.format(", token: str", "...").replace("'/ws'", "'/ws/{token}'"),
        ROUTE.format("", "room = ws.query_params['room']"),
        "async def connect(ws: fastapi.WebSocket, token: str): ...\n",
        "@app.get('/')\nasync def home(request: fastapi.Request, token: str): ...\n",
        "async def f(all):\n    for ws in all:\n        try:\n            await ws.send_text('')\n        except OSError: ...\n",
        "async def f(ws, texts):\n    for text in texts:\n        await ws.send_text(text)\n",
        RECEIVING.format("Exception"),
        RECEIVING.format("(fastapi.WebSocketDisconnect, KeyError)"),
        RECEIVING.format("own.WebSocketDisconnect"),
        RECEIVING.format("fastapi.WebSocketDisconnect").replace("clients.remove(ws)", "pass"),
        RECEIVING.format("fastapi.WebSocketDisconnect") + "    except Exception: clients.remove(ws)\n",
    ],
)
def test_left_alone(code: str) -> None:
    assert found(HEAD + code + USED, RULES) == []
