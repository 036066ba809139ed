"""Statements put on the app: middleware by rank, routers, exception handlers."""

from __future__ import annotations

import ast
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from msgspec import Struct

from laterctl.edits.context import FeatureContext, is_ours, user_statements
from laterctl.edits.pasted import pasted
from laterctl.project.facts import App, Registration
from laterctl.project.statements import body_at, nodes
from laterctl.refusal import Refusal, Refused
from laterctl.targets.argument import Argument
from laterctl.targets.base import Anchor
from laterctl.targets.list_entry import ListEntry
from laterctl.targets.resolved import Resolved
from laterctl.targets.statement import Statement

RANKS: Mapping[str, int] = {
    name: number
    for number, name in enumerate(
        (
            "profiling",
            "compression",
            "application",
            "error-boundary",
            "read-your-writes",
            "versions",
            "rate-limit",
            "https-redirect",
            "cors",
            "trusted-host",
            "security-headers",
            "metrics",
            "access-log",
            "request-context",
        )
    )
}
"""Middleware order from the innermost to the outermost: the order in which the calls stand in the file.

What is not known counts as a part of the application: it may decide by whether an exception comes through.
"""

KNOWN: Mapping[str, str] = {
    "starlette.middleware.cors.CORSMiddleware": "cors",
    "starlette.middleware.gzip.GZipMiddleware": "compression",
    "starlette.middleware.trustedhost.TrustedHostMiddleware": "trusted-host",
    "starlette.middleware.httpsredirect.HTTPSRedirectMiddleware": "https-redirect",
    "asgi_correlation_id.CorrelationIdMiddleware": "request-context",
    "asgi_correlation_id.middleware.CorrelationIdMiddleware": "request-context",
    "slowapi.middleware.SlowAPIMiddleware": "rate-limit",
    "slowapi.middleware.SlowAPIASGIMiddleware": "rate-limit",
    "starlette_exporter.PrometheusMiddleware": "metrics",
    "brotli_asgi.BrotliMiddleware": "compression",
}

STRICT = frozenset(
    {("application", "error-boundary"), ("application", "cors"), ("error-boundary", "cors"), ("rate-limit", "cors")}
)
"""Pairs (inner, outer) whose order decides whether the feature works at all."""


def rank_of(target: str, declared: Mapping[str, str]) -> str:
    """Return the rank of a middleware class by its dotted name, `""` when it is not a known one.

    `declared` maps the middleware of features (`core.cors:CorsMiddleware`) to their ranks.
    """
    return KNOWN.get(target) or next((name for source, name in declared.items() if is_ours(target, source)), "")


class _Cost(NamedTuple):
    """How many pairs a place in the order violates: those that decide whether it works, and others."""

    strict: int
    soft: int


class _Order:
    """Where a middleware of one rank may stand among others."""

    def __init__(self, rank: str, declared: Mapping[str, str]) -> None:
        self.rank = rank
        self.declared = declared

    def name(self, item: Registration) -> str:
        """Return the rank of what the user has."""
        return rank_of(item.target, self.declared) or "application"

    def is_outer(self, item: Registration) -> bool:
        """Whether something of the user's belongs outside."""
        return RANKS[self.name(item)] > RANKS[self.rank]

    def cost(self, inside: Iterable[Registration], outside: Iterable[Registration]) -> _Cost:
        """Return what a place costs that leaves some of the user's middleware inside, and some outside."""
        wrong = [(self.rank, self.name(item)) for item in inside if self.is_outer(item)]
        wrong += [(self.name(item), self.rank) for item in outside if not self.is_outer(item)]
        strict = sum(pair in STRICT for pair in wrong)
        return _Cost(strict, len(wrong) - strict)

    def tell(
        self, context: FeatureContext, code: str, inside: Iterable[Registration], outside: Iterable[Registration]
    ) -> None:
        """Warn of what stands on the wrong side."""
        for item in inside:
            if self.is_outer(item):
                context.warn(f"{code} stands outside of {_shown(item)}, which should be outside of it", item.place)
        for item in outside:
            if not self.is_outer(item):
                effect = ": it sees answers instead of exceptions" if self.rank == "error-boundary" else ""
                context.warn(f"{_shown(item)} stands outside of {code}, and should be inside of it{effect}", item.place)


def _shown(item: Registration) -> str:
    return item.target.rpartition(".")[2] or "a middleware"


