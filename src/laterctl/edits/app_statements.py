"""Statements put on the app: middleware by rank, routers, exception handlers."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from laterctl.edits.context import FeatureContext, is_ours, user_statements
from laterctl.edits.pasted import pasted
from laterctl.project.facts import App, Registration
from laterctl.refusal import Refusal, Refused
from laterctl.targets.base import Anchor
from laterctl.targets.list_entry import ListEntry
from laterctl.targets.resolved import Resolved
from laterctl.targets.statement import Statement

RANKS: Mapping[str, int] = {
    name: number
    for number, name in enumerate(
        (
            "error-boundary",
            "profiling",
            "compression",
            "versions",
            "rate-limit",
            "cors",
            "trusted-host",
            "security-headers",
            "metrics",
            "request-context",
        )
    )
}
"""Middleware order from the innermost to the outermost: the order in which the calls stand in the file."""

KNOWN: Mapping[str, str] = {
    "starlette.middleware.cors.CORSMiddleware": "cors",
    "starlette.middleware.gzip.GZipMiddleware": "compression",
    "starlette.middleware.trustedhost.TrustedHostMiddleware": "trusted-host",
    "starlette.middleware.httpsredirect.HTTPSRedirectMiddleware": "trusted-host",
    "asgi_correlation_id.CorrelationIdMiddleware": "request-context",
    "asgi_correlation_id.middleware.CorrelationIdMiddleware": "request-context",
    "slowapi.middleware.SlowAPIMiddleware": "rate-limit",
    "slowapi.middleware.SlowAPIASGIMiddleware": "rate-limit",
    "starlette_exporter.PrometheusMiddleware": "metrics",
    "brotli_asgi.BrotliMiddleware": "compression",
}
OURS: Mapping[str, str] = {
    "core.error_boundary:ErrorBoundary": "error-boundary",
    "core.cors:CorsMiddleware": "cors",
    "core.security_headers:SecurityHeadersMiddleware": "security-headers",
    "core.metrics_middleware:MetricsMiddleware": "metrics",
    "core.request_id:RequestIDMiddleware": "request-context",
}
STRICT = frozenset({("error-boundary", "cors"), ("rate-limit", "cors")})
"""Pairs (inner, outer) whose order decides whether the feature works at all."""


def _is_inner(item: Registration, rank: int) -> bool:
    """Whether a middleware belongs inside of `rank`: what is not known is taken for a part of the application."""
    other = rank_of(item.target)
    return other is None or other <= rank


def rank_of(target: str) -> int | None:
    """Return the rank of a middleware class by its dotted name, `None` when it is not a known one."""
    name = KNOWN.get(target) or next((name for source, name in OURS.items() if is_ours(target, source)), None)
    return RANKS[name] if name is not None else None


MIDDLEWARE = "starlette.middleware.Middleware"


class Middleware(Struct, frozen=True):
    """The middleware class `source` (`core.cors:CORSMiddleware`), at its rank.

    Where the app is given a list of middleware, and nothing outside of that list has to be inside of this one, it is
    an entry of the list; else it is put on with `app.add_middleware(...)`.
    """

    source: str
    rank: str

    def resolve(self, context: FeatureContext) -> Iterator[Resolved]:
        name = self.source.partition(":")[2]
        found = pasted(context, self.source, "add_middleware")
        if found is not None and not _is_plain(context, found, f"add_middleware({name})"):
            yield Resolved(found)
            return
        app = context.app(f"app.add_middleware({name})")
        listed = _listing(context, app, self.rank) if found is None else None
        if listed is not None:
            yield from self._listed(context, listed)
            return
        wanted, local = context.imported(app.path, self.source)
        code = f"{app.name}.add_middleware({local})"
        yield wanted
        does = ("middleware", context.dotted(self.source))
        target = Statement(app.path, app.scope, code, (RANKS[self.rank], local), does)
        yield Resolved(target, Anchor(app.body, self._after(context, app, code)))

    def _listed(self, context: FeatureContext, listing: _Listing) -> Iterator[Resolved]:
        wanted, local = context.imported(listing.path, self.source)
        spelled = listing.spelled
        yield wanted
        if not spelled:
            wrapper, spelled = context.imported(listing.path, "fastapi.middleware:Middleware")
            yield wrapper
        order = (-RANKS[self.rank], local)
        code = f"{spelled}({local})"
        behind = self._behind(context, listing.users, code)
        does = ("middleware", context.dotted(self.source))
        yield Resolved(
            ListEntry(listing.path, listing.scope, listing.holder, code, listing.keyword, behind, order, does)
        )

    def _behind(self, context: FeatureContext, users: Sequence[Registration], code: str) -> int:
        """Return how many entries of the user's list, outermost first, stand outside of this one."""
        if self.rank == "error-boundary":
            return len(users)
        ranks = [rank_of(item.target) for item in users]
        own = RANKS[self.rank]
        outer = max((number + 1 for number, rank in enumerate(ranks) if rank is not None and rank > own), default=0)
        inner = next((number for number, rank in enumerate(ranks) if rank is not None and rank < own), len(ranks))
        if outer > inner:
            culprit = users[outer - 1]
            context.warn(
                f"{code} cannot stand at its place in the middleware order: {culprit.target} should be outside it",
                culprit.place,
            )
            return inner
        return outer

    def _after(self, context: FeatureContext, app: App, code: str) -> int:
        rank = RANKS[self.rank]
        users = set(user_statements(context, app.path, app.body, [item.index for item in app.middleware]))
        present = [item for item in app.middleware if item.index in users and item.style != "list"]
        inner = [item.index for item in present if _is_inner(item, rank)]
        outer = [item for item in present if (other := rank_of(item.target)) is not None and other > rank]
        place = max([app.index, *inner])
        if self.rank == "error-boundary":
            place = app.index
        first_outer = min((item.index for item in outer), default=None)
        if first_outer is not None and place >= first_outer:
            known_inner = [item for item in present if (other := rank_of(item.target)) is not None and other < rank]
            place = max([app.index, *(item.index for item in known_inner)])
            if place >= first_outer:
                culprit = outer[0]
                context.warn(
                    f"{code} cannot stand at its place in the middleware order: {culprit.target} should be outside it",
                    culprit.place,
                )
            else:
                place = first_outer - 1
        self._check_list(context, app, code)
        return _below_limit(context, app, place, code)

    def _check_list(self, context: FeatureContext, app: App, code: str) -> None:
        """Refuse when the app's own `middleware=[...]` holds something that must stand outside of us."""
        for item in app.middleware:
            other = rank_of(item.target)
            if item.style != "list" or other is None or other <= RANKS[self.rank]:
                continue
            pair = self.rank, next(name for name, number in RANKS.items() if number == other)
            message = f"{item.target} stands in FastAPI(middleware=...), inside of every add_middleware() call"
            if pair not in STRICT:
                context.warn(f"{message}; it should be outside {self.source.partition(':')[2]}", item.place)
                continue
            raise Refused(
                Refusal(
                    "middleware-order",
                    message,
                    item.place,
                    seen=f"middleware=[... {item.target} ...]",
                    expected=f"{pair[1]} outside {pair[0]}",
                    snippet=f"Middleware({self.source.partition(':')[2]})  # as the last entry of middleware=[...]",
                    remedy="add the entry by hand and run the command again",
                    feature=context.feature,
                )
            )


