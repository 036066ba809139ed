"""The doctor rules of `versioning`: what they find, and what they leave alone."""

from __future__ import annotations

import pytest

from tests.features.test_versioning import BEFORE, added
from tests.ruling import code, found, places

APP = "from fastapi import APIRouter, FastAPI\n\napp = FastAPI()\nrouter = APIRouter(prefix='/api')\n"
TIMES = "import datetime as dt\nfrom datetime import UTC, datetime\n\n"


def routes(*decorators: str) -> str:
    return APP + "".join(f"\n\n{line}\ndef route_{number}(): ...\n" for number, line in enumerate(decorators))


@pytest.mark.parametrize(
    ("rule", "source", "line"),
    [
        ("VER001", routes("@app.get('/a', operation_id='x')", "@router.post('/a', operation_id='x')"), 1),
        ("VER001", routes("@app.get('/a', operation_id='x')") + "app.add_api_route('/b', f, operation_id='x')\n", -1),
        ("VER002", routes("@router.get('/{a}/{b}')", "@router.get('/v1/b')"), 1),
        ("VER002", routes("@router.get('/x/{kind}/b')", "@router.get('/x/v12/b')"), 1),
        (
            "VER005",
            f"{TIMES}A = Lifetime(datetime(2001, 1, 1, tzinfo=UTC), sunset=datetime(2001, 2, 2, tzinfo=UTC))\n",
            -1,
        ),
        ("VER005", f"{TIMES}A = Lifetime(x, dt.datetime.fromisoformat('2001-01-01T00:00:00+00:00'), 'x')\n", -1),
    ],
)
def test_found_in_other_spellings(rule: str, source: str, line: int) -> None:
    lines = [text for text in source.splitlines() if text.startswith(("@", "app.add", "A ="))]
    assert code(rule, source) == [lines[line]]


@pytest.mark.parametrize(
    ("rule", "source"),
    [
        ("VER001", routes("@app.get('/a', operation_id='x')", "@router.post('/a', operation_id=NAME)")),
        ("VER001", "client.call(operation_id='x')\n"),
        ("VER002", routes("@router.get('/{kind}/b')", "@app.get('/v1/b')")),
        ("VER002", routes("@router.get('/{kind}/b/c')", "@router.get('/v1/b')")),
        ("VER002", routes("@router.get('/v1/{number}')", "@router.get('/v1/b')")),
        ("VER002", routes("@router.get('/{number:int}/b')", "@router.get('/v1/b')")),
        ("VER003", routes("@router.get('/v9/b')")),
        ("VER004", "from pydantic import BaseModel\n\n\nclass Item(BaseModel): ...\n\n\nclass Item(BaseModel): ...\n"),
        ("VER005", f"{TIMES}A = Lifetime(datetime(2001, 1, 1))\nB = other(sunset=datetime(2001, 1, 1))\n"),
        ("VER005", f"{TIMES}A = Lifetime(x, datetime.now())\nB = Lifetime(x, datetime(2001, 99, 1))\n"),
    ],
)
def test_left_alone(rule: str, source: str) -> None:
    assert code(rule, source) == []


def test_models_in_modules_with_a_version_in_their_name() -> None:
    model = "from pydantic import BaseModel\n\n\nclass Item(BaseModel):\n    name: str\n"
    assert places({"app/items_v1.py": model, "app/items_v2.py": model}, "VER004") == ["app/items_v2.py:4"]
    assert places({"app/items.py": model, "app/items_v2.py": model}, "VER004") == []
    plain = model.replace("BaseModel)", "object)")
    assert places({"app/items_v1.py": plain, "app/items_v2.py": plain}, "VER004") == []


def test_the_table_is_that_of_the_feature() -> None:
    files = {path: data.decode() for path, data in added(new="v2").items() if path.endswith(".py")}
    assert found(files, ["VER001", "VER002", "VER003", "VER004", "VER005"]) == []
    files["shop/routers/chat.py"] = BEFORE["shop/routers/chat.py"].replace('"/chat"', '"/api/v7/chat"')
    assert places(files, "VER003") == ["shop/routers/chat.py:13", "shop/routers/chat.py:6"]
