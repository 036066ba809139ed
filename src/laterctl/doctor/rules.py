"""The rules there are: each feature's own, found beside its declaration, and those about what is installed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pkgutil import iter_modules

from msgspec.structs import replace

from laterctl.doctor import installed
from laterctl.doctor.rule import Rule


class UnknownRule(LookupError):
    """There is no rule of that id, and none whose id starts with it; `suggestions` are the closest ones.

    `source` says where it was asked for: an option, or a key of the configuration.
    """

    def __init__(self, name: str, suggestions: list[str], source: str = "") -> None:
        super().__init__(name)
        self.name = name
        self.suggestions = suggestions
        self.source = source


@cache
def every() -> tuple[Rule, ...]:
    """Return all rules, by id."""
    return tuple(sorted([*_of_features(), *INSTALLED], key=lambda rule: rule.id))


def _of_features() -> Iterator[Rule]:
    from laterctl import features

    for item in (found for found in iter_modules(features.__path__) if found.ispkg):
        name = f"{features.__name__}.{item.name}.rules"
        if find_spec(name) is not None:
            for rule in _in(vars(import_module(name)).values()):
                yield replace(rule, feature=item.name.replace("_", "-"))


def _in(values: Iterable[object]) -> Iterator[Rule]:
    return (value for value in values if isinstance(value, Rule))


INSTALLED = tuple(_in(vars(installed).values()))
"""The rules about what is installed."""


def find(name: str) -> Rule:
    """Return a rule by its id, in any case. Raises `UnknownRule`."""
    for rule in every():
        if rule.id.lower() == name.lower():
            return rule
    raise UnknownRule(name, suggestions(name))


def select(names: Iterable[str], source: str = "") -> frozenset[str]:
    """Return the ids that some names stand for: ids, or what ids start with; several in one name between commas.

    Raises:
        UnknownRule: a name stands for none.
    """
    found: set[str] = set()
    for name in (part.strip() for given in names for part in given.split(",")):
        ids = [rule.id for rule in every() if name and rule.id.lower().startswith(name.lower())]
        if not ids:
            raise UnknownRule(name, suggestions(name), source)
        found.update(ids)
    return frozenset(found)


def suggestions(name: str) -> list[str]:
    """Return ids, and what they start with, that look like `name`, closest first."""
    ids = [rule.id for rule in every()]
    groups = dict.fromkeys(each.rstrip("0123456789") for each in ids)
    return get_close_matches(name.upper(), [*groups, *ids], n=3, cutoff=0.5)