class _Listing(Struct, frozen=True):
    """A list of middleware that can be extended: where it stands, how it spells `Middleware`, the user's entries."""

    path: str
    scope: str
    holder: str
    keyword: str
    spelled: str
    users: tuple[Registration, ...]


def _listing(context: FeatureContext, app: App, rank: str) -> _Listing | None:
    """Return the app's list of middleware, `None` when there is none or when a call has to stand inside of `rank`.

    What is added by a call is outside of the whole list.
    """
    from laterctl.targets.document import Document
    from laterctl.targets.pruning import substitutes
    from laterctl.targets.python_text import holder_of, list_in, read_text

    where = app.middleware_list
    calls = [item for item in app.middleware if item.style != "list"]
    theirs = set(user_statements(context, app.path, app.body, [item.index for item in calls]))
    inside = [item for item in calls if item.index in theirs and _is_inner(item, RANKS[rank])]
    if where is None or (inside and rank != "error-boundary"):
        return None
    text = read_text(context.project.tree.python(where.path).text)
    located = next((item for item in text.statements if item.spot == (where.body, where.index)), None)
    literal = list_in(located.node, where.keyword) if located is not None else None
    holder = holder_of(located.node) if located is not None else ""
    if located is None or literal is None or not holder:
        return None
    document = Document.of_text(where.path, text)
    records = [record for record in context.records if record.ours and record.target.path == where.path]
    ours = substitutes(record.target.inspect(document) for record in records)
    entries = [item for item in app.middleware if item.style == "list"]
    pairs = [pair for pair in zip(entries, literal.elts, strict=True) if id(pair[1]) not in ours]
    spelled = _wrapper(context, where.path, [node for _, node in pairs])
    kept = tuple(item for item, _ in pairs)
    return _Listing(where.path, located.scope, holder, where.keyword, spelled, kept)


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

    What is mounted stays behind it: an application mounted on `/` answers everything that comes after it.
    """

    def places(found: Sequence[Registration]) -> list[int]:
        indices = [item.index for item in found if item.style != "list"]
        return user_statements(context, app.path, app.body, indices)

    mounted = min(places(app.mounts), default=None)
    includes, others = (
        [index for index in places(found) if mounted is None or index < mounted]
        for found in (app.routers, app.middleware)
    )
    return _below_limit(context, app, max([app.index, *(includes or others)]), code)


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
