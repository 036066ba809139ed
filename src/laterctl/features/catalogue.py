"""The list of features. A feature's package is imported only when somebody asks for that feature."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from laterctl.edits.context import Edit
    from laterctl.feature import Feature, Value


Needs = tuple[Collection[str], Collection[str]]
"""The features that one requires, and those that it recommends."""


class UnknownFeature(LookupError):
    """There is no feature of that name; `suggestions` are the closest ones.

    A hidden capability cannot be asked for either; `users` are then the features that it comes with.
    """

    def __init__(self, name: str, suggestions: list[str], users: list[str] | None = None) -> None:
        super().__init__(name)
        self.name = name
        self.suggestions = suggestions
        self.users = users or []


@cache
def module_names() -> tuple[str, ...]:
    """Return the feature packages there are, as feature names, sorted."""
    from laterctl import features

    return tuple(sorted(item.name.replace("_", "-") for item in iter_modules(features.__path__) if item.ispkg))


@cache
def feature(name: str) -> Feature:
    """Return a feature by its own name.

    Raises:
        UnknownFeature: there is none.
    """
    if name not in module_names():
        raise UnknownFeature(name, suggestions(name))
    declared: Feature = import_module(f"laterctl.features.{name.replace('-', '_')}").feature
    return declared


def edits_of(name: str, options: Mapping[str, Value] | None = None) -> tuple[Edit, ...]:
    """Return the edits that a feature declares; none for one of another version's.

    With `options` they are those that hold with these values, otherwise all of them.
    """
    from laterctl.edits.chosen import chosen
    from laterctl.edits.context import flat

    if name not in module_names():
        return ()
    declared = feature(name)
    return flat(declared.edits if options is None else chosen(declared.edits, declared.values(options)))


@cache
def middleware() -> Mapping[str, str]:
    """Return the middleware classes that features declare (`core.cors:CorsMiddleware`), with their ranks."""
    from laterctl.edits.app_statements import Middleware

    found = (edit for item in every() for edit in item.edits if isinstance(edit, Middleware))
    return {edit.source: edit.rank for edit in found}


def every() -> list[Feature]:
    """Return all features, hidden ones too."""
    return [feature(name) for name in module_names()]


def in_order() -> list[Feature]:
    """Return the listed features in the order in which they are best added."""
    from laterctl.feature import Stage

    def before(name: str) -> Needs:
        stage = feature(name).stage
        return [other for other in feature(name).after if feature(other).stage is stage], ()

    listed = {stage: [item.name for item in every() if item.stage is stage and not item.hidden] for stage in Stage}
    return [feature(name) for names in listed.values() for name in closure(names, needs=before)]


def find(name: str) -> Feature:
    """Return a listed feature by its name or an alias.

    Raises:
        UnknownFeature: there is none; hidden capabilities cannot be asked for.
    """
    if name in module_names() and not feature(name).hidden:
        return feature(name)
    for item in every():
        if name in item.aliases:
            return item
    if name in module_names():
        raise UnknownFeature(name, [], users_of(name))
    raise UnknownFeature(name, suggestions(name))


def suggestions(name: str) -> list[str]:
    """Return names and aliases that look like `name`, closest first."""
    known = [word for item in every() if not item.hidden for word in (item.name, *item.aliases)]
    return get_close_matches(name, known, n=3, cutoff=0.5)


def users_of(name: str) -> list[str]:
    """Return the listed features that a capability comes with, for one value of an option or another."""

    def needs(user: str) -> Needs:
        found = feature(user)
        chosen = (names for option in found.options for names in option.requires.values())
        return {*found.requires, *(each for names in chosen for each in names)}, found.recommends

    return [item.name for item in every() if not item.hidden and name in closure([item.name], {}, needs)]


def needs_of(name: str, options: Mapping[str, Value] | None = None) -> Needs:
    """Return what a feature requires, with these values of options, and what it recommends, as it is declared."""
    found = feature(name)
    return found.required(options or {}), found.recommends


def values_of(name: str, options: Mapping[str, Mapping[str, Value]]) -> dict[str, Value]:
    """Return the values of a feature's options; `options` are those that are given, by each feature that is there."""
    given = options.get(name, {})
    values = feature(name).values(given)
    for option in feature(name).options:
        other, _, followed = option.follows.partition(".")
        if option.name not in given and other in options:
            usual, chosen = (feature(other).values(each)[followed] for each in ({}, options[other]))
            values[option.name] = f"{chosen}{str(option.default).removeprefix(str(usual))}"
    return values


def closure(
    names: Iterable[str],
    declined: Mapping[str, Collection[str]] | None = None,
    needs: Callable[[str], Needs] = needs_of,
) -> list[str]:
    """Return the given features and all they require, requirements first, alphabetical where that leaves a choice.

    With `declined` (by feature, what it recommends and the user does without), recommended features are there too.
    `needs` says what a feature requires and recommends.
    """
    done: list[str] = []

    def visit(name: str, trail: tuple[str, ...]) -> None:
        if name in done:
            return
        if name in trail:
            raise ValueError(f"features require each other: {' -> '.join([*trail, name])}")
        requires, recommends = needs(name)
        for required in sorted(requires):
            visit(required, (*trail, name))
        done.append(name)
        if declined is not None:
            pulled.update(set(recommends) - set(declined.get(name, ())))

    pulled: set[str] = set()
    for name in sorted(names):
        visit(name, ())
    while missing := sorted(pulled - set(done)):
        visit(missing[0], ())
    return done