MIDDLEWARE = "starlette.middleware.Middleware"


class Middleware(Struct, frozen=True):
    """The middleware class `source` (`core.cors:CORSMiddleware`), at its rank.

    Where the app is given a list of middleware, and nothing outside of that list has to be inside of this one, it is
    an entry of the list; else it is put on with `app.add_middleware(...)`. `settings` is a class of which it is given
    an instance, as its argument of that name.
    """

    source: str
    rank: str
    settings: str = ""

    def resolve(self, context: FeatureContext) -> Iterator[Resolved]:
        call = f"add_middleware({self._written()})"
        found = pasted(context, self.source, "add_middleware")
        if found is not None and not _is_plain(context, found, call):
            yield Resolved(found)
            return
        app = context.app(f"app.{call}")
        order = _Order(self.rank, context.declared_middleware())
        listed = _listing(context, app, order) if found is None else None
        if listed is not None:
            yield from self._listed(context, listed, order)
            return
        imports, local, arguments = self._arguments(context, app.path)
        code = f"{app.name}.add_middleware({arguments})"
        yield from imports
        does = ("middleware", context.dotted(self.source))
        target = Statement(app.path, app.scope, code, (RANKS[self.rank], local), does)
        yield Resolved(target, Anchor(app.body, self._after(context, app, code, order)))

    def _written(self) -> str:
        """Return the arguments of a call as they are under the usual names."""
        name, settings = (source.partition(":")[2] for source in (self.source, self.settings))
        return f"{name}, settings={settings}()" if settings else name

    def _arguments(self, context: FeatureContext, path: str) -> tuple[list[Resolved], str, str]:
        """Return the imports of the class and its settings, the class's name, and both as arguments of a call."""
        wanted, local = context.imported(path, self.source)
        if not self.settings:
            return [wanted], local, local
        settings, made = context.imported(path, self.settings)
        return [wanted, settings], local, f"{local}, settings={made}()"

    def _listed(self, context: FeatureContext, listing: _Listing, order: _Order) -> Iterator[Resolved]:
        imports, local, arguments = self._arguments(context, listing.path)
        spelled = listing.spelled
        yield from imports
        if not spelled:
            wrapper, spelled = context.imported(listing.path, "fastapi.middleware:Middleware")
            yield wrapper
        code = f"{spelled}({arguments})"
        users = listing.users
        behind = min(range(len(users) + 1), key=lambda count: order.cost(users[count:], users[:count]))
        order.tell(context, code, users[behind:], [*users[:behind], *listing.outside])
        does = ("middleware", context.dotted(self.source))
        among = (-RANKS[self.rank], local)
        yield Resolved(
            ListEntry(listing.path, listing.scope, listing.holder, code, listing.keyword, behind, among, does)
        )

    def _after(self, context: FeatureContext, app: App, code: str, order: _Order) -> int:
        """Return the statement after which the call stands: as far up as the order allows."""
        theirs = set(user_statements(context, app.path, app.body, [item.index for item in app.middleware]))
        calls = [item for item in app.middleware if item.index in theirs and item.style != "list"]
        listed = [item for item in app.middleware if item.style == "list"]

        def sides(place: int) -> tuple[list[Registration], list[Registration]]:
            inside = [item for item in calls if item.index <= place and not item.outside]
            return inside, [item for item in calls if item not in inside]

        # What other modules and callers add comes later, wherever the call stands.
        places = sorted({app.index, *(max(app.index, item.index) for item in calls if not item.outside)})
        place = min(places, key=lambda each: order.cost(*sides(each)))
        outer = [item.index for item in calls if order.is_outer(item) and item.index > place and not item.outside]
        if outer and any(not order.is_outer(item) for item in sides(place)[1]):
            place = min(outer) - 1  # as near as can be to what has to be outside
        self._check_list(context, listed, order)
        inside, outside = sides(place)
        order.tell(context, code, [*listed, *inside], outside)
        return _below_limit(context, app, place, code)

    def _check_list(self, context: FeatureContext, listed: Sequence[Registration], order: _Order) -> None:
        """Refuse when a list that cannot be extended holds something that must stand outside of us."""
        for item in listed:
            pair = self.rank, order.name(item)
            if pair in STRICT:
                raise Refused(
                    Refusal(
                        "middleware-order",
                        f"{item.target} stands in FastAPI(middleware=...), inside of every add_middleware() call",
                        item.place,
                        seen=f"middleware=[... {item.target} ...]",
                        expected=f"{pair[1]} outside {pair[0]}",
                        snippet=f"Middleware({self._written()})  # as the last entry of middleware=[...]",
                        remedy="add the entry by hand and run the command again",
                        feature=context.feature,
                    )
                )


