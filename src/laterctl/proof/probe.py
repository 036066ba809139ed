"""What the dynamic proof runs: imports the app of a scratch copy of a project and writes down what it finds.

It stands alone: the project's own interpreter runs it, Python 3.10 or newer, with nothing but the standard library and
whatever the app imports itself. The one argument is a JSON object; see `dynamic.run` for its keys. The findings go to
the file that it names, so what the app prints does not matter, and again after each stage, so that an app that hangs
or dies does not take along what was known before.
"""

from __future__ import annotations

import asyncio
import faulthandler
import functools
import importlib
import importlib.machinery
import importlib.metadata
import importlib.util
import inspect
import json
import os
import re
import sys
import traceback
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Any

DEEPEST = 8
"""How many applications may be mounted below each other, or wrapped around the one that is looked for."""
ASKING = 10.0
"""Seconds that asking for all paths may take together."""
METHOD = "TRACE"
"""The method with which paths are asked for: one that routes do not have, so that no endpoint runs."""


class WrongCode(ImportError):
    """The original project would have been imported instead of its copy."""


class CopyFirst:
    """Stands first on `sys.meta_path`: code that the copy has comes from the copy, and never from the original.

    An editable install puts the original on `sys.path` (which is rewritten before) or behind a finder of its own.
    """

    def __init__(self, roots: Sequence[str], copy: str, original: str, omitted: Sequence[str]) -> None:
        self._roots = list(roots)
        self._copy = copy
        self._original = original
        self._omitted = [os.path.join(original, path) for path in omitted]
        self._omitted += [path for path in (sys.prefix, sys.base_prefix) if _is_below(path, original)]
        self.refused: list[str] = []

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: Any = None) -> Any:
        """Find a module as the other finders do. Raises `WrongCode` for one of the original's."""
        if name not in sys.builtin_module_names:
            found = importlib.machinery.PathFinder.find_spec(name, self._roots if path is None else path)
            if found is not None and found.origin and _is_below(os.path.realpath(found.origin), self._copy):
                return found
        for finder in list(sys.meta_path):
            find = getattr(finder, "find_spec", None)
            found = find(name, path, target) if finder is not self and find is not None else None
            if found is None:
                continue
            if self.is_original(found.origin):
                self.refused.append(name)
                raise WrongCode(f"{name} would come from the project itself, not from its copy")
            return found
        return None

    def is_original(self, path: str | None) -> bool:
        """Say whether a file is code of the original project: below its root, but of no environment in there."""
        if not path:
            return False
        real = os.path.realpath(path)
        if not _is_below(real, self._original) or _is_below(real, self._copy):
            return False
        return not any(real == folder or _is_below(real, folder) for folder in self._omitted)

    def moved(self, path: str) -> str:
        """Return the place in the copy of a folder of the original; other paths come back as they are."""
        real = os.path.realpath(path)
        if path and (real == self._original or self.is_original(real)):
            return os.path.normpath(os.path.join(self._copy, os.path.relpath(real, self._original)))
        return path

    def wrong(self) -> list[str]:
        """Return the modules that did come, or would have come, from the original."""
        loaded = [name for name, module in list(sys.modules.items()) if self.is_original(_file_of(module))]
        return sorted({*self.refused, *loaded})


def _is_below(path: str, folder: str) -> bool:
    return path.startswith(folder.rstrip(os.sep) + os.sep)


def _file_of(module: Any) -> str | None:
    file = getattr(module, "__file__", None)
    return file if isinstance(file, str) else None


# What went wrong


def blamed(error: BaseException, copy: str) -> dict[str, Any]:
    """Return an exception as its own words, those of what caused it, and the last line of the project that led to it."""
    while inner := getattr(error, "exceptions", None):
        error = inner[0]
    places = [(frame.filename, frame.lineno or 1) for frame in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError) and error.filename:
        places.append((error.filename, error.lineno or 1))
    own = [(os.path.realpath(file), line) for file, line in places if not file.startswith("<")]
    own = [(os.path.relpath(file, copy).replace(os.sep, "/"), line) for file, line in own if _is_below(file, copy)]
    cause = error.__cause__
    reason = _words(error) + (f" (because of {_words(cause)})" if cause is not None else "")
    return {"reason": reason, "place": list(own[-1]) if own else None}


