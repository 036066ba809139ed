"""Providers: objects that request code gets from the container, or from a plain function where there is none."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from msgspec import Struct

from laterctl.edits.context import FeatureContext, Resolved
from laterctl.project.bindings import bound_to
from laterctl.project.facts import Container
from laterctl.project.places import Place
from laterctl.refusal import Refusal, Refused
from laterctl.render import Expr, Import
from laterctl.targets.base import Anchor
from laterctl.targets.statement import Statement


class Provider(Struct, frozen=True):
    """The object `name`, made and kept by the function `source` (`core.redis:get_redis`).

    With a container it is also its provider `name`, so that `container.<name>.override(...)` works. `given` names
    providers of the project's own container whose objects the function takes, in order.
    """

    name: str
    source: str
    given: Callable[[FeatureContext], tuple[str, ...]] | None = None

    def resolve(self, context: FeatureContext) -> Iterator[Resolved]:
        container = context.project.container
        if not in_container(container):
            return
        assert container is not None
        wanted, local = context.imported(container.path, self.source)
        imported, call = _callable(context, container)
        arguments = ", ".join((local, *(self.given(context) if self.given else ())))
        code = f"{self.name} = {call}({arguments})"
        target = Statement(container.path, container.scope, code, (10, self.name))
        existing = container.providers.get(self.name)
        own = context.spots(container.path)
        if existing is not None and (container.body, existing) not in own and not context.is_present(target):
            raise Refused(
                Refusal(
                    "name-clash",
                    f"{container.class_name} already has a provider {self.name}",
                    _place(context, container, existing),
                    expected=f"no provider of that name, or `{code}`",
                    snippet=code,
                    remedy=f"rename the provider {self.name}",
                    feature=context.feature,
                )
            )
        users = [ordinal for ordinal in container.providers.values() if (container.body, ordinal) not in own]
        yield wanted
        if imported is not None:
            yield imported
        yield Resolved(target, Anchor(container.body, max(users, default=_after_docstring(context, container))))


def in_container(container: Container | None) -> bool:
    """Whether providers go into a container: there is one, it can be edited, and its instance can be imported."""
    return container is not None and container.editable and container.access is not None


def read(context: FeatureContext, name: str) -> Expr:
    """Return the expression that gives provider `name`, for a template."""
    container = context.project.container
    if in_container(container):
        assert container is not None
        assert container.access is not None
        return Expr(f"{container.access.text}.{name}()", container.access.imports)
    place, _, function = context.providers[name].partition(":")
    return Expr(f"{function}()", (Import(context.module(place), function),))


def _callable(context: FeatureContext, container: Container) -> tuple[Resolved | None, str]:
    """How the container's file spells `dependency_injector.providers.Callable`."""
    from laterctl.project.names import imports_of

    tree = context.project.tree.python(container.path).tree
    names = imports_of(tree, container.module, container.path.endswith("__init__.py"))
    for local, dotted in names.items():
        if dotted == "dependency_injector.providers":
            return None, f"{local}.Callable"
    if bound_to(context.project, container.path, "providers")[0] is None:
        wanted, local = context.imported(container.path, "dependency_injector:providers")
        return wanted, f"{local}.Callable"
    wanted, local = context.imported(container.path, "dependency_injector.providers:Callable")
    return wanted, local


def _after_docstring(context: FeatureContext, container: Container) -> int:
    import ast

    statements: list[ast.stmt] = context.project.tree.python(container.path).tree.body
    for ordinal, name in container.body:
        statements = getattr(statements[ordinal], name)
    first = statements[0]
    return 0 if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) else -1


def _place(context: FeatureContext, container: Container, ordinal: int) -> Place:
    statements = context.project.tree.python(container.path).tree.body
    for step, name in container.body:
        statements = getattr(statements[step], name)
    return Place(container.path, statements[ordinal].lineno)
