"""What an application has when it runs, and how that differs after a change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct, field

from laterctl.edits.app_statements import RANKS, rank_of
from laterctl.features import catalogue
from laterctl.project.places import Place
from laterctl.proof import openapi
from laterctl.proof.expectations import LIFESPAN, MIDDLEWARE, ROUTER, Expectation
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
    """What came of one request, or of an exception on its way out.

    `status` is `None` when there was no answer; `media` is the type of the body, and `body` its shape, when it is JSON
    and came whole. `raised` says whether an exception came out, `late` that not all was said in time. `reason` says
    why there is no answer, or what was raised, and `place` which line led to it.
    """

    status: int | None
    media: str = ""
    body: Any = None
    raised: bool = False
    late: bool = False
    reason: str = ""
    place: Place | None = None

    def __str__(self) -> str:
        if self.status is None:
            return f"a request gets no answer: {self.reason}"
        return f"a request is answered {self.status}" + (f": {self.reason}" if self.reason else "")

    @property
    def reached(self) -> bool:
        """Whether the route itself answered a method that it does not have."""
        return self.status == 405

    @property
    def lost(self) -> bool:
        """Whether nobody answered who knows the route: others may refuse a request, with 401, 403 or 429."""
        return self.status is None or self.status == 404 or self.status >= 500

    @property
    def outcome(self) -> str:
        """What happened, in a word or three."""
        parts = [f"answered {self.status}"] if self.status is not None else []
        return " and ".join([*parts, *(["raised"] if self.raised else [])]) or "not answered"

    def content_changed(self, after: Answer) -> str:
        """Return how the body of another answer differs in type and shape; `""` when it does not."""
        if self.media != after.media:
            return f"{after.media or 'no type'} instead of {self.media or 'none'}"
        return openapi.differing(self.body, after.body, "body")


class Layer(Struct, frozen=True):
    """A middleware: whether a request came to it, and what came out of it when the route of the proof raised."""

    name: str
    called: bool
    outcome: Answer | None


class Raised(Struct, frozen=True):
    """What becomes of an exception: outside of everything, and right outside of each middleware, outermost first.

    `reached` is false when something answered before the route that raises.
    """

    reached: bool
    outside: Answer
    layers: tuple[Layer, ...]


Request = tuple[str, str]
"""A method and the path of a route."""
TRACE = "TRACE"
"""The method that routes do not have."""


class AppSnapshot(Struct, frozen=True):
    """An application that was imported. `middleware` is outermost first.

    `documents` are the OpenAPI documents by the path where their application is mounted (`""`: the main one);
    `undocumented` says why there is none. `routers` and `classes` answer what was asked about, by dotted name.
    `asked` are the answers to requests, as far as there was time for them, `raised` what became of an exception, and
    `entered` whether functions that were asked about were called when it started (`None`: that could not be seen).
    """

    routes: tuple[Route, ...]
    middleware: tuple[str, ...]
    documents: Mapping[str, Any]
    undocumented: Mapping[str, str]
    routers: Mapping[str, Included]
    classes: Mapping[str, str]
    lifespan: Lifespan = field(default_factory=lambda: Lifespan("none"))
    asked: Mapping[Request, Answer] = field(default_factory=dict)
    raised: Raised | None = None
    entered: Mapping[str, bool | None] = field(default_factory=dict)

    @property
    def answers(self) -> dict[Key, Route]:
        """The route that answers each key: the first one, in the order in which they are tried."""
        found: dict[Key, Route] = {}
        for route in self.routes:
            for key in route.keys:
                found.setdefault(key, route)
        return found


def read(
    found: Mapping[str, Any],
    lifespan: Lifespan,
    asked: Mapping[Request, Answer],
    raised: Raised | None,
    entered: Mapping[str, bool | None],
) -> AppSnapshot:
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
        raised,
        entered,
    )


Differences = dict[tuple[str, str], Failure]
"""Failures, by check and by what they are about."""


def differences(
    before: AppSnapshot,
    after: AppSnapshot,
    expectations: Iterable[Expectation] = (),
    answers: Mapping[str, Collection[int]] | None = None,
    *,
    moves: bool = False,
) -> Differences:
    """Compare an application with what it was.

    Everything that was there is still there and unchanged, but for what is promised to go; what is promised to come
    is there, and at work. `answers` are the statuses of which features that come, go or change make the bodies, by
    feature: these may differ. When a feature `moves` routes, those may go whose function answers elsewhere,
    and names may differ.
    """
    answers = answers or {}
    found: Differences = {}
    listed = list(expectations)
    going = [item for item in listed if not item.comes]
    gone = {key for item in going if item.kind == ROUTER for key in before.routers[item.dotted].keys}
    elsewhere = _moved(before, after) if moves else set()
    made = {status for statuses in answers.values() for status in statuses}
    layers = _listening(before, after, listed, answers)
    told = _is_told(layers)
    for about, failure in [
        *_promised(before, after, listed),
        *_routes(before.answers, after.answers, gone | (elsewhere - after.answers.keys()), named=not moves),
        *_reached(before, after, listed),
        *_answers(before, after, gone, made, told),
        *_exceptions(before.raised, after.raised, layers, made, told),
        *_operations(before, after, gone, elsewhere),
        *_doubled(before, after),
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
                yield (
                    item.dotted,
                    Failure("promised", f"{what} was promised and is not in the running app", item.place, item.feature),
                )
        elif item.kind == LIFESPAN:
            if item.comes and after.entered.get(item.dotted) is False and after.lifespan.outcome in {"ok", "none"}:
                message = f"{item.code} was promised, and is not entered when the app starts"
                yield item.dotted, Failure("promised", message, item.place, item.feature)
        elif item.kind == ROUTER:
            old, new = before.answers, after.answers
            for key in before.routers[item.dotted].keys:
                if key in new and new[key].endpoint == old[key].endpoint:
                    yield item.dotted, Failure("promised", f"{_shown(key)} still answers", item.place, item.feature)
        elif item.comes:
            name = after.classes[item.dotted]
            calls = [layer.called for layer in after.raised.layers if layer.name == name] if after.raised else []
            idle = bool(calls) and not any(calls) and bool(_known(before))
            if name not in after.middleware or idle:
                why = "no request comes to it" if idle else "the running app has no such middleware"
                message = f"{item.code} was promised, and {why}"
                yield item.dotted, Failure("promised", message, item.place, item.feature)
        elif before.middleware.count(name := before.classes[item.dotted]) <= after.middleware.count(name) > 0:
            yield (
                item.dotted,
                Failure("promised", f"the running app still has the middleware {name}", item.place, item.feature),
            )


def _routes(before: Mapping[Key, Route], after: Mapping[Key, Route], gone: set[Key], *, named: bool) -> Found:
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
        elif named and new.name != old.name:
            yield _shown(key), Failure("routes", f"{_shown(key)} is named {new.name!r} instead of {old.name!r}")
    was = [key for key in before if key in after]
    now = [key for key in after if key in before]
    for old_key, new_key in zip(was, now, strict=True):
        if old_key != new_key:
            yield "order", Failure("routes", f"{_shown(new_key)} is tried before {_shown(old_key)} now")
            return


def _reached(before: AppSnapshot, after: AppSnapshot, expectations: Sequence[Expectation]) -> Found:
    """Routes that are there, and that no request comes to: something before them answers or raises."""
    known = _known(before)
    if not known:
        return  # something answers everything already: nothing is learned by asking
    coming = [item for item in expectations if item.kind == ROUTER and item.comes]
    promised = {key: item for item in coming for key in after.routers[item.dotted].keys}
    lost: dict[tuple[str, int | None, Place | None], list[tuple[Key, Answer]]] = {}
    for key in after.answers:
        kind, path, method = key
        answer = after.asked.get((TRACE, path))
        if kind != "http" or method == "HEAD" or answer is None or not answer.lost:
            continue
        if path in known and key in before.answers:
            lost.setdefault(("routes", answer.status, answer.place), []).append((key, answer))
        elif key in promised:
            lost.setdefault(("promised", answer.status, answer.place or promised[key].place), []).append((key, answer))
    for (check, status, place), found in lost.items():
        names = _listed([_shown(key) for key, _ in found])
        what = "not reached any more" if check == "routes" else "promised and not reached"
        verb = "are" if found[1:] else "is"
        feature = promised[found[0][0]].feature if check == "promised" else ""
        yield f"{status} {place}", Failure(check, f"{names} {verb} {what}: {found[0][1]}", place, feature)


def _known(before: AppSnapshot) -> set[str]:
    """Return the paths whose routes answered themselves."""
    return {path for (method, path), answer in before.asked.items() if method == TRACE and answer.reached}


def _answers(before: AppSnapshot, after: AppSnapshot, gone: set[Key], made: Collection[int], told: bool) -> Found:
    """Requests that are answered otherwise: with another status, or another shape, of which none is `made` by a feature.

    Where the user's middleware is `told` of exceptions by an answer of ours, it does not answer for them itself.
    """
    paths = {path: kind for kind, path, _ in (before.answers.keys() & after.answers.keys()) - gone}
    changed: dict[tuple[str, Place | None], list[str]] = {}
    for (method, path), old in before.asked.items():
        new = after.asked.get((method, path))
        if new is None or path not in paths or old.late or new.late or new.status == 429:
            continue
        if after.asked[TRACE, path].lost if (TRACE, path) in after.asked else False:
            continue  # said of the route
        if told and _is_failure(old) and _is_failure(new) and (old.raised or new.raised):
            continue  # an exception: one of the two is what the user's own made of it
        if old.outcome != new.outcome and not (old.status == new.status and new.status in made):
            how = f"{new.outcome} instead of {old.outcome}" + (f": {new.reason}" if new.reason else "")
        elif new.status in made or not (how := old.content_changed(new)):
            continue
        else:
            how = f"answered otherwise: {how}"
        changed.setdefault((how, new.place), []).append(f"{method} {path}")
    for (how, place), requests in changed.items():
        yield requests[0], Failure("answers", f"{_listed(requests)} {'are' if requests[1:] else 'is'} {how}", place)


def _is_failure(answer: Answer) -> bool:
    return answer.status is not None and answer.status >= 400


Listening = list[tuple[Layer, bool]]
"""The user's layers, and whether each is told of an exception by one of ours that answers for it."""


