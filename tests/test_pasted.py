"""A refusal's snippet, pasted by hand, works: the next run finds it, adopts it, and adds the rest."""

from __future__ import annotations

import re

import pytest

from laterctl.engine.ledger import parse
from laterctl.engine.plan import Request
from laterctl.proof.static import prove
from laterctl.targets.statement import Statement
from tests import memory

BUILT = {
    "requirements.txt": b"fastapi>=0.115\npydantic-settings>=2.6\n",
    "main.py": b"""\
from fastapi import FastAPI

from wiring import build

app: FastAPI = build()
""",
    "wiring.py": b"""\
import functools

from fastapi import FastAPI

build = functools.partial(FastAPI, title="assembled elsewhere")
""",
}


def test_the_snippet_of_a_refusal_works_when_pasted() -> None:
    with pytest.raises(memory.Refusing) as refusing:
        memory.add(BUILT, "cors")
    snippets = [item.snippet for item in refusing.value.refusals]
    wired = "app.add_middleware(CorsMiddleware, settings=CorsSettings())"
    assert sorted(snippets) == [wired, "app.add_middleware(ErrorBoundary)"]
    imports = "from core.cors import CorsMiddleware, CorsSettings\nfrom core.error_boundary import ErrorBoundary\n"
    main = imports.encode() + BUILT["main.py"] + ("\n".join(snippets) + "\n").encode()
    pasted = {**BUILT, "main.py": main}
    after = memory.add(pasted, "cors")
    assert after["main.py"] == main
    assert {"core/cors.py", "core/error_boundary.py"} <= after.keys()
    assert prove(memory.project(pasted), memory.planned(pasted, Request(add=("cors",)))) == []
    entry = parse(".laterctl/feature-cors.json", after[".laterctl/feature-cors.json"], memory.project(after).tree)
    adopted = [record.target for record in entry.records if isinstance(record.target, Statement) and not record.ours]
    assert [target.code for target in adopted] == [wired]


def test_wiring_in_a_helper_is_not_doubled() -> None:
    files = {
        "requirements.txt": b"fastapi>=0.115\npydantic-settings>=2.6\n",
        "main.py": b"from fastapi import FastAPI\n\nfrom setup_app import wire\n\napp = FastAPI()\nwire(app)\n",
        "setup_app.py": b"""\
from fastapi import FastAPI

from core import cors


def wire(app: FastAPI) -> None:
    app.add_middleware(cors.CorsMiddleware)
""",
    }
    after = memory.add(files, "cors")
    assert after["setup_app.py"] == files["setup_app.py"]
    assert not re.search(rb"add_middleware\(CorsMiddleware\)", after["main.py"])
    assert memory.add(after, "cors") == after
