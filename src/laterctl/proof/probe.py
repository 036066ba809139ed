"""What the dynamic proof runs: imports the app of a scratch copy of a project and writes down what it finds.

It stands alone: the project's own interpreter runs it, Python 3.10 or newer, with nothing but the standard library and
whatever the app imports itself. The one argument is a JSON object; see `dynamic.run` for its keys. The findings go to
the file that it names, so what the app prints does not matter, and again after each stage, so that an app that hangs
or dies does not take along what was known before.
"""

from __future__ import annotations

import asyncio
import contextlib
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
import signal
import sys
import traceback
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

DEEPEST = 8
"""How many applications may be mounted below each other, or wrapped around the one that is looked for."""
ASKING = 10.0
"""Seconds that asking for all paths may take together."""
METHOD = "TRACE"
"""The method with which paths are asked for: one that routes do not have, so that no endpoint runs."""
PATIENCE = 2.0
"""Seconds that one answer may take."""
LARGEST = 1024 * 1024
"""Bytes of a body that are looked at."""


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

    def is_copy(self, path: str) -> bool:
        """Say whether a file is one of the copy."""
        return _is_below(os.path.realpath(path), self._copy)

    def is_own(self, module: str | None) -> bool:
        """Say whether a module is one that the project has, or would have: its top package is in the copy."""
        top = (module or "").partition(".")[0]
        return bool(top) and importlib.machinery.PathFinder.find_spec(top, self._roots) is not None

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


def is_defect(error: BaseException, guard: CopyFirst) -> bool:
    """Say whether the code is why an import failed, so that no setting, package or server would help.

    That is: what Python cannot read, a name that nothing binds, a module or a name that the project itself lacks, an
    annotation that pydantic cannot use, and what FastAPI does not make a route of.
    """
    files = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError):
        return error.filename is not None and guard.is_copy(error.filename)
    if isinstance(error, ImportError):
        return guard.is_own(error.name)
    if isinstance(error, NameError) or type(error).__module__ == "pydantic.errors":
        return True
    if isinstance(error, OSError) or type(error) is RuntimeError:  # as for a package that a form needs
        return False
    fastapi = os.path.dirname(_file_of(sys.modules.get("fastapi")) or "")
    return bool(fastapi) and any(_is_below(file, fastapi) for file in files)


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


# Asking

_VALUES = {"str": "x", "path": "x", "int": "1", "float": "1.0", "uuid": "00000000-0000-4000-8000-000000000000"}
_PARAMETER = re.compile(r"\{[a-zA-Z_]\w*(?::(\w+))?\}")


def filled(path: str) -> str | None:
    """Return a path with values in the place of its parameters, `None` when one of them is of a kind of its own."""
    if any(kind not in {None, "", *_VALUES} for kind in _PARAMETER.findall(path)):
        return None
    return _PARAMETER.sub(lambda found: _VALUES[found[1] or "str"], path)