def _exceptions(
    was: Raised | None,
    is_now: Raised | None,
    layers: tuple[Listening, Listening],
    made: Collection[int],
    told: bool,
) -> Found:
    """What becomes of an exception that the route of the proof raises, outside of all and of each middleware.

    A middleware of a feature that answers for exceptions changes what those see that belong outside of it, or stand
    there and are `told`, and nothing else.
    """
    if was is None or is_now is None or not was.reached:
        return
    old, new = was.outside, is_now.outside
    is_ours = new.status in made if old.status == new.status else told and _is_failure(old) and _is_failure(new)
    if not is_ours and (how := _came_out(old, new)):
        yield "", Failure("exceptions", f"an exception of a route {how} outside of the app", new.place)
    rest = iter(layers[1])
    for layer, hears in layers[0]:
        now, also = next(((item, other) for item, other in rest if item.name == layer.name), (None, True))
        if now is not None and not hears and not also and (how := _came_out(layer.outcome, now.outcome)):
            yield layer.name, Failure("exceptions", f"an exception of a route {how} of {layer.name}")


def _listening(
    before: AppSnapshot,
    after: AppSnapshot,
    expectations: Sequence[Expectation],
    answers: Mapping[str, Collection[int]],
) -> tuple[Listening, Listening]:
    """Return the user's layers before and after, and whether each is told of exceptions.

    It is where the user has something between it and ours, or is something, that belongs outside of ours: the plan said
    so.
    """
    answering = [item for item in expectations if item.kind == MIDDLEWARE and answers.get(item.feature)]
    own = {name for seen in (before, after) for name in seen.classes.values() if name}
    ranks = catalogue.middleware()

    def listening(seen: AppSnapshot, comes: bool) -> Iterator[tuple[Layer, bool]]:
        ours = {seen.classes[item.dotted]: item.dotted for item in answering if item.comes is comes}
        layers = seen.raised.layers if seen.raised is not None else ()
        for number, layer in enumerate(layers):
            if layer.name in own:
                continue
            outermost, told = 0, False
            for inner in layers[number:]:
                if inner.name in ours:
                    told = told or RANKS[rank_of(ours[inner.name], ranks)] < outermost
                elif inner.name not in own:
                    outermost = max(outermost, RANKS.get(rank_of(inner.name, ranks), 0))
            yield layer, told

    return list(listening(before, False)), list(listening(after, True))