def _words(error: BaseException) -> str:
    return "".join(traceback.format_exception_only(type(error), error)).strip()


# The application and what is in it


def load(reference: str, *, factory: bool) -> Any:
    """Import `module:attr`, and call it when it is a factory."""
    module, _, attribute = reference.partition(":")
    value: Any = importlib.import_module(module)
    for name in attribute.split("."):
        value = getattr(value, name)
    return value() if factory else value


def unwrapped(value: Any) -> tuple[Any, list[str]]:
    """Return the Starlette (so FastAPI) application in an ASGI application, and the classes around it, outermost first.

    The application is `None` when there is none inside.
    """
    known = getattr(sys.modules.get("starlette.applications"), "Starlette", ())
    layers: list[tuple[Any, list[str]]] = [(value, [])]
    seen: set[int] = set()
    for _ in range(DEEPEST):
        below: list[tuple[Any, list[str]]] = []
        for item, around in layers:
            if isinstance(item, known):
                return item, around
            if id(item) not in seen:
                seen.add(id(item))
                below += [(inner, [*around, spelled(item)]) for inner in _inside(item)]
        layers = below
    return None, []


def _inside(value: Any) -> Iterator[Any]:
    """Yield what may be the application that an object is wrapped around: callable attributes, or a closure's."""
    try:
        held = [*vars(value).values()]
    except TypeError:
        held = []
    for cell in getattr(value, "__closure__", None) or ():
        try:
            held.append(cell.cell_contents)
        except ValueError:  # not bound yet
            continue
    for item in held:
        if callable(item) and not isinstance(item, type) and not inspect.ismodule(item):
            yield item


def spelled(value: Any) -> str:
    """Return the dotted name of a function or class, that of the class for anything else."""
    while isinstance(value, functools.partial):
        value = value.func
    named = value if hasattr(value, "__qualname__") and hasattr(value, "__module__") else type(value)
    return f"{named.__module__}.{named.__qualname__}"


def effective(routes: Iterable[Any]) -> list[Any]:
    """Return routes with those of included routers in their place, where FastAPI keeps such routers whole."""
    contexts: Callable[[Iterable[Any]], Iterable[Any]]
    contexts = getattr(sys.modules.get("fastapi.routing"), "iter_route_contexts", iter)
    return list(contexts(routes))


def kind_of(route: Any) -> str:
    """Say what a route is: `http`, `websocket`, `mount`, `host`, or the name of its class."""
    routing = sys.modules["starlette.routing"]
    for kind, name in (("mount", "Mount"), ("host", "Host"), ("websocket", "WebSocketRoute"), ("http", "Route")):
        if isinstance(route, getattr(routing, name)):
            return kind
    return type(route).__name__


Found = tuple[dict[str, Any], Any]
"""A route as it is reported, and the very object that answers it."""


def walk(routes: Iterable[Any], prefix: str, found: list[Found], apps: list[tuple[str, Any]], depth: int = 0) -> None:
    """Collect routes in order, those of mounted applications with their full paths, and the mounted applications."""
    for item in effective(routes):
        route = getattr(item, "original_route", item)
        kind = kind_of(route)
        path = prefix + (f"//{item.host}" if kind == "host" else getattr(item, "path", None) or "")
        mounted = getattr(route, "_base_app", None) or getattr(item, "app", None)
        answers = mounted if kind in {"mount", "host"} else getattr(item, "endpoint", None) or route
        record = {
            "kind": kind,
            "path": path,
            "methods": sorted(getattr(item, "methods", None) or ()),
            "name": getattr(item, "name", None) or "",
            "endpoint": spelled(answers),
        }
        found.append((record, answers))
        if kind in {"mount", "host"} and depth < DEEPEST:
            apps.append((path, mounted))
            walk(getattr(item, "routes", None) or (), path, found, apps, depth + 1)


