"""What a dependency says, as a PEP 508 entry or as a constraint of poetry's: its range of versions and its extras.

Poetry's forms are those of python-poetry.org/docs/dependency-specification. Own entries are always PEP 508 strings
such as `redis[hiredis]>=6`; poetry's form is made when they are written.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from laterctl.codemods import toml
from laterctl.codemods.placement import TextEditError
from laterctl.patterns import pattern
from laterctl.project.requirements_file import canonical_name

if TYPE_CHECKING:
    from packaging.requirements import Requirement
    from packaging.specifiers import SpecifierSet
    from packaging.version import Version


_EXTRAS = pattern(r"(\s*[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)(?:\s*\[([^\]]*)\])?")
_OPEN = pattern(  # no more than a lower bound
    r"\s*[A-Za-z](?:[A-Za-z0-9._-]*[A-Za-z0-9])?\s*(?:\[\w+(?:,\s*\w+)*\])?\s*(?:>=\s*\d+(?:\.\d+)*)?\s*"
)
_PYTHON = pattern(r"\s*>=\s*3\.(\d+)(?:\.\d+)*\s*(?:,\s*<\s*4(?:\.0)*\s*)?")
_PYTHONS = range(6, 40)  # minor versions of Python 3
_CONSTRAINT = pattern(r"\s*(?:[\^~*<>=!{\[]|v?\d[\w.*+-]*\s*(?:$|[,|]))")


class RequirementError(TextEditError):
    """A dependency is written in a form that cannot be read; the line is not known here."""


def parse(entry: str) -> Requirement:
    """Return a PEP 508 entry as `packaging` reads it. Raises `RequirementError` when it is none."""
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        return Requirement(entry)
    except InvalidRequirement as error:
        raise RequirementError(f"{entry!r} is no PEP 508 requirement: {str(error).splitlines()[0]}") from error


def extras_of(declared: str) -> frozenset[str]:
    """Return the canonical names of the extras that a declaration asks for, PEP 508 or poetry's.

    Raises `RequirementError` when it is neither.
    """
    if _is_constraint(declared):
        tables = _tables(_poetry_value(declared))
        return frozenset(canonical_name(extra) for table in tables for extra in table.get("extras", ()))
    return frozenset(canonical_name(extra) for extra in parse(declared).extras)


def satisfiable(declared: str, floor: str) -> bool:
    """Say whether some version is allowed by a declaration and by a floor.

    `declared` is a PEP 508 entry or poetry's constraint; `floor` is a PEP 508 entry, a specifier, or a bare version,
    which stands for `>=`. Markers do not count. What names no versions (a URL, a path) is taken to satisfy everything.
    Raises `RequirementError` when one of them cannot be read.
    """
    if _OPEN.fullmatch(declared) and _OPEN.fullmatch(floor):
        return True  # the usual case; `packaging` is slow to import
    wanted = [_specifiers(f">={floor}")] if re.match(r"\s*v?\d[\w.]*\s*$", floor) else _ranges(floor)
    return any(_overlap(one & two) for one in _ranges(declared) for two in wanted)


def oldest_python(requires_python: str) -> tuple[int, int] | None:
    """Return the oldest Python 3, from 3.6 on, some release of which a range allows, PEP 440's or poetry's.

    `None` when there is none, or when it cannot be read.
    """
    if match := _PYTHON.fullmatch(requires_python):
        return 3, max(int(match[1]), _PYTHONS.start)
    try:
        allowed = [_specifiers(requires_python)]
    except RequirementError:
        try:
            allowed = _poetry_ranges(requires_python)
        except RequirementError:
            return None
    micros = ("0", "99", *re.findall(r"3\.\d+\.(\d+)", requires_python))
    releases = ((minor, f"3.{minor}.{micro}") for minor in _PYTHONS for micro in micros)
    return next(
        ((3, minor) for minor, release in releases if any(one.contains(release, prereleases=True) for one in allowed)),
        None,
    )


def with_extras(declared: str, extras: Iterable[str]) -> str:
    """Return a declaration with extras united, spelled as the user spells it; unchanged when it has them all.

    A PEP 508 entry gives one, poetry's constraint (`^5`) or inline table gives the source of an inline table.
    Raises `RequirementError` for poetry's lists of tables, which stand for several declarations.
    """
    present = extras_of(declared)
    missing = sorted({extra for extra in extras if canonical_name(extra) not in present})
    if not missing:
        return declared
    if not _is_constraint(declared):
        match = _EXTRAS.match(declared)
        assert match is not None
        old = match[2] or ""
        comma = ", " if ", " in old else ","
        inner = old.rstrip() + (comma if old.strip() else "") + comma.join(missing)
        return f"{match[1]}[{inner}]{declared[match.end() :]}"
    value = _poetry_value(declared)
    if isinstance(value, str):
        return toml.render({"version": value, "extras": missing})
    if not isinstance(value, dict):
        raise RequirementError(f"{declared} stands for several declarations")
    return _table_with_extras(declared, value, missing)


def _table_with_extras(source: str, value: dict[str, Any], missing: Sequence[str]) -> str:
    text = f"x = {source}\n"
    if "extras" not in value:
        longer = toml.converge(text, [], [toml.Key(("x", "extras"), list(missing))])
    else:
        quote = "'" if "'" in toml.source_of(text, ("x", "extras")) else '"'
        extras = [*value["extras"], *missing]
        longer = toml.replace_value(text, ("x", "extras"), toml.render(extras, quote, 10**6))
    return longer.removeprefix("x = ").removesuffix("\n")


def to_poetry(entry: str) -> str | dict[str, Any]:
    """Return poetry's value for a PEP 508 entry: a constraint, or a table when there is more to say.

    Raises `RequirementError` for an entry with a URL.
    """
    requirement = parse(entry)
    if requirement.url:
        raise RequirementError(f"{entry!r} has a URL")
    version = ",".join(sorted(map(str, requirement.specifier), key=_by_operator)) or "*"
    if not requirement.extras and not requirement.marker:
        return version
    table: dict[str, Any] = {"version": version}
    if requirement.extras:
        table["extras"] = sorted(requirement.extras)
    if requirement.marker:
        table["markers"] = str(requirement.marker)
    return table


def _by_operator(specifier: str) -> tuple[bool, str]:
    return (specifier.startswith(("<", "!")), specifier)


# Ranges


def _is_constraint(declared: str) -> bool:
    return bool(_CONSTRAINT.match(declared))


def _poetry_value(declared: str) -> Any:
    """Return the value of poetry's declaration: itself, or what its TOML source says."""
    if not declared.lstrip().startswith(("{", "[")):
        return declared.strip()
    try:
        return tomllib.loads(f"x = {declared.strip()}\n")["x"]
    except tomllib.TOMLDecodeError as error:
        raise RequirementError(f"{declared!r} is no constraint: {error}") from error