def askable(routes: Iterable[dict[str, Any]], made: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the requests that change nothing, as methods and paths.

    Each HTTP route on every host is asked with `METHOD`, which it does not have: the request passes all middleware and
    the route answers 405, so that no endpoint and no dependency runs. A GET is sent where it is promised to be safe
    (RFC 9110, section 9.2.1) and complete without a value of ours: to routes that an OpenAPI document lists under GET,
    without a parameter in the path, a required one elsewhere, or a required body. What is kept out of the documents is
    not called, nor is any other method: the copy may hold a real database.
    """
    found = [route for route in routes if route["kind"] == "http" and not route["path"].startswith("//")]
    no = {route["path"] for route in found if METHOD in route["methods"]}
    paths = dict.fromkeys(route["path"] for route in found if route["methods"])
    safe = dict.fromkeys(route["path"] for route in found if "GET" in route["methods"])
    complete = {path for mount, document in made.items() for path in _complete(mount, document)}
    return [(METHOD, path) for path in paths if path not in no] + [("GET", path) for path in safe if path in complete]


def _complete(mount: str, document: Any) -> Iterator[str]:
    """Yield the full paths that a document says can be asked for with GET as they are."""
    for path, item in (document.get("paths") or {}).items():
        operation = item.get("get")
        if operation is None or "{" in path or (operation.get("requestBody") or {}).get("required"):
            continue
        parameters = [*(item.get("parameters") or ()), *(operation.get("parameters") or ())]
        if not any(parameter.get("required", "$ref" in parameter) for parameter in parameters):
            yield mount + path


async def ask(app: Any, requests: Iterable[tuple[str, str]], copy: str) -> dict[str, Any]:
    """Send requests to an application and return what it answers, by method and path.

    Those that there is no time for are left out.
    """
    answers: dict[str, Any] = {}
    end = asyncio.get_running_loop().time() + ASKING
    for method, path in requests:
        left = end - asyncio.get_running_loop().time()
        whole = filled(path)
        if left > 0 and whole is not None:
            answers[f"{method} {path}"] = await answered(app, method, whole, min(left, PATIENCE), copy)
    return answers


class Heard:
    """What an application sends in answer to one request."""

    def __init__(self) -> None:
        self.status: int | None = None
        self.media = ""
        self.whole = False
        self._body = b""

    async def send(self, message: dict[str, Any]) -> None:
        """Take a message of the application's."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = {bytes(name).lower(): bytes(value) for name, value in message.get("headers", ())}
            self.media = headers.get(b"content-type", b"").decode("latin-1").partition(";")[0].strip().lower()
        elif message["type"] == "http.response.body":
            self._body += message.get("body", b"")[: LARGEST - len(self._body)]
            self.whole = not message.get("more_body", False)

    def described(self) -> dict[str, Any]:
        """Return the status, the media type and the shape of the body: `None` where it is not JSON, or not whole."""
        body = None
        if self.whole and self.media.endswith("json"):
            try:
                body = shape_of(json.loads(self._body))
            except (ValueError, RecursionError):
                body = "no JSON"
        return {"status": self.status, "media": self.media, "body": body}


def shape_of(value: Any) -> Any:
    """Return a JSON value with the names of types in the place of values; of a list each shape once.

    An OpenAPI document is one name: what is in it is compared by itself.
    """
    if isinstance(value, dict):
        return "OpenAPI" if {"openapi", "paths"} <= value.keys() else {key: shape_of(value[key]) for key in value}
    if isinstance(value, list):
        shapes = {json.dumps(shape_of(item), sort_keys=True) for item in value}
        return [json.loads(shape) for shape in sorted(shapes)]
    if value is None or isinstance(value, bool):
        return "null" if value is None else "boolean"
    return "string" if isinstance(value, str) else "number"


class Blocked(BaseException):
    """Code of the user's kept the event loop to itself for too long."""


@contextlib.contextmanager
def unblocked(limit: float) -> Iterator[None]:
    """Interrupt tasks in the block that do not let the event loop go on, where the system and the app allow it."""
    number = getattr(signal, "SIGALRM", None)
    if number is None or signal.getsignal(number) is not signal.SIG_DFL:
        yield
        return
    asking = asyncio.current_task()

    def interrupt(*_: object) -> None:
        with contextlib.suppress(RuntimeError):
            if asyncio.current_task() not in {None, asking}:
                raise Blocked

    signal.signal(number, interrupt)
    signal.setitimer(signal.ITIMER_REAL, limit, 0.5)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(number, signal.SIG_DFL)


async def answered(app: Any, method: str, path: str, limit: float, copy: str) -> dict[str, Any]:
    """Send one request and return what came of it: the answer, `raised` and why, or that there was none in time."""
    heard = Heard()
    messages: list[dict[str, Any]] = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> dict[str, Any]:
        if not messages:
            await asyncio.sleep(ASKING)
            return {"type": "http.disconnect"}
        return messages.pop()

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
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
    with unblocked(limit + 0.5):
        running = asyncio.ensure_future(app(scope, receive, heard.send))
        # What does not end when it is cancelled, such as a thread that sleeps, is left behind.
        await asyncio.wait({running}, timeout=limit)
        late = not running.done() or isinstance(running.exception(), Blocked)
        if late:
            running.cancel()
            await asyncio.wait({running}, timeout=0.1)
    if late and heard.status is None:
        found["reason"] = f"no answer in {limit:.0f} seconds"
    error = None if late else running.exception()
    if error is not None:
        found = blamed(error, copy)
    return {**heard.described(), "late": late, "raised": error is not None, **found}


# What the middleware hears


class Layer:
    """What was seen of one middleware from right outside: its class, whether it was called, what came out of it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.called = False
        self.outcome: dict[str, Any] | None = None


class Watch:
    """A middleware that changes nothing and notes in a `Layer` what the one inside of it does."""

    def __init__(self, app: Any, layer: Layer) -> None:
        self._app = app
        self._layer = layer

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Run the application."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        self._layer.called = True
        heard = Heard()
        raised = False

        async def watched(message: dict[str, Any]) -> None:
            await heard.send(message)
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception:
            raised = True
            raise
        finally:
            self._layer.outcome = {**heard.described(), "raised": raised}


def watched(app: Any) -> list[Layer]:
    """Have all middleware of an application watched when it builds its stack; returns the layers, outermost first.

    The list of middleware stays as it is for whoever looks at it.
    """
    layers: list[Layer] = []
    if getattr(app, "middleware_stack", None) is not None or not hasattr(app, "build_middleware_stack"):
        return layers  # it was built while the app was imported
    build = app.build_middleware_stack
    item = sys.modules["starlette.middleware"].Middleware

    def build_watched() -> Any:
        own = app.user_middleware
        layers[:] = [Layer(name) for name in middleware_of(app)]
        pairs = zip(layers, own, strict=True)
        app.user_middleware = [each for layer, inner in pairs for each in (item(Watch, layer=layer), inner)]
        try:
            return build()
        finally:
            app.user_middleware = own

    app.build_middleware_stack = build_watched
    return layers


RAISES = "/laterctl-proof-raises"


class RaisedByProof(Exception):
    """What the route of the proof raises."""


async def raising(served: Any, app: Any, layers: list[Layer], copy: str) -> dict[str, Any]:
    """Send a request to a route, put first for it and taken away again, that raises: what comes out of each middleware.

    `reached` says whether the route was called at all.
    """
    reached = False

    async def fails(_: Any) -> None:
        nonlocal reached
        reached = True
        raise RaisedByProof("raised by the proof of laterctl, in a scratch copy; nothing is wrong")

    route = sys.modules["starlette.routing"].Route(RAISES, fails)
    for layer in layers:
        layer.outcome = None
    app.router.routes.insert(0, route)
    try:
        outside = await answered(served, "GET", RAISES, PATIENCE, copy)
    finally:
        app.router.routes.remove(route)
    found = [{"name": layer.name, "called": layer.called, "outcome": layer.outcome} for layer in layers]
    return {"reached": reached, "outside": outside, "layers": found}


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


class Entered:
    """Notes which functions, by dotted names in modules that the app has imported, are called while it starts."""

    def __init__(self, names: Iterable[str], guard: CopyFirst) -> None:
        functions = {name: inspect.unwrap(resolved(name, guard)) for name in names}
        self._codes = {name: getattr(function, "__code__", None) for name, function in functions.items()}
        self._called: set[Any] = set()
        self._profile: Callable[..., None] | None = None

    def start(self) -> None:
        """Begin to look. It costs time at every call, so nobody looks for nothing."""
        if any(self._codes.values()):
            self._profile = self._note
            sys.setprofile(self._profile)

    def _note(self, frame: Any, event: str, _: object) -> None:
        if event == "call":
            self._called.add(frame.f_code)

    def stop(self) -> None:
        """Look no longer; nothing is known when somebody else looks by now."""
        if self._profile is not None and sys.getprofile() is self._profile:
            sys.setprofile(None)
        elif self._profile is not None:
            self._codes = dict.fromkeys(self._codes)
        self._profile = None

    def found(self) -> dict[str, bool | None]:
        """Say of each name whether it was called, `None` where that could not be seen."""
        return {name: None if code is None else code in self._called for name, code in self._codes.items()}


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


class Run(NamedTuple):
    """One run of the probe: what is asked for, what guards the import path, and what writes down findings."""

    request: dict[str, Any]
    guard: CopyFirst
    write: Callable[..., None]


def look(run: Run) -> None:
    """Go through the stages, and write down what each found."""
    request, guard, write = run
    installed = versions([*request["distributions"], "pytest" if "tests" in request else "fastapi"])
    write(python=list(sys.version_info[:3]), versions=installed)
    write(wrong=guard.wrong())
    missing = [name for name, version in installed.items() if version is None]
    if sys.version_info < (3, 10) or missing or guard.wrong():
        return
    if "tests" in request:
        begun(request)
        write(code=int(importlib.import_module("pytest").main(request["tests"])), wrong=guard.wrong())
        return
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    seen: dict[str, Any] = {}
    begun(request)
    try:
        served = loaded(request, loop)
        app, around = unwrapped(served)
        if app is None and not guard.wrong():
            reason = f"{request['app']} is no FastAPI application: {spelled(served)}"
            write(error={"reason": reason, "place": None, "defect": False})
        elif not guard.wrong():
            seen = described(served, app, around, request, guard)
            write(seen=seen)
    except BaseException as error:  # noqa: BLE001 - SystemExit and the like are reasons too
        write(error={**blamed(error, request["copy"]), "defect": is_defect(error, guard)})
    if seen and not guard.wrong():
        run_once(served, app, loop, seen, run)
    write(wrong=guard.wrong())


def begun(request: dict[str, Any]) -> None:
    """Leave a mark where it is looked for: from here on it is the project's code that runs."""
    with open(request["begun"], "w", encoding="utf-8"):
        pass


def loaded(request: dict[str, Any], loop: asyncio.AbstractEventLoop) -> Any:
    """Import the app: with `running` while the event loop runs, as uvicorn does."""

    async def inside() -> Any:
        return load(request["app"], factory=request["factory"])

    return loop.run_until_complete(inside()) if request["running"] else load(request["app"], factory=request["factory"])


def run_once(served: Any, app: Any, loop: asyncio.AbstractEventLoop, seen: dict[str, Any], run: Run) -> None:
    """Start the application, ask it, and stop it. One that does not start is asked all the same."""
    started = False
    copy, asks = run.request["copy"], run.request["asks"]
    requests = askable(seen["routes"], seen["documents"]) if asks else []
    layers = watched(app) if asks else []
    entered = Entered(run.request["lifespans"], run.guard)

    async def asked() -> None:
        answers = await ask(served, requests, copy)
        run.write(asked=answers, raised=await raising(served, app, layers, copy) if asks else None)

    async def meanwhile() -> None:
        nonlocal started
        started = True
        entered.stop()
        run.write(lifespan=LIVED, entered=entered.found())  # known so far, should an answer never come
        await asked()

    entered.start()
    lived = lifespan(served, loop, run.request["lifespan"], copy, meanwhile)
    entered.stop()
    run.write(lifespan=lived, entered=entered.found())
    if not started and lived["outcome"] != "timeout":
        loop.run_until_complete(asked())


def main() -> None:
    """Do as the argument says, then end at once: what the app left running does not matter."""
    request = json.loads(sys.argv[1])
    faulthandler.dump_traceback_later(request["timeout"], exit=True, file=os.dup(2))  # pytest takes the other
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

    look(Run(request, prepared(request), write))
    os._exit(0)


if __name__ == "__main__":
    main()