def documents(apps: Iterable[tuple[str, Any]], copy: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Make the OpenAPI documents of applications, by the paths they are mounted at; else say why there is none."""
    made: dict[str, Any] = {}
    failed: dict[str, str] = {}
    for path, app in apps:
        if not callable(getattr(app, "openapi", None)):
            continue
        try:
            made[path] = app.openapi()
        except Exception as error:  # noqa: BLE001 - the user's code may raise anything
            failed[path] = blamed(error, copy)["reason"]
    return made, failed


def middleware_of(app: Any) -> list[str]:
    """Return the middleware of an application, outermost first; a function given to `@app.middleware` is named too."""
    names = []
    for item in app.user_middleware:
        options = getattr(item, "kwargs", None) or getattr(item, "options", None) or {}
        dispatch = options.get("dispatch")
        names.append(spelled(item.cls) + (f"({spelled(dispatch)})" if dispatch is not None else ""))
    return names


def resolved(dotted: str, guard: CopyFirst) -> Any:
    """Return what a dotted name stands for among the modules that the app has imported, `None` when it is not there.

    A module may have been imported under a shorter or a longer name than the one that is asked for.
    """
    module, _, name = dotted.rpartition(".")
    loaded = [key for key in sys.modules if f".{key}".endswith(f".{module}") or f".{module}".endswith(f".{key}")]
    for key in sorted(loaded, key=lambda key: key != module):
        value = getattr(sys.modules[key], name, None)
        if value is not None and not guard.is_original(_file_of(sys.modules[key])):
            return value
    return None


def watched_router(router: Any, found: Sequence[Found]) -> dict[str, Any]:
    """Say which of the application's routes come from a router, and which of the router's are not among them."""
    if router is None:
        return {"there": False, "routes": [], "missing": []}
    own: list[Found] = []
    walk(getattr(router, "routes", ()), "", own, [])
    present: list[int] = []
    missing = []
    for record, answers in own:
        at = [
            number
            for number, (other, by) in enumerate(found)
            if by is answers and other["kind"] == record["kind"] and other["path"].endswith(record["path"])
        ]
        present += at
        if not at:
            missing.append(f"{' '.join(record['methods']) or record['kind']} {record['path']}")
    return {"there": True, "routes": present, "missing": missing}


def described(served: Any, app: Any, around: list[str], request: dict[str, Any], guard: CopyFirst) -> dict[str, Any]:
    """Describe the application that was imported."""
    found: list[Found] = []
    apps: list[tuple[str, Any]] = [("", app)]
    walk(app.routes, "", found, apps)
    made, failed = documents(apps, request["copy"])
    classes = {dotted: resolved(dotted, guard) for dotted in request["middleware"]}
    return {
        "app": spelled(served),
        "routes": [record for record, _ in found],
        "middleware": around + middleware_of(app),
        "documents": made,
        "undocumented": failed,
        "routers": {dotted: watched_router(resolved(dotted, guard), found) for dotted in request["routers"]},
        "classes": {dotted: "" if value is None else spelled(value) for dotted, value in classes.items()},
    }


# Asking for paths

_VALUES = {"str": "x", "path": "x", "int": "1", "float": "1.0", "uuid": "00000000-0000-4000-8000-000000000000"}
_PARAMETER = re.compile(r"\{[a-zA-Z_]\w*(?::(\w+))?\}")


def filled(path: str) -> str | None:
    """Return a path with values in the place of its parameters, `None` when one of them is of a kind of its own."""
    if any(kind not in {None, "", *_VALUES} for kind in _PARAMETER.findall(path)):
        return None
    return _PARAMETER.sub(lambda found: _VALUES[found[1] or "str"], path)


def askable(routes: Iterable[dict[str, Any]]) -> list[str]:
    """Return the paths whose routes answer `METHOD` without running an endpoint: HTTP, with methods, on every host."""
    no = {route["path"] for route in routes if METHOD in route["methods"]}
    paths = [route["path"] for route in routes if route["kind"] == "http" and route["methods"]]
    return [path for path in dict.fromkeys(paths) if path not in no and not path.startswith("//")]


async def ask(app: Any, paths: Iterable[str], copy: str) -> dict[str, Any]:
    """Ask an application for paths and return what it answers: a status, `None` with a reason when it raises.

    A request for a path with a method that its route does not have passes all middleware and is answered 405 by the
    route. Paths that there is no time for are left out.
    """
    answers: dict[str, Any] = {}
    end = asyncio.get_running_loop().time() + ASKING
    for path in paths:
        left = end - asyncio.get_running_loop().time()
        whole = filled(path)
        if left > 0 and whole is not None:
            answers[path] = await _answer(app, whole, min(left, 2.0), copy)
    return answers


async def _answer(app: Any, path: str, limit: float, copy: str) -> dict[str, Any]:
    status: list[int] = []
    messages: list[dict[str, Any]] = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> dict[str, Any]:
        if not messages:
            await asyncio.sleep(ASKING)
            return {"type": "http.disconnect"}
        return messages.pop()

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            status.append(message["status"])

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": METHOD,
        "scheme": "https",  # or those who redirect to it would answer everything
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"localhost"), (b"accept", b"*/*"), (b"user-agent", b"laterctl")],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 443),
        "state": {},
    }
    found: dict[str, Any] = {"reason": "", "place": None}
    try:
        await asyncio.wait_for(app(scope, receive, send), limit)
    except asyncio.TimeoutError:  # noqa: UP041 - another one in Python 3.10
        found["reason"] = f"no answer in {limit:.0f} seconds"
    except Exception as error:  # noqa: BLE001 - the user's code may raise anything
        found = blamed(error, copy)
    return {"status": status[0] if status else None, **found}


# The lifespan


class Stopped(Exception):
    """The lifespan did not do what it was asked to do; `stage` is `start` or `stop`."""

    def __init__(self, stage: str, outcome: str, error: BaseException | str) -> None:
        super().__init__(stage)
        self.stage = stage
        self.outcome = outcome
        self.error = error


async def live(app: Any, limit: float, meanwhile: Callable[[], Awaitable[None]]) -> None:
    """Start and stop an application once, as a server does, each within `limit` seconds, and do something in between.

    Raises `Stopped`.

    https://asgi.readthedocs.io/en/latest/specs/lifespan.html
    """
    asked: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    answered: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}
    running = asyncio.ensure_future(app(scope, asked.get, answered.put))
    for stage, message in (("start", "startup"), ("stop", "shutdown")):
        await asked.put({"type": f"lifespan.{message}"})
        waiting = asyncio.ensure_future(answered.get())
        await asyncio.wait({running, waiting}, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done() and not running.done():
            raise Stopped(stage, "timeout", f"it took longer than {limit:g} seconds")
        await asyncio.wait({waiting}, timeout=0.1)  # an answer that was given just before the end counts
        answer = waiting.result() if waiting.done() else {"type": ""}
        if answer["type"] == f"lifespan.{message}.complete":
            if stage == "start":
                await meanwhile()
            continue
        if answer["type"]:
            await asyncio.wait({running}, timeout=1)
        error = running.exception() if running.done() and not running.cancelled() else None
        outcome = "failed" if answer["type"] or error is not None else "none"
        raise Stopped(stage, outcome, error or str(answer.get("message") or "it ended without an answer"))


def lifespan(
    app: Any, loop: asyncio.AbstractEventLoop, limit: float, copy: str, meanwhile: Callable[[], Awaitable[None]]
) -> dict[str, Any]:
    """Return how starting and stopping went: `outcome` is `ok`, `failed`, `timeout` or `none`."""
    try:
        loop.run_until_complete(live(app, limit, meanwhile))
    except Stopped as stopped:
        error = stopped.error
        why = blamed(error, copy) if isinstance(error, BaseException) else {"reason": _last_line(error), "place": None}
        return {"outcome": stopped.outcome, "stage": stopped.stage, **why}
    except BaseException as error:  # noqa: BLE001 - SystemExit too
        return {"outcome": "failed", "stage": "start", **blamed(error, copy)}
    return dict(LIVED)


LIVED = {"outcome": "ok", "stage": "", "reason": "", "place": None}


def _last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")


# The stages


def versions(names: Iterable[str]) -> dict[str, str | None]:
    """Return the installed versions of distributions, `None` for those that are not installed."""
    found: dict[str, str | None] = {}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def prepared(request: dict[str, Any]) -> CopyFirst:
    """Make this process look like a server's, in the copy: the import path, and what guards it."""
    copy, here = request["copy"], os.path.dirname(os.path.abspath(__file__))
    first = [os.path.normpath(os.path.join(copy, root)) for root in request["first"]]
    others = [os.path.normpath(os.path.join(copy, root)) for root in request["others"]]
    guard = CopyFirst(first, copy, request["original"], request["omitted"])
    rest = [guard.moved(path) for path in sys.path if path and os.path.abspath(path) != here]
    sys.path[:] = list(dict.fromkeys([*first, *rest, *others]))
    sys.argv = ["uvicorn"]
    sys.meta_path.insert(0, guard)
    return guard


def run(request: dict[str, Any], write: Callable[..., None]) -> None:
    """Go through the stages, and write down what each found."""
    guard = prepared(request)
    installed = versions([*request["distributions"], "fastapi"])
    write(python=list(sys.version_info[:3]), versions=installed)
    write(wrong=guard.wrong())
    missing = [name for name, version in installed.items() if version is None]
    if sys.version_info < (3, 10) or missing or guard.wrong():
        return
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        served = loaded(request, loop)
        app, around = unwrapped(served)
        if app is None and not guard.wrong():
            write(error={"reason": f"{request['app']} is no FastAPI application: {spelled(served)}", "place": None})
        elif not guard.wrong():
            seen = described(served, app, around, request, guard)
            paths = askable(seen["routes"])
            write(seen=seen)
    except BaseException as error:  # noqa: BLE001 - SystemExit and the like are reasons too
        write(error=blamed(error, request["copy"]))
        app = None
    if app is not None and not guard.wrong():
        run_once(served, loop, paths, request, write)
    write(wrong=guard.wrong())


def loaded(request: dict[str, Any], loop: asyncio.AbstractEventLoop) -> Any:
    """Import the app: with `running` while the event loop runs, as uvicorn does."""

    async def inside() -> Any:
        return load(request["app"], factory=request["factory"])

    return loop.run_until_complete(inside()) if request["running"] else load(request["app"], factory=request["factory"])


def run_once(
    served: Any,
    loop: asyncio.AbstractEventLoop,
    paths: Sequence[str],
    request: dict[str, Any],
    write: Callable[..., None],
) -> None:
    """Start the application, ask it for its paths, and stop it. One that does not start is asked all the same."""
    started = False

    async def meanwhile() -> None:
        nonlocal started
        started = True
        write(lifespan=LIVED)  # known so far, should an answer never come
        write(asked=await ask(served, paths, request["copy"]))

    lived = lifespan(served, loop, request["lifespan"], request["copy"], meanwhile)
    write(lifespan=lived)
    if not started and lived["outcome"] != "timeout":
        write(asked=loop.run_until_complete(ask(served, paths, request["copy"])))


def main() -> None:
    """Do as the argument says, then end at once: what the app left running does not matter."""
    request = json.loads(sys.argv[1])
    faulthandler.dump_traceback_later(request["timeout"], exit=True, file=sys.__stderr__ or sys.stderr)
    owner = os.getpid()
    report: dict[str, Any] = {}

    def write(**more: Any) -> None:
        report.update(more)
        if os.getpid() != owner:  # the app forked while it was imported
            return
        part = f"{request['report']}.part"
        with open(part, "w", encoding="utf-8") as file:
            json.dump(report, file, default=spelled, skipkeys=True)
        os.replace(part, request["report"])

    run(request, write)
    os._exit(0)


if __name__ == "__main__":
    main()
