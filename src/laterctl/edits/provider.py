"""Providers: objects that request code gets from the container, or from a plain function where there is none."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from msgspec import Struct

from laterctl.edits.pieces import Anchor, Statement
from laterctl.edits.relative import bound_to
from laterctl.edits.site import Site, Wanted
from laterctl.outcome import Refusal, Refused
from laterctl.project.facts import Container
from laterctl.project.places import Place
from laterctl.render import Expr, Import


class Provider(Struct, frozen=True):
    """The object `name`, made and kept by the function `source` (`core.redis:get_redis`).

    With a container it is also its provider `name`, so that `container.<name>.override(...)` works. `given` names
    providers of the project's own container whose objects the function takes, in order.
    """

    name: str
    source: str
    given: Callable[[Site], tuple[str, ...]] | None = None

    def resolve(self, site: Site) -> Iterator[Wanted]:
        container = site.project.container
        if not in_container(container):
            return
        assert container is not None
        wanted, local = site.imported(container.path, self.source)
        imported, call = _callable(site, container)
        arguments = ", ".join((local, *(self.given(site) if self.given else ())))
        code = f"{self.name} = {call}({arguments})"
        piece = Statement(container.path, container.scope, code, (10, self.name))
        existing = container.providers.get(self.name)
        own = site.spots(container.path)
        if existing is not None and (container.body, existing) not in own and not site.stands(piece):
            raise Refused(
                Refusal(
                    "name-clash",
                    f"{container.class_name} already has a provider {self.name}",
                    _place(site, container, existing),
                    expected=f"no provider of that name, or `{code}`",
                    snippet=code,
                    remedy=f"rename the provider {self.name}",
                    feature=site.feature,
                )
            )
        users = [ordinal for ordinal in container.providers.values() if (container.body, ordinal) not in own]
        yield wanted
        if imported is not None:
            yield imported
        yield Wanted(piece, Anchor(container.body, max(users, default=_after_docstring(site, container))))


def in_container(container: Container | None) -> bool:
    """Whether providers go into a container: there is one, it can be edited, and its instance can be imported."""
    return container is not None and container.editable and container.access is not None


def read(site: Site, name: str) -> Expr:
    """Return the expression that gives provider `name`, for a template."""
    container = site.project.container
    if in_container(container):
        assert container is not None
        assert container.access is not None
        return Expr(f"{container.access.text}.{name}()", container.access.imports)
    place, _, function = site.providers[name].partition(":")
    return Expr(f"{function}()", (Import(site.module(place), function),))


def _callable(site: Site, container: Container) -> tuple[Wanted | None, str]:
    """How the container's file spells `dependency_injector.providers.Callable`."""
    from laterctl.project.names import imports_of

    tree = site.project.tree.python(container.path).tree
    names = imports_of(tree, container.module, container.path.endswith("__init__.py"))
    for local, dotted in names.items():
        if dotted == "dependency_injector.providers":
            return None, f"{local}.Callable"
    if bound_to(site.project, container.path, "providers")[0] is None:
        wanted, local = site.imported(container.path, "dependency_injector:providers")
        return wanted, f"{local}.Callable"
    wanted, local = site.imported(container.path, "dependency_injector.providers:Callable")
    return wanted, local


def _after_docstring(site: Site, container: Container) -> int:
    import ast

    statements: list[ast.stmt] = site.project.tree.python(container.path).tree.body
    for ordinal, name in container.body:
        statements = getattr(statements[ordinal], name)
    first = statements[0]
    return 0 if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) else -1


def _place(site: Site, container: Container, ordinal: int) -> Place:
    statements = site.project.tree.python(container.path).tree.body
    for step, name in container.body:
        statements = getattr(statements[step], name)
    return Place(container.path, statements[ordinal].lineno)