def _tables(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, list):
        return [table for item in value for table in _tables(item)]
    return [value] if isinstance(value, dict) else [{"version": value}]


def _ranges(declared: str) -> list[SpecifierSet]:
    """Return the ranges that a declaration allows: a version must be in one of them."""
    if not _is_constraint(declared):
        requirement = parse(declared)
        return [_specifiers("") if requirement.url else requirement.specifier]
    tables = _tables(_poetry_value(declared))
    return [found for table in tables for found in _poetry_ranges(table.get("version", "*"))]


def _specifiers(text: str) -> SpecifierSet:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        return SpecifierSet(text)
    except InvalidSpecifier as error:
        raise RequirementError(f"{text!r} is no version range") from error


def _poetry_ranges(constraint: str) -> list[SpecifierSet]:
    ranges = []
    for part in re.split(r"\|\|?", constraint):
        terms = re.findall(r"[^\s,]+", re.sub(r"([\^~<>=!]+)\s+", r"\1", part))
        ranges.append(_specifiers(",".join(map(_poetry_term, terms))))
    return ranges


def _poetry_term(term: str) -> str:
    match = re.fullmatch(r"(\^|~=|~|===?|=|!=|[<>]=?)?v?(.+)", term)
    operator, version = (match[1] or "=", match[2]) if match else ("=", term)
    if version in {"*", "x"}:
        return ""
    if operator in {"^", "~"}:
        return f">={version},<{_next(version, caret=operator == '^')}"
    return f"{'==' if operator == '=' else operator}{version.replace('.x', '.*')}"


def _next(version: str, *, caret: bool) -> str:
    """Return the first version that `^` or `~` excludes."""
    from packaging.version import InvalidVersion, Version

    try:
        release = Version(version).release
    except InvalidVersion as error:
        raise RequirementError(f"{version!r} is no version") from error
    if caret:
        place = next((index for index, part in enumerate(release) if part), len(release) - 1)
    else:
        place = min(1, len(release) - 1)
    return ".".join(map(str, (*release[:place], release[place] + 1)))


def _overlap(specifiers: SpecifierSet) -> bool:
    """Say whether a version exists that satisfies all specifiers.

    The lowest such version is a bound that is named, or the next one after it: only those are tried.
    """
    return any(specifiers.contains(version, prereleases=True) for version in _candidates(specifiers))


def _candidates(specifiers: SpecifierSet) -> list[Version | str]:
    from packaging.version import InvalidVersion, Version

    found: list[Version | str] = [Version("0"), Version("0.0.1")]
    for specifier in specifiers:
        try:
            version = Version(specifier.version.removesuffix(".*"))
        except InvalidVersion:
            found.append(specifier.version)
            continue
        release = ".".join(map(str, version.release))
        above = (*version.release[:-1], version.release[-1] + 1)
        found += [version, Version(f"{version.epoch}!{'.'.join(map(str, above))}")]
        found += [Version(f"{version.epoch}!{release}"), Version(f"{version.epoch}!{release}.0.0.0.1")]
    return found
