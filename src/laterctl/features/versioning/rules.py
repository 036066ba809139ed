"""Doctor rules of `versioning`: operations and models that meet in a document, and versions that nobody can ask for."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime

from laterctl.doctor.code import Codebase, Visit, constant, once
from laterctl.doctor.rule import Found, Rule, Severity
from laterctl.project.places import Place
from laterctl.project.signs import Route, all_routes

_SEGMENT = re.compile(r"v[0-9]+")
_MODELS = frozenset({"pydantic.BaseModel", "pydantic.main.BaseModel", "sqlmodel.SQLModel"})


def doubled_ids(codebase: Codebase) -> Iterator[Found]:
    """Look for operations of the same id: the second one of each has no method of its own in a generated client."""
    known: dict[str, Place] = {}
    for code in codebase.containing(b"operation_id"):
        for call in code.calls:
            name = constant(call.keyword("operation_id"))
            if not isinstance(name, str) or not name or not call.method:
                continue
            place = Place(code.path, call.line)
            first = known.setdefault(name, place)
            if first != place:
                yield Found(place, f"{first} has the operation id {name!r} already")


@once
def routes_of(codebase: Codebase) -> list[Route]:
    """Return the routes of the project whose paths are written down."""
    return all_routes(codebase.project, ("/",)) if any(codebase.containing(b"FastAPI")) else []


def shadowed_version(codebase: Codebase) -> Iterator[Found]:
    """Look for a path that takes any word where a path behind it, on the same object, has a version."""
    for holder in _by_holder(codebase).values():
        for number, route in enumerate(holder):
            same = route.place.path, _method(codebase, route)
            before = [item for item in holder[:number] if (item.place.path, _method(codebase, item)) == same]
            if any(_SEGMENT.fullmatch(part) for part in route.path.split("/")):
                taken = next((item for item in before if _takes(item.path, route.path)), None)
                if taken is not None:
                    yield Found(route.place, f"{taken.path} in line {taken.place.line} answers for {route.path}")


def _by_holder(codebase: Codebase) -> dict[object, list[Route]]:
    found: defaultdict[object, list[Route]] = defaultdict(list)
    for route in routes_of(codebase):
        if route.holder is not None:
            found[route.holder].append(route)
    return {holder: sorted(items, key=lambda item: item.place.line) for holder, items in found.items()}


def _method(codebase: Codebase, route: Route) -> str:
    """Return what puts a route on its object: `get`, `add_api_route`."""
    code = codebase.readable(route.place.path)
    found = (call.method for call in code.calls if call.line == route.place.line) if code is not None else ()
    return next(filter(None, found), "")


def _takes(general: str, special: str) -> bool:
    """Whether a path with parameters fits another one, which has a version where the first has a parameter."""
    pairs = [*zip(general.split("/"), special.split("/"), strict=False)]
    same_length = general.count("/") == special.count("/")
    fits = all(one == other or re.fullmatch(r"\{\w+\}", one) for one, other in pairs)
    return same_length and fits and any(one != other and _SEGMENT.fullmatch(other) for one, other in pairs)


def unknown_version(codebase: Codebase) -> Iterator[Found]:
    """Look for routes of a version that the table does not have: the middleware answers 404 before they are asked."""
    names, prefix = _table(codebase)
    for route in routes_of(codebase) if names else ():
        for path in sorted(route.full):
            found = re.match(rf"{re.escape(prefix)}/(v[0-9]+)(?=/|$)", path)
            if found is not None and found[1] not in names:
                yield Found(route.place, f"{path} is never reached: the table has {', '.join(sorted(names))}")
                break


@once
def _table(codebase: Codebase) -> tuple[frozenset[str], str]:
    """Return the names of the versions in the table of `versioning`, and what stands before them in paths."""
    names: set[str] = set()
    prefix = ""
    for code in codebase.containing(b"VersionMiddleware", b"VERSIONS"):
        for visit in code.statements:
            node = visit.node
            target = node.target if isinstance(node, ast.AnnAssign) else getattr(node, "targets", [None])[0]
            name = target.id if isinstance(target, ast.Name) else ""
            value = getattr(node, "value", None)
            if name == "VERSIONS" and isinstance(value, ast.List):
                calls = [item for item in value.elts if isinstance(item, ast.Call) and item.args]
                names |= {str(constant(item.args[0])) for item in calls}
            elif name == "PREFIX" and isinstance(value, ast.Constant) and code.mentions(b"versionmiddleware"):
                prefix = str(value.value)
    return frozenset(names), prefix


def model_of_two_versions(codebase: Codebase) -> Iterator[Found]:
    """Look for models of one name in modules that differ in a version alone."""
    known: dict[tuple[str, str], Place] = {}
    for code in codebase.containing(b"BaseModel", b"SQLModel"):
        if not any(_version_in(part) for part in code.path.removesuffix(".py").split("/")):
            continue
        unversioned = re.sub(r"(?<![A-Za-z0-9])v[0-9]+(?![A-Za-z0-9])", "v", code.path)
        for visit in code.visits(ast.ClassDef):
            if any(visit.resolve(base) in _MODELS for base in visit.node.bases):
                place = Place(code.path, visit.line)
                first = known.setdefault((unversioned, visit.node.name), place)
                if first != place:
                    yield Found(place, f"{first} has a model {visit.node.name} too: both get names of modules")


def _version_in(part: str) -> bool:
    return any(_SEGMENT.fullmatch(word) for word in part.split("_"))


def past_sunset(call: Visit[ast.Call]) -> Iterator[Found]:
    """Look for ends that are over."""
    if isinstance(call.node.func, ast.Name) and call.node.func.id == "Lifetime":
        end = _day(call, call.argument(1, "sunset"))
        if end is not None and end < datetime.now(UTC).date():
            yield Found(call.line, f"this ended on {end}, and is still there")


def _day(call: Visit[ast.Call], node: ast.expr | None) -> date | None:
    """Return the day of a time that is written down, as `datetime(...)` or `datetime.fromisoformat(...)`."""
    if not isinstance(node, ast.Call):
        return None
    values = [constant(item) for item in node.args]
    try:
        target = call.resolve(node.func)
        if target == "datetime.datetime.fromisoformat":
            return datetime.fromisoformat(values[0]).date()
        return date(*values[:3]) if target == "datetime.datetime" else None
    except (TypeError, ValueError, IndexError):
        return None


_HEAD = "from fastapi import APIRouter, FastAPI\n\napp = FastAPI()\n"
_ROUTE = "def item() -> None: ...\n"
_TABLE = {
    "app/core/versioning.py": 'PREFIX = "/api"\n\n\nclass VersionMiddleware: ...\n',
    "app/api/versions.py": 'VERSIONS = [Version("v1", []), Version("v2", [])]\n',
}
_MODEL = "from pydantic import BaseModel\n\n\nclass Item(BaseModel):{}\n    name: str\n"
_LIFETIMES = 'from datetime import datetime\n\nLIFETIMES = {{\n    "v1": Lifetime({}),{}\n}}\n'

VER001 = Rule(
    id="VER001",
    title="Two operations have one id",
    why="Operation ids name the methods of generated clients, of which one then overwrites the other. "
    "https://fastapi.tiangolo.com/advanced/path-operation-advanced-configuration/",
    fix="give each operation an id of its own, such as with the version at its end",
    needles=(b"operation_id",),
    checks={Codebase: doubled_ids},
    bad=(
        f'{_HEAD}\n\n@app.get("/v1/item", operation_id="item")\n{_ROUTE}\n\n'
        f'@app.get("/v2/item", operation_id="item")  # VER001\n{_ROUTE}',
    ),
    good=(
        f'{_HEAD}\n\n@app.get("/v1/item", operation_id="item_v1")\n{_ROUTE}\n\n'
        f'@app.get("/v2/item", operation_id="item_v2")\n{_ROUTE}',
    ),
)
VER002 = Rule(
    id="VER002",
    title="A path with a parameter answers for a version",
    why="Routes are tried in their order, and a parameter takes any word: v1 as well. "
    "https://fastapi.tiangolo.com/tutorial/path-params/#order-matters",
    fix="put the route with the version first",
    severity=Severity.ERROR,
    needles=(b"/v",),
    checks={Codebase: shadowed_version},
    bad=(f'{_HEAD}\n\n@app.get("/{{kind}}/items")\n{_ROUTE}\n\n@app.get("/v1/items")  # VER002\n{_ROUTE}',),
    good=(
        f'{_HEAD}\n\n@app.get("/v1/items")\n{_ROUTE}\n\n@app.get("/{{kind}}/items")\n{_ROUTE}',
        f'{_HEAD}\n\n@app.post("/{{kind}}/items")\n{_ROUTE}\n\n@app.get("/v1/items")\n{_ROUTE}',
        f'{_HEAD}\n\n@app.get("/{{kind}}/orders")\n{_ROUTE}\n\n@app.get("/v1/items")\n{_ROUTE}',
    ),
)
VER003 = Rule(
    id="VER003",
    title="A route has a version that is not in the table",
    why="Paths of versions that are not in VERSIONS are answered 404 before a route is looked for.",
    fix="laterctl add versioning --set versioning.new=v3, or put the route below a version that there is",
    severity=Severity.ERROR,
    needles=(b"VersionMiddleware",),
    checks={Codebase: unknown_version},
    bad=({**_TABLE, "app/main.py": f'{_HEAD}\n\n@app.get("/api/v3/items")  # VER003\n{_ROUTE}'},),
    good=(
        {**_TABLE, "app/main.py": f'{_HEAD}\n\n@app.get("/api/v2/items")\n{_ROUTE}'},
        {**_TABLE, "app/main.py": f'{_HEAD}\n\n@app.get("/v3/items")\n{_ROUTE}'},
    ),
)
VER004 = Rule(
    id="VER004",
    title="Two versions have models of one name",
    why="In a document that has both, FastAPI gives them the names of their modules, and so do generated clients.",
    fix="call the newer one ItemV2",
    needles=(b"BaseModel", b"SQLModel"),
    checks={Codebase: model_of_two_versions},
    bad=({"app/v1/items.py": _MODEL.format(""), "app/v2/items.py": _MODEL.format("  # VER004")},),
    good=(
        {"app/v1/items.py": _MODEL.format(""), "app/v2/items.py": _MODEL.replace("Item(", "ItemV2(").format("")},
        {"app/users/items.py": _MODEL.format(""), "app/orders/items.py": _MODEL.format("")},
    ),
)
VER005 = Rule(
    id="VER005",
    title="Something that has ended is still there",
    why="Clients were told that it ends; who relies on it by now does so without knowing. "
    "https://www.rfc-editor.org/rfc/rfc8594",
    fix="take the version out, or name a later end",
    needles=(b"Lifetime",),
    checks={ast.Call: past_sunset},
    bad=(_LIFETIMES.format("datetime(2001, 1, 1), datetime(2002, 1, 1)", "  # VER005"),),
    good=(_LIFETIMES.format("datetime(2001, 1, 1), datetime(2999, 1, 1)", ""),),
)
