"""What the shell completes: features, their options and values, rules, package managers. Nothing heavy is loaded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import typer

from laterctl.dialects.manifest import RUN

if TYPE_CHECKING:
    from laterctl.feature import Option

PROOFS = ("tests",)
FORMATS = ("text", "json", "github", "sarif")
SETTINGS = ("dynaconf", "pydantic")


def listed(context: typer.Context, incomplete: str) -> list[str]:
    """Complete the features there are; after `--set KEY=`, which bash splits at the sign, the values of the option."""
    from laterctl.features import catalogue

    if (given := context.params.get("options")) and "=" not in given[-1]:
        return _starting(_values(context, given[-1]), incomplete)
    return _starting((item.name for item in catalogue.every() if not item.hidden), incomplete)


def installed(context: typer.Context, incomplete: str) -> list[str]:
    """Complete the features that are in the project."""
    return _starting(_ledger(context), incomplete)


def option(context: typer.Context, incomplete: str) -> list[str]:
    """Complete `FEATURE.NAME=VALUE`."""
    from laterctl.features import catalogue

    key, equals, _ = incomplete.partition("=")
    if equals:
        return _starting((f"{key}={value}" for value in _values(context, key)), incomplete)
    keys = (f"{item.name}.{known.name}=" for item in catalogue.every() for known in item.options)
    return _starting(keys, incomplete)


def recommended(context: typer.Context, incomplete: str) -> list[str]:
    """Complete the features that the named ones recommend; those of all features when none is named yet."""
    from laterctl.features import catalogue

    known = [item for item in catalogue.every() if item.name in (context.params.get("features") or ())]
    return _starting({name for item in known or catalogue.every() for name in item.recommends}, incomplete)


def rule(incomplete: str) -> list[str]:
    """Complete ids of rules."""
    from laterctl.doctor import rules

    return _starting((item.id for item in rules.every()), incomplete)


def manager(incomplete: str) -> list[str]:
    """Complete package managers."""
    return _starting(RUN, incomplete)


def proof(context: typer.Context, incomplete: str) -> list[str]:
    """Complete how far a proof goes, and what may stand behind `--prove` as well: the features of the command."""
    others = {"add": listed, "remove": installed, "update": installed}.get(context.command.name or "")
    return sorted([*_starting(PROOFS, incomplete), *(others(context, incomplete) if others else ())])


def report_format(incomplete: str) -> list[str]:
    """Complete how the doctor reports."""
    return _starting(FORMATS, incomplete)


def settings(incomplete: str) -> list[str]:
    """Complete what `new` can read settings with."""
    return _starting(SETTINGS, incomplete)


def _starting(words: Iterable[str], incomplete: str) -> list[str]:
    return sorted(word for word in words if word.startswith(incomplete))


def _values(context: typer.Context, key: str) -> list[str]:
    """Return values to offer for an option: its choices, else the one that it has and its default."""
    from laterctl.features import catalogue

    name, _, option_name = key.partition(".")
    options: dict[str, Option] = {
        item.name: item for feature in catalogue.every() if feature.name == name for item in feature.options
    }
    found = options.get(option_name)
    if found is None:
        return []
    if found.choices or found.type is bool:
        return [*(found.choices or ("true", "false"))]
    current = _ledger(context).get(name, {}).get(option_name)
    return [str(value) for value in dict.fromkeys((current, found.default)) if value is not None]


def _ledger(context: typer.Context) -> Mapping[str, Mapping[str, Any]]:
    from pathlib import Path

    from laterctl.project import installed as at_a_glance
    from laterctl.project.roots import find_root

    return at_a_glance.options(find_root(Path(context.find_root().params.get("directory") or ".")))
