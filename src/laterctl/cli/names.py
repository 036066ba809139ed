"""Reads what is typed about features: their names, `--set` and `--without`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import typer

from laterctl.feature import Feature, Value
from laterctl.features import catalogue


def asked(given: Iterable[str], installed: Collection[str] = ()) -> tuple[str, ...]:
    """Return the own names of features given by name or alias, each once; `installed` ones need no declaration.

    Raises:
        laterctl.features.catalogue.UnknownFeature: there is no such feature.
    """
    return tuple(dict.fromkeys(name if name in installed else catalogue.find(name).name for name in given))


def options(
    given: Iterable[str], wanted: Sequence[str], installed: Collection[str] = ()
) -> dict[str, dict[str, Value]]:
    """Read `--set FEATURE.NAME=VALUE` for features that are `wanted`, with what comes with them, or `installed`.

    Raises:
        typer.BadParameter: no such feature has that option, or the option has no such value.
        laterctl.features.catalogue.UnknownFeature: there is no such feature.
    """
    found: dict[str, dict[str, Value]] = {}
    for item in given:
        key, equals, value = item.partition("=")
        feature_name, dot, option_name = key.partition(".")
        if not equals or not dot:
            raise typer.BadParameter(f"{item!r} is not FEATURE.NAME=VALUE", param_hint="--set")
        known = feature_name in catalogue.module_names()
        feature = catalogue.feature(feature_name) if known else catalogue.find(feature_name)
        option = next((known for known in feature.options if known.name == option_name), None)
        if option is None:
            raise _no_option(key, feature)
        try:
            found.setdefault(feature.name, {})[option_name] = option.parse(value)
        except ValueError as error:
            raise typer.BadParameter(f"{key}: {error}", param_hint="--set") from error
    here = {*catalogue.closure(wanted, {}, lambda name: catalogue.needs_of(name, found.get(name))), *installed}
    for name, values in found.items():
        if name not in here:
            raise _no_option(f"{name}.{next(iter(values))}", catalogue.find(name))
    return found


def _no_option(key: str, feature: Feature) -> typer.BadParameter:
    names = ", ".join(f"{feature.name}.{known.name}" for known in feature.options) or "none"
    return typer.BadParameter(f"{key} is not an option here; {feature.name} has {names}", param_hint="--set")


def declined(given: Iterable[str], wanted: Iterable[str]) -> tuple[str, ...]:
    """Read `--without NAME`.

    Raises:
        typer.BadParameter: none of the features that are wanted recommends it.
    """
    known = {*wanted} & {*catalogue.module_names()}
    features = [catalogue.feature(name) for name in catalogue.closure(known, {})]
    offered = sorted({name for item in features for name in item.recommends})
    for name in given:
        if name not in offered:
            users = [item.name for item in features if name in item.requires]
            reason = f"{', '.join(users)} requires it" if users else f"it can be {', '.join(offered) or 'none here'}"
            raise typer.BadParameter(f"{name} is not recommended: {reason}", param_hint="--without")
    return tuple(dict.fromkeys(given))
