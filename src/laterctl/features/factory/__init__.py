"""Several implementations of one protocol, each by its name."""

from collections.abc import Iterator
from typing import Final

from laterctl.dialects.providers import providers_of
from laterctl.edits.context import Edit, FeatureContext
from laterctl.edits.dropped_test import DroppedTest
from laterctl.edits.file import File
from laterctl.edits.open_file import Listed
from laterctl.edits.provider import Provider
from laterctl.feature import Feature, Group, Option, Stage
from laterctl.project.signs import definitions
from laterctl.refusal import Refusal

_WORD: Final = r"[a-z][a-z0-9]*(_[a-z0-9]+)*"


def _class(*words: str) -> str:
    return "".join(part.capitalize() for word in words for part in word.split("_"))


def _names(context: FeatureContext) -> tuple[str, list[str]]:
    """Return what there are several of, and the names of these."""
    return str(context.options["name"]), [*dict.fromkeys(str(context.options["implementations"]).split(","))]


def is_free(context: FeatureContext) -> Refusal | None:
    """Refuse where the project has classes of those names, or chooses among its own providers already."""
    name, implementations = _names(context)
    classes = (_class(name), *(_class(item, name) for item in implementations))
    named = definitions(context.project, classes, idle=True)
    users = (place for place in named if not context.is_from_us(place.path))
    place = next(users, None)
    container = context.project.container
    if place is None and container is not None and f"{name}s" in container.providers:
        place = container.place
    if place is None:
        return None
    return Refusal(
        "already-by-hand",
        f"the project has {_class(name)} or {name}s already",
        place,
        expected=f"no class {', '.join(classes)} and no provider {name}s",
        remedy="choose another name: --set factory.name=NAME",
    )


def implementations(context: FeatureContext) -> Iterator[Edit]:
    """Yield the protocol, its table, and for each implementation a class, a provider and an entry of the table."""
    name, names = _names(context)
    table = f"{name.upper()}S"
    given = {"kind": _class(name), "module": f"core.{name}s", "table": table, "table_module": f"api.{name}s"}
    context.notice(
        f"use it: {name}: {_class(name)}Dep, from {context.module(f'api.{name}s')}; each logs until you write it"
    )
    context.notice(f"one more: laterctl add factory --set factory.implementations={','.join(names)},NAME")
    yield File(f"core/{name}s.py", "factory/core/kind.py.jinja", given=given)
    yield File(f"api/{name}s.py", "factory/api/named.py.jinja", open=True, given=given)
    for item in names:
        provider, module = f"{item}_{name}", f"core.{item}_{name}"
        own = {"implementation": item, "class_name": _class(item, name), "provider": provider}
        yield File(f"core/{provider}.py", "factory/core/implementation.py.jinja", given=given | own)
        made = Provider(provider, f"{module}:{_class(item, name)}", only_made=True)
        yield made
        read = providers_of(context.project).read(made, context.module(module))
        give = f'"{item}", {read.text.removesuffix("()")}'
        yield Listed(f"api.{name}s:Named", f"api.{name}s:{table}", give, read.imports)
    yield DroppedTest(f"test_{name}s.py", "factory/tests/test_named.py.jinja", client=False, given=given)


feature = Feature(
    name="factory",
    group=Group.INJECTION,
    summary="several implementations of one protocol, each with its dependencies, chosen by name",
    floors={"python": "3.10", "fastapi": "0.112.2"},
    options=(
        Option(
            "name",
            "what there are several of, in the singular",
            default="notifier",
            pattern=_WORD,
            examples=("payment_gateway",),
        ),
        Option(
            "implementations",
            "their names, with commas",
            default="email,sms",
            pattern=rf"{_WORD}(,{_WORD})*",
            examples=("email,sms,push",),
        ),
    ),
    edits_for=implementations,
    check=is_free,
    stage=Stage.MORE,
    why="when one thing is done in several ways, chosen by name",
)
