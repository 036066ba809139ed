"""What a feature is: one declaration that every command follows from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct, field

from laterctl.edits.context import Edit, FeatureContext
from laterctl.refusal import Refusal


class Option(Struct, frozen=True):
    """A choice that `--set FEATURE.NAME=VALUE` makes. `choices` is empty for free text."""

    name: str
    help: str
    default: str = ""
    choices: tuple[str, ...] = ()


class ExistingSigns(Struct, frozen=True):
    """Signs that a project does the feature's job already, in another way.

    `imports` are modules, `middleware` dotted classes, `routes` paths, `names` definitions that would collide,
    `dependencies` canonical distribution names, `calls` dotted functions, `headers` names of response headers of which
    a module that does the job sets at least two.
    """

    imports: tuple[str, ...] = ()
    middleware: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    dependencies: tuple[str, ...] = ()
    calls: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()


class Feature(Struct, frozen=True):
    """A desired state of a project.

    Attributes:
        name, aliases: what users type.
        group: section of the list; `hidden` capabilities are pulled in by others and not listed.
        summary: one line.
        requires: names of features that must be there; pulled in automatically.
        conflicts: names of features that exclude this one.
        floors: lowest versions, by canonical name (`python`, `fastapi`, `pydantic`).
        edits: what should be there. `more` adds edits that depend on facts of the project.
        by_hand: signs of the same job done differently: the feature refuses instead of doubling it.
        needs: gives the reason why the feature does not fit a project, or nothing.
        changes: what behaves differently afterwards; shown in the plan.
        notes: what to do next; shown after success, with `{setting_name}` as the variable that sets it in the project.
        secret: makes fresh key material for `laterctl secret`: name of a setting to value.
    """

    name: str
    summary: str
    group: str = ""
    aliases: tuple[str, ...] = ()
    hidden: bool = False
    requires: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()
    floors: Mapping[str, str] = field(default_factory=dict)
    options: tuple[Option, ...] = ()
    edits: tuple[Edit, ...] = ()
    more: Callable[[FeatureContext], Iterable[Edit]] | None = None
    by_hand: ExistingSigns = ExistingSigns()
    needs: Callable[[FeatureContext], Refusal | None] | None = None
    changes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    secret: Callable[[], Mapping[str, str]] | None = None