def _is_told(layers: tuple[Listening, Listening]) -> bool:
    """Whether some middleware is told of exceptions that belongs inside of what answers for them."""
    ranks = catalogue.middleware()
    return any(hears and not rank_of(layer.name, ranks) for side in layers for layer, hears in side)


def _came_out(before: Answer | None, after: Answer | None) -> str:
    """Return how the outcomes of an exception differ; `None` where it did not come by."""
    words = [item.outcome if item is not None else "not seen" for item in (before, after)]
    if words[0] != words[1]:
        return f"comes {words[1]} instead of {words[0]} out"
    content = before.content_changed(after) if before is not None and after is not None else ""
    return f"comes answered otherwise ({content}) out" if content else ""


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if names[3:] else "")


def _shown(key: Key) -> str:
    kind, path, method = key
    return f"{method or kind} {path or '/'}"


def _moved(before: AppSnapshot, after: AppSnapshot) -> set[Key]:
    """Return the routes whose function answers at another path as well, or instead."""
    was, is_now = before.answers, after.answers
    new = {route.endpoint for key, route in is_now.items() if key not in was}
    kept = {route.endpoint for key, route in is_now.items() if key in was}
    return {key for key, old in was.items() if old.endpoint in (new if key in is_now else new | kept)}


def _operations(before: AppSnapshot, after: AppSnapshot, gone: set[Key], elsewhere: set[Key]) -> Found:
    told = gone | (before.answers.keys() - after.answers.keys())
    for mount, document in before.documents.items():
        if mount not in after.documents:
            if mount in after.undocumented:
                message = f"the OpenAPI document{_of(mount)} cannot be made any more: {after.undocumented[mount]}"
                yield mount, Failure("openapi", message)
            continue
        for path, method, where in openapi.changed(document, after.documents[mount]):
            key = ("http", mount + path, method.upper())
            if key not in told and not (where == openapi.GONE and key in elsewhere):
                yield _shown(key), Failure("openapi", f"{_shown(key)} is described otherwise: {where}")


def _doubled(before: AppSnapshot, after: AppSnapshot) -> Found:
    for mount, document in after.documents.items():
        known = openapi.doubled(before.documents.get(mount, {}))
        for name, operations in openapi.doubled(document).items():
            if len(operations) > len(known.get(name, ())):
                message = f"{' and '.join(operations)}{_of(mount)} have one operation id, {name}"
                yield f"{mount} {name}", Failure("openapi", message)


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