class _Listing(Struct, frozen=True):
    """A list of middleware that can be extended.

    It says where the list stands, how it spells `Middleware`, the user's entries, and what the user adds by calls, which
    is outside of the whole list.
    """

    path: str
    scope: str
    holder: str
    keyword: str
    spelled: str
    users: tuple[Registration, ...]
    outside: tuple[Registration, ...]


def _listing(context: FeatureContext, app: App, order: _Order) -> _Listing | None:
    """Return the app's list of middleware, `None` when there is none, or when a call fits the order better.

    What is added by a call is outside of the whole list.
    """
    from laterctl.targets.python_text import holder_of, list_in, read_text

    where = app.middleware_list
    every = [item for item in app.middleware if item.style != "list"]
    theirs = set(user_statements(context, app.path, app.body, [item.index for item in every]))
    calls = tuple(item for item in every if item.index in theirs)
    entries = [item for item in app.middleware if item.style == "list"]
    by_call = order.cost(entries, ())
    if where is None or (not by_call.strict and by_call < order.cost((), calls)):
        return None
    text = read_text(context.project.tree.python(where.path).text)
    located = next((item for item in text.statements if item.position == (where.body, where.index)), None)
    literal = list_in(located.node, where.keyword) if located is not None else None
    holder = holder_of(located.node) if located is not None else ""
    if located is None or literal is None or not holder:
        return None
    ours = context.own_nodes(where.path)
    pairs = [pair for pair in zip(entries, literal.elts, strict=True) if id(pair[1]) not in ours]
    spelled = _wrapper(context, where.path, [node for _, node in pairs])
    kept = tuple(item for item, _ in pairs)
    return _Listing(where.path, located.qualname, holder, where.keyword, spelled, kept, calls)


def _wrapper(context: FeatureContext, path: str, entries: Sequence[ast.expr]) -> str:
    """Return how a list, or else its file, spells Starlette's `Middleware`, `""` where neither does."""
    from laterctl.project.names import canonical, imports_of, resolve

    tree = context.project.tree.python(path).tree
    imports = imports_of(tree, context.project.module_of(path), path.endswith("__init__.py"))
    calls = [part.func for entry in entries for part in ast.walk(entry) if isinstance(part, ast.Call)]
    spelled = [ast.unparse(func) for func in calls if resolve(func, imports) == MIDDLEWARE]
    return next(iter([*spelled, *(name for name, dotted in imports.items() if canonical(dotted) == MIDDLEWARE)]), "")


def _below_limit(context: FeatureContext, app: App, place: int, code: str) -> int:
    """Keep a statement above `return app`, a main guard, or a re-binding of the app's name."""
    if app.limit is None or place < app.limit:
        return place
    if app.limit > app.index:
        return app.limit - 1
    raise Refused(
        Refusal(
            "no-place",
            "nothing can be put on the app after it is built",
            app.place,
            snippet=code,
            remedy="paste the line by hand",
            feature=context.feature,
        )
    )


class Router(Struct, frozen=True):
    """`app.include_router(...)` for `source` (`api.auth:router`), imported as `alias`."""

    source: str
    alias: str

    def resolve(self, context: FeatureContext) -> Iterator[Resolved]:
        found = pasted(context, self.source, "include_router")
        if found is not None and not _is_plain(context, found, f"include_router({self.alias})"):
            yield Resolved(found)
            return
        app = context.app(f"app.include_router({self.alias})")
        wanted, local = context.imported(app.path, self.source, self.alias)
        code = f"{app.name}.include_router({local})"
        yield wanted
        target = Statement(app.path, app.scope, code, (100, local), ("router", context.dotted(self.source)))
        yield Resolved(target, Anchor(app.body, after_routers(context, app, code)))


def _is_plain(context: FeatureContext, found: Statement, tail: str) -> bool:
    """Whether what a person pasted is what we would write ourselves, on an app that we can edit."""
    app = context.project.app
    if app is None or not app.editable:
        return False
    return found.path == app.path and found.scope == app.scope and found.code.startswith(f"{app.name}.{tail}")


