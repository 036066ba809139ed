"""What an application has when it runs, and how that differs after a change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct, field

from laterctl.project.places import Place
from laterctl.proof import openapi
from laterctl.proof.expectations import MIDDLEWARE, ROUTER, Expectation
from laterctl.proof.static import Failure

Key = tuple[str, str, str]
"""What makes a route one that a client can ask for: kind, full path, method (`""` where there are none)."""


class Route(Struct, frozen=True):
    """One route: `http`, `websocket`, `mount`, `host` or the class of another kind; `endpoint` is what answers it."""

    kind: str
    path: str
    methods: tuple[str, ...]
    name: str
    endpoint: str

    @property
    def keys(self) -> list[Key]:
        """The route once for each method."""
        return [(self.kind, self.path, method) for method in self.methods or ("",)]


class Included(Struct, frozen=True):
    """What became of a router that somebody asked about: its routes in the application, and those that are missing."""

    there: bool
    keys: tuple[Key, ...]
    missing: tuple[str, ...]


class Lifespan(Struct, frozen=True):
    """How starting and stopping once went: `ok`, `failed`, `timeout`, `none`; why not, and the line that it led to."""

    outcome: str
    stage: str = ""
    reason: str = ""
    place: Place | None = None


class Answer(Struct, frozen=True):
    """What a path answered that was asked for with a method that it does not have: 405, when its route was reached.

    `status` is `None` when there was no answer; `reason` says why, and `place` which line led to it.
    """

    status: int | None
    reason: str = ""
    place: Place | None = None

    def __str__(self) -> str:
        if self.status is None:
            return f"a request gets no answer: {self.reason}"
        return f"a request is answered {self.status}" + (f": {self.reason}" if self.reason else "")

    @property
    def reached(self) -> bool:
        """Whether the route itself answered."""
        return self.status == 405

    @property
    def lost(self) -> bool:
        """Whether nobody answered who knows the route: others may refuse a request, with 401, 403 or 429."""
        return self.status is None or self.status == 404 or self.status >= 500


class AppSnapshot(Struct, frozen=True):
    """An application that was imported. `middleware` is outermost first.

    `documents` are the OpenAPI documents by the path where their application is mounted (`""`: the main one);
    `undocumented` says why there is none. `routers` and `classes` answer what was asked about, by dotted name.
    `asked` are the answers of its paths, as far as they could be asked for.
    """

    routes: tuple[Route, ...]
    middleware: tuple[str, ...]
    documents: Mapping[str, Any]
    undocumented: Mapping[str, str]
    routers: Mapping[str, Included]
    classes: Mapping[str, str]
    lifespan: Lifespan = field(default_factory=lambda: Lifespan("none"))
    asked: Mapping[str, Answer] = field(default_factory=dict)

    @property
    def answers(self) -> dict[Key, Route]:
        """The route that answers each key: the first one, in the order in which they are tried."""
        found: dict[Key, Route] = {}
        for route in self.routes:
            for key in route.keys:
                found.setdefault(key, route)
        return found


def read(found: Mapping[str, Any], lifespan: Lifespan, asked: Mapping[str, Answer]) -> AppSnapshot:
    """Read what the probe wrote down."""
    routes = tuple(
        Route(item["kind"], item["path"], tuple(item["methods"]), item["name"], item["endpoint"])
        for item in found["routes"]
    )
    routers = {
        dotted: Included(
            item["there"], tuple(key for at in item["routes"] for key in routes[at].keys), tuple(item["missing"])
        )
        for dotted, item in found["routers"].items()
    }
    return AppSnapshot(
        routes,
        tuple(found["middleware"]),
        found["documents"],
        found["undocumented"],
        routers,
        found["classes"],
        lifespan,
        asked,
    )


Differences = dict[tuple[str, str], Failure]
"""Failures, by check and by what they are about."""


def differences(before: AppSnapshot, after: AppSnapshot, expectations: Iterable[Expectation] = ()) -> Differences:
    """Compare an application with what it was.

    Everything that was there is still there and unchanged, but for what is promised to go; what is promised to come
    is there.
    """
    found: Differences = {}
    listed = list(expectations)
    going = [item for item in listed if not item.comes]
    gone = {key for item in going if item.kind == ROUTER for key in before.routers[item.dotted].keys}
    for about, failure in [
        *_promised(before, after, listed),
        *_routes(before.answers, after.answers, gone),
        *_reached(before, after, listed),
        *_operations(before, after, gone),
        *_middleware(before, after, [before.classes[item.dotted] for item in going if item.kind == MIDDLEWARE]),
        *_lifespan(before.lifespan, after.lifespan),
    ]:
        found.setdefault((failure.check, about), failure)
    return found


Found = Iterator[tuple[str, Failure]]


def _promised(before: AppSnapshot, after: AppSnapshot, expectations: Sequence[Expectation]) -> Found:
    for item in expectations:
        if item.kind == ROUTER and item.comes:
            included = after.routers[item.dotted]
            what = ", ".join(included.missing) if included.there else item.code
            if what:
                yield item.dotted, Failure("promised", f"{what} was promised and is not in the running app", item.place)
        elif item.kind == ROUTER:
            old, new = before.answers, after.answers
            for key in before.routers[item.dotted].keys:
                if key in new and new[key].endpoint == old[key].endpoint:
                    yield item.dotted, Failure("promised", f"{_shown(key)} still answers", item.place)
        elif item.comes:
            if after.classes[item.dotted] not in after.middleware:
                message = f"{item.code} was promised, and the running app has no such middleware"
                yield item.dotted, Failure("promised", message, item.place)
        elif before.middleware.count(name := before.classes[item.dotted]) <= after.middleware.count(name) > 0:
            yield item.dotted, Failure("promised", f"the running app still has the middleware {name}", item.place)


def _routes(before: Mapping[Key, Route], after: Mapping[Key, Route], gone: set[Key]) -> Found:
    methods: dict[tuple[str, str], list[str]] = {}
    for kind, path, method in after:
        methods.setdefault((kind, path), []).append(method)
    for key, old in before.items():
        if key in gone:
            continue
        new = after.get(key)
        if new is None:
            left = methods.get(key[:2])
            more = f"; {key[1]} answers {', '.join(sorted(left))}" if left else ""
            yield _shown(key), Failure("routes", f"{_shown(key)} is gone{more}")
        elif new.endpoint != old.endpoint:
            message = f"{_shown(key)} is answered by {new.endpoint} instead of {old.endpoint}"
            yield _shown(key), Failure("routes", message)
        elif new.name != old.name:
            yield _shown(key), Failure("routes", f"{_shown(key)} is named {new.name!r} instead of {old.name!r}")
    was = [key for key in before if key in after]
    now = [key for key in after if key in before]
    for old_key, new_key in zip(was, now, strict=True):
        if old_key != new_key:
            yield "order", Failure("routes", f"{_shown(new_key)} is tried before {_shown(old_key)} now")
            return


def _reached(before: AppSnapshot, after: AppSnapshot, expectations: Sequence[Expectation]) -> Found:
    """Routes that are there, and that no request comes to: something before them answers or raises."""
    known = {path for path, answer in before.asked.items() if answer.reached}
    if not known:
        return  # something answers everything already: nothing is learned by asking
    coming = [item for item in expectations if item.kind == ROUTER and item.comes]
    promised = {key: item.place for item in coming for key in after.routers[item.dotted].keys}
    lost: dict[tuple[str, int | None, Place | None], list[tuple[Key, Answer]]] = {}
    for key in after.answers:
        kind, path, method = key
        answer = after.asked.get(path)
        if kind != "http" or method == "HEAD" or answer is None or not answer.lost:
            continue
        if path in known and key in before.answers:
            lost.setdefault(("routes", answer.status, answer.place), []).append((key, answer))
        elif key in promised:
            lost.setdefault(("promised", answer.status, answer.place or promised[key]), []).append((key, answer))
    for (check, status, place), found in lost.items():
        names = ", ".join(_shown(key) for key, _ in found[:3]) + (f" and {len(found) - 3} more" if found[3:] else "")
        what = "not reached any more" if check == "routes" else "promised and not reached"
        verb = "are" if found[1:] else "is"
        yield f"{status} {place}", Failure(check, f"{names} {verb} {what}: {found[0][1]}", place)


def _shown(key: Key) -> str:
    kind, path, method = key
    return f"{method or kind} {path or '/'}"


def _operations(before: AppSnapshot, after: AppSnapshot, gone: set[Key]) -> Found:
    told = gone | (before.answers.keys() - after.answers.keys())
    for mount, document in before.documents.items():
        if mount not in after.documents:
            if mount in after.undocumented:
                message = f"the OpenAPI document{_of(mount)} cannot be made any more: {after.undocumented[mount]}"
                yield mount, Failure("openapi", message)
            continue
        for path, method, where in openapi.changed(document, after.documents[mount]):
            key = ("http", mount + path, method.upper())
            if key not in told:
                yield _shown(key), Failure("openapi", f"{_shown(key)} is described otherwise: {where}")
        for name, routes in openapi.shared_ids(document, after.documents[mount]):
            yield f"{mount} {name}", Failure("openapi", f"{' and '.join(routes)} have one operation id, {name}")


def _of(mount: str) -> str:
    return f" of {mount}" if mount else ""


def _middleware(before: AppSnapshot, after: AppSnapshot, going: Sequence[str]) -> Found:
    left = Counter(going)
    old: list[str] = []
    for name in before.middleware:
        if left[name] > 0:
            left[name] -= 1
        else:
            old.append(name)
    lacking = Counter(old) - Counter(after.middleware)
    for name in lacking:
        yield name, Failure("middleware", f"the middleware {name} is gone")
    rest = iter(after.middleware)
    if not lacking and not all(name in rest for name in old):
        known = [name for name in after.middleware if name in old]
        message = f"the middleware stands in another order: {', '.join(known)} instead of {', '.join(old)}"
        yield "order", Failure("middleware", message)


def _lifespan(before: Lifespan, after: Lifespan) -> Found:
    if before.outcome == "ok" and after.outcome != "ok":
        message = f"the app does not {after.stage} any more: {after.reason}"
        yield "", Failure("lifespan", message, after.place)
