"""Dependencies, however a project writes them: PEP 508 entries, poetry's constraints, lines of a file.

Poetry's forms are those of python-poetry.org/docs/dependency-specification. Own entries are always PEP 508 strings
such as `redis[hiredis]>=6`; poetry's form is made when they are written.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from laterctl.codemods import lines, setup_cfg, toml
from laterctl.codemods.placement import TextEditError, entry_name
from laterctl.project.requirements_file import canonical_name, read_requirements

if TYPE_CHECKING:
    from packaging.requirements import Requirement
    from packaging.specifiers import SpecifierSet
    from packaging.version import Version

    from laterctl.project.facts import DependencyHome

_LINES = {"lines", "cfg"}
_EXTRAS = re.compile(r"(\s*[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)(?:\s*\[([^\]]*)\])?")
_OPEN = re.compile(  # no more than a lower bound
    r"\s*[A-Za-z](?:[A-Za-z0-9._-]*[A-Za-z0-9])?\s*(?:\[\w+(?:,\s*\w+)*\])?\s*(?:>=\s*\d+(?:\.\d+)*)?\s*"
)
_PYTHON = re.compile(r"\s*>=\s*3\.(\d+)(?:\.\d+)*\s*(?:,\s*<\s*4(?:\.0)*\s*)?")
_PYTHONS = range(6, 40)  # minor versions of Python 3
_CONSTRAINT = re.compile(r"\s*(?:[\^~*<>=!{\[]|v?\d[\w.*+-]*\s*(?:$|[,|]))")


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


# Manifests


def declared(text: str, home: DependencyHome) -> dict[str, str]:
    """Return what a home declares: canonical names and texts, the first where a name is there twice.

    The text is the PEP 508 entry; of poetry it is the constraint (`^5`) or a table's source; `python` is left out.
    Raises `TomlEditError` when the text is not valid.
    """
    found: dict[str, str] = {}
    if home.form in _LINES:
        for requirement in read_requirements(text if home.form == "lines" else setup_cfg.entries(text, home.table)):
            found.setdefault(requirement.name, requirement.text)
        return found
    value = toml.get(text, home.table)
    if home.form == "poetry" and isinstance(value, dict):
        for name, constraint in value.items():
            if name != "python":
                found.setdefault(canonical_name(name), _shown(constraint))
    elif isinstance(value, list):
        for entry in value:
            if isinstance(entry, str) and entry_name(entry):
                found.setdefault(entry_name(entry), entry)
    return found


def spelling(text: str, home: DependencyHome, name: str) -> str:
    """Return a declaration as it is written, which `replace_dependency` can bring back.

    It differs from `declared` where poetry has a table: this reads tomlkit's document, `declared` only values.
    Raises `KeyError` when `name` is not declared.
    """
    key = poetry_key(text, home, name) if home.form == "poetry" else None
    if key is None or isinstance(value := toml.get(text, (*home.table, key)), str):
        return declared(text, home)[canonical_name(name)]
    try:
        return toml.source_of(text, (*home.table, key))
    except KeyError:  # a table with its own header
        return _shown(value)


def poetry_key(text: str, home: DependencyHome, name: str) -> str | None:
    """Return the name of a dependency as the table spells it, `None` when it is not there."""
    table = toml.get(text, home.table) or {}
    return next((key for key in table if canonical_name(key) == canonical_name(name)), None)


def _shown(constraint: Any) -> str:
    return constraint if isinstance(constraint, str) else toml.render(constraint)


def pieces(home: DependencyHome, entries: Sequence[str]) -> list[toml.Piece]:
    """Return the own pieces that PEP 508 `entries` are in a TOML manifest, for `toml.converge`.

    The home may be any group or extra: one that is missing is made, and goes with its last own entry.

    Raises `RequirementError` when an entry cannot be written in that form.
    """
    if home.form == "array":
        return [toml.Item(home.table, entry, by_name=True) for entry in entries]
    return [toml.Key((*home.table, parse(entry).name), to_poetry(entry), by_name=True) for entry in entries]


def converge_dependencies(text: str, home: DependencyHome, own_before: Sequence[str], own_after: Sequence[str]) -> str:
    """Return a manifest with own PEP 508 entries `own_after` where it had `own_before`; `""` makes a new one.

    A missing array or table is made, and goes with its last own entry. An own entry that the user changed stays as it
    is. A manifest that gets other own pieces too must get all of them in one `toml.converge`, with `pieces` of this.

    Raises `TextEditError` when an entry's name is there with another text, or the home cannot be extended.
    """
    if home.form == "lines":
        return lines.converge_requirements(text, own_before, own_after)
    if home.form == "cfg":
        return setup_cfg.edited(
            text, home.table, lambda entries: lines.converge_requirements(entries, own_before, own_after)
        )
    check_home(text, home)
    return toml.converge(text, pieces(home, own_before), pieces(home, own_after))


def check_home(text: str, home: DependencyHome) -> None:
    """Raise `TextEditError` when entries at `home` would not count, or would break the manifest."""
    data = toml.parse(text)
    dynamic = data.get("project", {}).get("dynamic", ())
    if home.table[:1] == ("project",) and home.table[1] in dynamic:
        line = toml.line_of(text, ("project", "dynamic"))
        raise TextEditError(f"{home.table[1]} are dynamic: they come from another file", line)


def replace_dependency(text: str, home: DependencyHome, name: str, new: str) -> str:
    """Return a manifest with the declaration of `name` written as `new`, in the same quotes.

    `new` is what `with_extras` or `spelling` gives; what `spelling` gave before brings the old text back exactly.
    Raises `KeyError` when `name` is not declared, `TextEditError` when it is declared twice or in a way that cannot be
    replaced on its own.
    """
    if home.form == "poetry":
        return _replace_constraint(text, home, name, new)
    if home.form == "cfg":
        plain = replace(home, form="lines")
        return setup_cfg.edited(text, home.table, lambda entries: replace_dependency(entries, plain, name, new))
    if home.form == "lines":
        places = [(found.text, found.line) for found in read_requirements(text) if found.name == canonical_name(name)]
        entries = [entry for entry, _ in places]
    else:
        listed = [entry for entry in toml.get(text, home.table) or () if isinstance(entry, str)]
        entries = [entry for entry in listed if entry_name(entry) == canonical_name(name)]
    if not entries:
        raise KeyError(name)
    if len(entries) > 1:
        line = places[1][1] if home.form == "lines" else toml.line_of(text, home.table)
        raise TextEditError(f"{name} is declared {len(entries)} times", line)
    if home.form == "lines":
        return lines.replace_requirement(text, entries[0], new)
    return toml.replace_item(text, home.table, entries[0], new)


def _replace_constraint(text: str, home: DependencyHome, name: str, new: str) -> str:
    key = poetry_key(text, home, name)
    if key is None:
        raise KeyError(name)
    keys = (*home.table, key)
    try:
        source = toml.source_of(text, keys)
    except KeyError as error:
        raise TextEditError(f"{name} has a table of its own", toml.line_of(text, keys)) from error
    quote = re.search("[\"']", source)
    return toml.replace_value(text, keys, _requoted(new, quote[0] if quote else '"'))


def _requoted(constraint: str, quote: str) -> str:
    if not constraint.lstrip().startswith(("{", "[")):
        return toml.quoted(constraint, quote)
    if quote == "'" and "'" not in constraint:
        return constraint.replace('"', "'")
    return constraint