def after_routers(context: FeatureContext, app: App, code: str) -> int:
    """Return the statement after which a router is included: the last one that includes one, or that adds middleware.

    What is mounted stays behind it: an application mounted on `/` answers everything that comes after it. So does what
    includes a route such as `/{slug}`, which begins with a parameter.
    """

    def places(found: Sequence[Registration]) -> list[int]:
        indices = [item.index for item in found if item.style != "list"]
        return user_statements(context, app.path, app.body, indices)

    behind = [*places(app.mounts), *_greedy(context, app, sorted(places(app.routers)))]
    includes, others = (
        [index for index in places(found) if index < min(behind, default=math.inf)]
        for found in (app.routers, app.middleware)
    )
    return _below_limit(context, app, max([app.index, *(includes or others)]), code)


def _greedy(context: FeatureContext, app: App, includes: Sequence[int]) -> Iterator[int]:
    """Yield the statements that put a route on the app which begins with a parameter: those of routers, the first."""
    from laterctl.project.signs import all_routes

    tree = context.project.tree.python(app.path).tree
    for route in all_routes(context.project, ("/{",)):
        if any(path.startswith("/{") for path in route.full):
            near = body_at(tree, app.body) if route.place.path == app.path else []
            own = [
                index
                for index, node in enumerate(near)
                if any(item.lineno == route.place.line for item in nodes(node) if isinstance(item, ast.Call))
            ]
            yield from own or includes[:1]


class ExceptionHandler(Struct, frozen=True):
    """`app.add_exception_handler(Error, handler)` with both given as `module:Name`."""

    error: str
    handler: str

    def resolve(self, context: FeatureContext) -> Iterator[Resolved]:
        found = pasted(context, self.error, "add_exception_handler")
        if found is not None and not _is_plain(context, found, "add_exception_handler("):
            yield Resolved(found)
            return
        app = context.app(
            f"app.add_exception_handler({self.error.partition(':')[2]}, {self.handler.partition(':')[2]})"
        )
        error, error_name = context.imported(app.path, self.error)
        handler, handler_name = context.imported(app.path, self.handler)
        code = f"{app.name}.add_exception_handler({error_name}, {handler_name})"
        places = user_statements(context, app.path, app.body, [item.index for item in app.handlers])
        after = _below_limit(context, app, max([app.index, *places]), code)
        yield error
        yield handler
        yield Resolved(Statement(app.path, app.scope, code, (50, error_name)), Anchor(app.body, after))


class StartupCall(Struct, frozen=True):
    """A call of `source` (`core.logging:configure_logging`) before the application is constructed.

    `arguments` stand between its parentheses. Calls at one place are sorted by `rank`, then by name.
    """

    source: str
    arguments: str = ""
    rank: int = 50

    def resolve(self, context: FeatureContext) -> Iterator[Resolved]:
        app = context.app(f"{self.source.partition(':')[2]}({self.arguments})")
        wanted, local = context.imported(app.path, self.source)
        code = context.quoted(f"{local}({self.arguments})")
        target = Statement(app.path, app.scope, code, (self.rank, local))
        yield wanted
        yield Resolved(target, Anchor(app.body, app.index - 1))


class AppArgument(Struct, frozen=True):
    """`source` (`core.tracing:TELEMETRY`) as the argument `keyword` of the call that constructs the application.

    Where the call may be given it already, or cannot take more, nothing is added, which is said.
    """

    keyword: str
    source: str

    def resolve(self, context: FeatureContext) -> Iterator[Resolved]:
        name = self.source.partition(":")[2]
        snippet = f"{self.keyword}={name}"
        app = context.app(f"app = FastAPI({snippet})")
        wanted, local = context.imported(app.path, self.source)
        target = Argument(app.path, app.scope, app.holder, self.keyword, local)
        if context.is_present(target):
            yield wanted
            yield Resolved(target)
            return
        if self.keyword in app.keywords:
            raise Refused(
                Refusal(
                    "already-by-hand",
                    f"the application is given {self.keyword} already",
                    app.place,
                    expected=snippet,
                    remedy=f"take {self.keyword}= out of the call",
                    feature=context.feature,
                )
            )
        if app.open_keywords:
            context.warn(
                f"FastAPI is to be given {snippet}, from {context.path(_file(self.source))}, by hand", app.place
            )
            return
        yield wanted
        yield Resolved(target)


def _file(source: str) -> str:
    return f"{source.partition(':')[0].replace('.', '/')}.py"
