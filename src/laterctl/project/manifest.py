"""The file that declares the project's dependencies, and where new ones go."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from laterctl.project import conda
from laterctl.project.facts import DependencyHome, Evidence, Manifest, Requirement, Undecided
from laterctl.project.places import Place
from laterctl.project.requirements_file import (
    Compiled,
    beside,
    canonical_name,
    compiled,
    includes,
    read_requirements,
    requirement_name,
)
from laterctl.project.setup_cfg import EXTRAS, RUNTIME, values
from laterctl.project.source import Unreadable, decoded, split_lines
from laterctl.project.tomlfile import line_of, load_toml, table
from laterctl.project.tree import Outside, Tree
from laterctl.project.unreadable import as_undecided

PYPROJECT = "pyproject.toml"
SETUP_CFG = "setup.cfg"
PIPFILE = "Pipfile"
_NEW_DEV = "requirements-dev.txt"
_LOCKS = {"uv.lock": "uv", "poetry.lock": "poetry", "pdm.lock": "pdm"}
_PACKAGE = re.compile(r'^\[\[package\]\]\s+name = "([^"]+)"\s+version = "([^"]+)"', re.MULTILINE)
_DEV = re.compile(r"dev|test|local|lint|doc|ci\b|type|format|debug|bench|extra|optional|lock|freeze", re.IGNORECASE)
_DEV_GROUPS = ("dev", "test", "tests", "testing")
_CONSTRAINED = re.compile(r"(?:^|\s)(?:-c|--constraints?|PIP_CONSTRAINT|UV_CONSTRAINT)[ =]+(\S+\.(?:txt|in))")
_PRODUCTION = ("requirements.txt", "requirements.in", "base", "common", "main", "requirements", "prod", "production")
_UNSUPPORTED = {  # file -> what it contains when it declares dependencies
    "setup.cfg": b"install_requires",
    "setup.py": b"setup(",
    **dict.fromkeys(conda.FILES, b"dependencies"),
}


class Locked(Mapping[str, str]):
    """Locked versions by canonical name; the lock file is read when first asked."""

    def __init__(self, tree: Tree, path: str) -> None:
        self._tree = tree
        self._path = path

    @cached_property
    def _versions(self) -> Mapping[str, str]:
        # uv, poetry and pdm all write name and version first; parsing a megabyte of TOML would take half a second.
        text = (self._tree.read(self._path) or b"").decode("utf-8", "replace").replace("\r\n", "\n")
        return {canonical_name(match[1]): match[2] for match in _PACKAGE.finditer(text)}

    def __getitem__(self, name: str) -> str:
        return self._versions[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._versions)

    def __len__(self) -> int:
        return len(self._versions)


def find_manifest(tree: Tree, served_by: Sequence[str] = ()) -> tuple[Manifest | None, tuple[Undecided, ...]]:
    """Find the manifest that installs the application.

    `served_by` are the container files and scripts; they decide between two manifests that both list FastAPI.

    Raises:
        Unreadable: pyproject.toml is not TOML, or not UTF-8.
    """
    undecided: list[Undecided] = []
    project = load_toml(tree, PYPROJECT)
    from_toml = _from_pyproject(tree, project) if project is not None else None
    if from_toml is None or isinstance(from_toml, Undecided):
        from_toml = _from_setup_cfg(tree) or from_toml
    from_lines = _from_requirements(tree, _named_files(project or {}), undecided)
    if isinstance(from_toml, Undecided):
        if from_lines is None:
            return None, (from_toml, *undecided)
        from_toml = None
    chosen, other = from_toml, from_lines
    if from_toml is None or (from_lines is not None and _wins(tree, from_lines, from_toml, served_by)):
        chosen, other = from_lines, from_toml
    chosen = chosen or _from_pipfile(tree) or _from_conda(tree)
    if chosen is None:
        return None, tuple(undecided) or (_unsupported(tree),)
    if other is not None:
        fastapi = [entry.place for entry in other.requirements if entry.name == "fastapi"]
        chosen = replace(chosen, others=(*chosen.others, *fastapi))
    return _completed(tree, chosen, project or {}, served_by), tuple(undecided)


def _completed(tree: Tree, manifest: Manifest, project: Mapping[str, Any], served_by: Sequence[str]) -> Manifest:
    """Return a manifest with what other files say about its versions, and with the files compiled from it."""
    pinned: list[Requirement] = []
    made: dict[str, Compiled] = {}
    for path in _requirement_files(tree):
        if found := _compiled(tree, path):
            made[path] = found
            if manifest.path in found.sources and manifest.runtime.form != "lines":
                pinned += parse_requirements(tree, path)
    range_, place = manifest.requires_python, Place(manifest.path, 1)
    if range_:
        place = Place(manifest.path, _python_line(tree, manifest.path))
    elif range_ := _requires_python(project):
        place = Place(PYPROJECT, _python_line(tree, PYPROJECT))
    return replace(
        manifest,
        requires_python=range_,
        python_place=place,
        compiled=made,
        pinned=tuple(pinned),
        constraints=tuple(_constraints(tree, manifest, project, served_by)),
    )


def _requires_python(project: Mapping[str, Any]) -> str:
    python = table(project, "project").get("requires-python")
    python = python or table(project, "tool", "poetry", "dependencies").get("python")
    return python if isinstance(python, str) else ""


def _python_line(tree: Tree, path: str) -> int:
    """Return the line of a manifest that limits Python."""
    about = re.compile(r"\s*(?:-\s+)?[\"']?(?:requires-)?python(?:_requires|_version)?[\"']?\s*[=:<>~]")
    lines = (tree.read(path) or b"").decode("utf-8", "replace").splitlines()
    return next((number for number, line in enumerate(lines, 1) if about.match(line)), 1)


def _constraints(
    tree: Tree, manifest: Manifest, project: Mapping[str, Any], served_by: Sequence[str]
) -> Iterator[Requirement]:
    """Yield the versions that hold for the manifest without being dependencies.

    These stand in constraint files that its requirements files, or the files that install it, name, and in the tables
    of the managers.
    """
    files: dict[str, None] = {}
    waiting = [manifest.runtime.path, *(path for path in [manifest.dev.path] if path != manifest.runtime.path)]
    seen: set[str] = set()
    while waiting:
        path = waiting.pop()
        if path in seen or not path.endswith((".txt", ".in")):
            continue
        seen.add(path)
        for what, named, _ in includes(_text(tree, path)):
            if what == "r":
                waiting.append(beside(path, named))
            else:
                files[beside(path, named)] = None
    for path in served_by:
        for match in _CONSTRAINED.finditer(_text(tree, path)):
            files[match[1].removeprefix("./")] = None
    for path in files:
        if path not in manifest.compiled and path != manifest.path:
            yield from parse_requirements(tree, path) if tree.exists(path) else ()
    for name in ("constraint-dependencies", "override-dependencies"):
        listed = table(project, "tool", "uv").get(name)
        for entry in listed if isinstance(listed, list) and manifest.manager == "uv" else ():
            if isinstance(entry, str) and requirement_name(entry):
                line = line_of(_text(tree, PYPROJECT), ("tool", "uv", name), entry)
                yield Requirement(requirement_name(entry), entry, Place(PYPROJECT, line))
    for name, version in table(project, "tool", "pdm", "resolution", "overrides").items():
        if isinstance(version, str) and manifest.manager == "pdm":
            line = line_of(_text(tree, PYPROJECT), ("tool", "pdm", "resolution", "overrides"), name)
            text = version if version[:1] in set("<>=!~") else f"=={version}"
            yield Requirement(canonical_name(name), f"{name}{text}", Place(PYPROJECT, line))


def _text(tree: Tree, path: str) -> str:
    """Return the text of a file, `""` when it cannot be read as text."""
    try:
        return decoded(path, tree.read(path) or b"", wide=True)[0].removeprefix("\ufeff")
    except (Unreadable, Outside):
        return ""


def group_home(tree: Tree, manifest: Manifest, name: str) -> DependencyHome:
    """Return where the dependencies of any group go, for example those of `lint`; the group may not exist yet.

    Of requirements files a group is a file. In setup.cfg it is an extra that exists, else a file.

    Raises:
        Unreadable: pyproject.toml is not TOML, or not UTF-8.
    """
    if name in _DEV_GROUPS:
        return manifest.dev
    if manifest.path == PYPROJECT:
        return _group_home(load_toml(tree, PYPROJECT) or {}, manifest.manager, (name,))
    if manifest.path == SETUP_CFG:
        groups = {canonical_name(entry.group): entry.group for entry in manifest.requirements if entry.group}
        if canonical_name(name) in groups:
            return DependencyHome("cfg", SETUP_CFG, (EXTRAS, groups[canonical_name(name)]))
    home = manifest.path if manifest.runtime.form == "lines" else "requirements.txt"
    new = _new_file(home, name)
    known = {canonical_name(path.rpartition(".")[0]): path for path in _requirement_files(tree)}
    return DependencyHome("lines", known.get(canonical_name(new.rpartition(".")[0]), new))


def _lists_fastapi(manifest: Manifest) -> bool:
    return any(entry.name == "fastapi" for entry in manifest.requirements)


def _wins(tree: Tree, lines: Manifest, toml: Manifest, served_by: Sequence[str]) -> bool:
    """Whether the requirements files install production rather than pyproject.toml."""
    if toml.path in lines.compiled.get(lines.path, Compiled(1)).sources:
        return False
    if _lists_fastapi(lines) != _lists_fastapi(toml):
        return _lists_fastapi(lines)
    if toml.lock:
        return False
    files = {entry.place.path for entry in lines.requirements}
    for path in served_by:
        text = (tree.read(path) or b"").decode("utf-8", "replace")
        if any(re.search(rf"(?:-r|--requirement)[ =]*\S*{re.escape(file)}", text) for file in files):
            return True
    return False


def _unsupported(tree: Tree) -> Undecided:
    present = [name for name, mark in _UNSUPPORTED.items() if mark in (tree.read(name) or b"")]
    if not present:
        hint = "create a pyproject.toml or a requirements.txt that lists fastapi"
        return Undecided("no-manifest", "no file that declares dependencies was found", hint)
    places = tuple(Place(name, _mention(tree, name)) for name in present)
    names = ", ".join(present)
    hint = "list fastapi in a requirements.txt, which is edited, and let that file install the dependencies"
    if any(name in conda.FILES for name in present):
        hint = (
            f"give {present[-1]} a list `- pip:` with an entry, which is edited, or list fastapi in a requirements.txt"
        )
    return Undecided("manifest-unsupported", f"dependencies are declared in {names}, which is not edited", hint, places)


def _mention(tree: Tree, path: str) -> int:
    """Return the line on which a manifest lists FastAPI, else that on which its list starts."""
    data = (tree.read(path) or b"").lower()
    start = max(data.find(b"install_requires"), 0)
    at = data.find(b"fastapi", start)
    return data[: at if at >= 0 else start].count(b"\n") + 1


# pyproject.toml


class _Group(Struct, frozen=True):
    """A list of dependencies in pyproject.toml: where it is, what it is called, and what is in it."""

    home: DependencyHome
    group: str
    entries: tuple[str, ...]


def _from_pyproject(tree: Tree, project: Mapping[str, Any]) -> Manifest | Undecided | None:
    groups = list(_groups(project))
    metadata, poetry = table(project, "project"), table(project, "tool", "poetry")
    if not any((metadata, poetry, groups)):
        return None
    text = (tree.read(PYPROJECT) or b"").decode("utf-8-sig")
    requirements = tuple(
        Requirement(requirement_name(entry), entry, _place(text, group, entry), group.group, group.home)
        for group in groups
        for entry in group.entries
        if requirement_name(entry)
    )
    lock, manager = _manager(tree, project)
    listed = {requirement.group: requirement for requirement in reversed(requirements) if requirement.name == "fastapi"}
    runtime = _runtime(project, groups)
    if isinstance(runtime, str):
        return Undecided("manifest-unsupported", runtime, "add the dependencies by hand", (Place(PYPROJECT, 1),))
    if runtime is None:
        return None
    main = listed.get(_group_of(groups, runtime))
    evidence = [Evidence(f"dependencies in {PYPROJECT}", main.place if main else Place(PYPROJECT, 1))]
    evidence += [Evidence(f"locked by {manager}", Place(lock, 1))] if lock else []
    dev = _group_home(project, manager, _DEV_GROUPS)
    beside_it: list[Requirement] = []
    if not any(group.home == dev for group in groups) and (path := _dev_file(tree)):
        dev = DependencyHome("lines", path)
        beside_it = parse_requirements(tree, path)
    return Manifest(
        manager=manager,
        path=PYPROJECT,
        runtime=runtime,
        dev=dev,
        requires_python=_requires_python(project),
        requirements=(*requirements, *beside_it),
        lock=lock,
        locked=Locked(tree, lock) if lock else {},
        others=tuple(entry.place for entry in listed.values() if entry is not main and main is not None),
        evidence=tuple(evidence),
    )


def _groups(project: Mapping[str, Any]) -> Iterator[_Group]:
    """Yield every list of dependencies, the runtime ones first."""

    def array(keys: tuple[str, ...], group: str, entries: object) -> Iterator[_Group]:
        if isinstance(entries, list):
            texts = tuple(entry for entry in entries if isinstance(entry, str))
            yield _Group(DependencyHome("array", PYPROJECT, keys), group, texts)

    def poetry(keys: tuple[str, ...], group: str) -> Iterator[_Group]:
        entries = table(project, *keys)
        if entries or keys == ("tool", "poetry", "dependencies"):
            texts = tuple(f"{name} {_constraint(value)}".strip() for name, value in entries.items() if name != "python")
            if entries:
                yield _Group(DependencyHome("poetry", PYPROJECT, keys), group, texts)

    yield from array(("project", "dependencies"), "", table(project, "project").get("dependencies"))
    yield from poetry(("tool", "poetry", "dependencies"), "")
    for name, entries in table(project, "project", "optional-dependencies").items():
        yield from array(("project", "optional-dependencies", name), name, entries)
    for name, entries in table(project, "dependency-groups").items():
        yield from array(("dependency-groups", name), name, entries)
    for name in table(project, "tool", "poetry", "group"):
        yield from poetry(("tool", "poetry", "group", name, "dependencies"), name)
    yield from poetry(("tool", "poetry", "dev-dependencies"), "dev")
    for name, entries in table(project, "tool", "pdm", "dev-dependencies").items():
        yield from array(("tool", "pdm", "dev-dependencies", name), name, entries)
    yield from array(("tool", "uv", "dev-dependencies"), "dev", table(project, "tool", "uv").get("dev-dependencies"))


def _constraint(value: object) -> str:
    if isinstance(value, dict):
        return str(value.get("version", ""))
    return value if isinstance(value, str) and value != "*" else ""


def _place(text: str, group: _Group, entry: str) -> Place:
    needle = entry if group.home.form == "array" else entry.split(" ", maxsplit=1)[0]
    return Place(PYPROJECT, line_of(text, group.home.table, needle))


def _group_of(groups: Sequence[_Group], home: DependencyHome) -> str:
    return next((group.group for group in groups if group.home == home), "")


def _runtime(project: Mapping[str, Any], groups: Sequence[_Group]) -> DependencyHome | str | None:
    """Return where runtime dependencies go, a sentence when that is nothing this tool edits, or `None`.

    That is the list FastAPI is in: the main one, else the extra or group that has it.
    """
    with_fastapi = [group for group in groups if any(requirement_name(entry) == "fastapi" for entry in group.entries)]
    fastapi = table(project, "tool", "poetry", "dependencies").get("fastapi")
    if isinstance(fastapi, dict) and fastapi.get("optional"):
        return "fastapi is an optional dependency of poetry, behind [tool.poetry.extras], which is not edited"
    main = next((group for group in with_fastapi if not group.group), None)
    best = main or next((group for group in with_fastapi if not _DEV.search(group.group)), None)
    best = best or next(iter(with_fastapi), None)
    if best is not None:
        return best.home
    metadata = table(project, "project")
    if "dependencies" in metadata.get("dynamic", ()):
        return "dependencies are dynamic: another file declares them"
    for group in groups:
        if not group.group:
            return group.home
    if metadata:
        return DependencyHome("array", PYPROJECT, ("project", "dependencies"))
    if table(project, "tool", "poetry"):
        return DependencyHome("poetry", PYPROJECT, ("tool", "poetry", "dependencies"))
    return None


def _group_home(project: Mapping[str, Any], manager: str, names: Sequence[str]) -> DependencyHome:
    """Return where dependencies of a group go: the first of `names` that exists, else a group that the manager makes.

    Names of groups are compared in their normal form, as PEP 685 and PEP 735 demand.
    """
    wanted = [canonical_name(name) for name in names]

    def spelled(*keys: str) -> str | None:
        known = {canonical_name(key): key for key in table(project, *keys)}
        return next((known[name] for name in wanted if name in known), None)

    for keys in (("dependency-groups",), ("tool", "pdm", "dev-dependencies"), ("project", "optional-dependencies")):
        if name := spelled(*keys):
            return DependencyHome("array", PYPROJECT, (*keys, name))
    is_dev = "dev" in wanted
    if is_dev and isinstance(table(project, "tool", "uv").get("dev-dependencies"), list):
        return DependencyHome("array", PYPROJECT, ("tool", "uv", "dev-dependencies"))
    if name := spelled("tool", "poetry", "group"):
        return DependencyHome("poetry", PYPROJECT, ("tool", "poetry", "group", name, "dependencies"))
    if is_dev and table(project, "tool", "poetry", "dev-dependencies"):
        return DependencyHome("poetry", PYPROJECT, ("tool", "poetry", "dev-dependencies"))
    if manager == "poetry" and "dependency-groups" not in project:
        return DependencyHome("poetry", PYPROJECT, ("tool", "poetry", "group", names[0], "dependencies"))
    return DependencyHome("array", PYPROJECT, ("dependency-groups", names[0]))


def _manager(tree: Tree, project: Mapping[str, Any]) -> tuple[str, str]:
    """Return the lock file (or `""`) and the manager: by the lock, else by its table or build backend."""
    locks = [name for name in _LOCKS if tree.read(name) is not None]
    backend = str(table(project, "build-system").get("build-backend", ""))
    stated = next((name for name in ("uv", "pdm", "poetry") if name in table(project, "tool")), "")
    stated = stated or next((name for name in ("pdm", "poetry") if backend.startswith(name)), "")
    stated = stated or ("uv" if backend.startswith("uv_build") else "")
    if locks:
        lock = next((name for name in locks if _LOCKS[name] == stated), locks[0])
        return lock, _LOCKS[lock]
    return "", stated or ("uv" if _workspace_above(tree) else "pip")


def _workspace_above(tree: Tree) -> bool:
    """Whether a folder above the project, inside the same repository, has uv's lock: then it is a workspace member."""
    folder = tree.root
    while not (folder / ".git").exists() and folder.parent != folder:
        folder = folder.parent
        if (folder / "uv.lock").is_file():
            return True
    return False


# setup.cfg


def _from_setup_cfg(tree: Tree) -> Manifest | None:
    """Return the manifest of a setup.cfg that lists its dependencies line by line.

    What setup.py passes itself wins over setup.cfg: then this is none.

    Raises:
        Unreadable: setup.cfg is not UTF-8.
    """
    data = tree.read(SETUP_CFG)
    if data is None or b"install_requires" not in data or b"install_requires" in (tree.read("setup.py") or b""):
        return None
    text = decoded(SETUP_CFG, data)[0].removeprefix("\ufeff")
    found = values(text)
    runtime = found.get(RUNTIME)
    if runtime is None or not runtime.is_list:
        return None
    lists = {key: value for key, value in found.items() if (key == RUNTIME or key[0] == EXTRAS) and value.is_list}
    lines = split_lines(text)
    requirements = tuple(
        Requirement(
            entry.name,
            entry.text,
            Place(SETUP_CFG, value.start + entry.line),
            "" if table == RUNTIME else table[1],
            DependencyHome("cfg", SETUP_CFG, table),
        )
        for table, value in sorted(lists.items(), key=lambda item: item[0] != RUNTIME)
        for entry in read_requirements("".join(lines[value.start : value.stop]))
        if not entry.is_option
    )
    python = found.get(("options", "python_requires"))
    listed = [entry for entry in requirements if entry.name == "fastapi"]
    best = next((entry for entry in listed if not entry.group or not _DEV.search(entry.group)), None)
    home = RUNTIME if best is None or not best.group else (EXTRAS, best.group)
    dev = next((key for name in _DEV_GROUPS if (key := (EXTRAS, name)) in lists), None)
    return Manifest(
        manager="pip",
        path=SETUP_CFG,
        runtime=DependencyHome("cfg", SETUP_CFG, home),
        dev=DependencyHome("cfg", SETUP_CFG, dev) if dev else DependencyHome("lines", _dev_file(tree) or _NEW_DEV),
        requires_python=python.inline if python is not None else "",
        requirements=requirements,
        others=tuple(entry.place for entry in listed if entry is not best),
        evidence=(Evidence(f"dependencies in {SETUP_CFG}", best.place if best else Place(SETUP_CFG, runtime.line)),),
    )


# requirements files


def _from_requirements(tree: Tree, named: Sequence[str], undecided: list[Undecided]) -> Manifest | None:
    files: dict[str, list[Requirement]] = {}
    for path in dict.fromkeys([*(name for name in named if tree.exists(name)), *_requirement_files(tree)]):
        try:
            files[path] = parse_requirements(tree, path)
        except (Unreadable, Outside) as error:
            undecided.append(as_undecided(error))
    if not files:
        return None
    with_fastapi = [path for path in files if any(entry.name == "fastapi" for entry in files[path])]
    made = {path: found for path in files if (found := _compiled(tree, path))}
    sources = [path for path in with_fastapi if path not in made]
    ranked = sorted(sources or with_fastapi or list(files), key=_production_rank)
    home = ranked[0]
    dev = _dev_file(tree, home)
    every = [home, *(path for path in files if path != home)]
    others = [entry.place for path in with_fastapi if path != home for entry in files[path] if entry.name == "fastapi"]
    first = next((entry.place for entry in files[home] if entry.name == "fastapi"), Place(home, 1))
    return Manifest(
        manager="pip",
        path=home,
        runtime=DependencyHome("lines", home),
        dev=DependencyHome("lines", dev or _new_file(home, "dev")),
        requirements=tuple(entry for path in every for entry in files[path]),
        others=tuple(place for place in others if place.path not in made),
        compiled=made,
        evidence=(Evidence(f"dependencies in {home}", first),),
    )


def _named_files(project: Mapping[str, Any]) -> list[str]:
    """Return the requirements files that pyproject.toml itself reads its dynamic dependencies from."""
    dynamic = table(project, "tool", "setuptools", "dynamic", "dependencies").get("file", [])
    hatch = table(project, "tool", "hatch", "metadata", "hooks", "requirements_txt").get("files", [])
    named = [*([dynamic] if isinstance(dynamic, str) else dynamic), *(hatch if isinstance(hatch, list) else [])]
    return [name for name in named if isinstance(name, str)]


def _requirement_files(tree: Tree) -> list[str]:
    found = [name for name in tree.names() if "requirements" in name and name.endswith((".txt", ".in"))]
    for folder in ("requirements", "reqs", "deps"):
        if tree.is_dir(folder):
            found += [f"{folder}/{name}" for name in tree.names(folder) if name.endswith((".txt", ".in"))]
    return [path for path in found if "constraint" not in path]


def parse_requirements(tree: Tree, path: str) -> list[Requirement]:
    """Return the requirements of a requirements file; options and editable installs are left out too.

    Raises:
        Unreadable: the file is neither UTF-8 nor UTF-16 with its mark (nothing is guessed about it).
    """
    text = decoded(path, tree.read(path) or b"", wide=True)[0].removeprefix("\ufeff")
    group = "dev" if _DEV.search(path.rpartition("/")[2].replace("requirements", "")) else ""
    found = [entry for entry in read_requirements(text) if not entry.is_option]
    home = DependencyHome("lines", path)
    return [Requirement(entry.name, entry.text, Place(path, entry.line), group, home) for entry in found]


def _compiled(tree: Tree, path: str) -> Compiled | None:
    found = compiled(path, _text(tree, path)) if path.endswith(".txt") else None
    if found is None or all(tree.exists(source) for source in found.sources):
        return found
    # It was called in another folder, most often in that of the file.
    sources = tuple(source if tree.exists(source) else beside(path, source) for source in found.sources)
    return replace(found, command=(), sources=sources)


def _dev_file(tree: Tree, home: str = "") -> str:
    """Return the requirements file of development that is edited, `""` without one; `home` is the one of production."""
    found = [path for path in _requirement_files(tree) if _dev_rank(path)[0] < 9 and path != home]
    return min(found, key=lambda path: (_compiled(tree, path) is not None, _dev_rank(path)), default="")


# Pipfile and conda


def _from_pipfile(tree: Tree) -> Manifest | None:
    """Return the manifest of a Pipfile, whose tables have poetry's form.

    Raises:
        Unreadable: it is not TOML, or not UTF-8.
    """
    data = load_toml(tree, PIPFILE)
    if data is None:
        return None
    text = (tree.read(PIPFILE) or b"").decode("utf-8-sig")
    runtime, dev = (DependencyHome("poetry", PIPFILE, (name,)) for name in ("packages", "dev-packages"))
    requirements = [
        Requirement(
            canonical_name(name),
            f"{name} {_constraint(value)}".strip(),
            Place(PIPFILE, line_of(text, home.table, name)),
            group,
            home,
        )
        for home, group in ((runtime, ""), (dev, "dev"))
        for name, value in table(data, *home.table).items()
    ]
    python = table(data, "requires").get("python_version")
    main = next((entry.place for entry in requirements if entry.name == "fastapi"), Place(PIPFILE, 1))
    return Manifest(
        manager="pipenv",
        path=PIPFILE,
        runtime=runtime,
        dev=dev,
        requires_python=f"=={python}.*" if isinstance(python, str) else "",
        requirements=tuple(requirements),
        lock=f"{PIPFILE}.lock" if tree.read(f"{PIPFILE}.lock") is not None else "",
        evidence=(Evidence(f"dependencies in {PIPFILE}", main),),
    )


def _from_conda(tree: Tree) -> Manifest | None:
    """Return the manifest of a conda environment that has a list for pip, which is what is edited."""
    for path in conda.FILES:
        text = _text(tree, path)
        pip = conda.pip_list(text)
        if pip is None or not pip.is_list:
            continue
        requirements, python = conda.requirements(path, text)
        home = DependencyHome("cfg", path, conda.PIP)
        dev = _dev_file(tree)
        main = next((entry.place for entry in requirements if entry.name == "fastapi"), Place(path, pip.line))
        return Manifest(
            manager="conda",
            path=path,
            runtime=home,
            dev=DependencyHome("lines", dev) if dev else home,
            requires_python=python,
            requirements=(*requirements, *(parse_requirements(tree, dev) if dev else ())),
            evidence=(Evidence(f"dependencies in {path}", main),),
        )
    return None


def _production_rank(path: str) -> tuple[bool, int, int, str]:
    name = path.rpartition("/")[2]
    stem = (
        name.rsplit(".", 1)[0].removeprefix("requirements-").removeprefix("requirements_").removesuffix("-requirements")
    )
    rank = next((number for number, likely in enumerate(_PRODUCTION) if likely in {name, stem}), len(_PRODUCTION))
    return bool(_DEV.search(stem)) and stem != "requirements", rank, path.count("/"), path


def _dev_rank(path: str) -> tuple[int, str]:
    name = path.rpartition("/")[2].lower()
    return next((number for number, word in enumerate(("dev", "test", "local")) if word in name), 9), path


def _new_file(home: str, group: str) -> str:
    folder, _, name = home.rpartition("/")
    suffix = name.rpartition(".")[2]
    new = (
        f"{group}.{suffix}"
        if folder and name.startswith(("base", "prod", "common", "main"))
        else f"requirements-{group}.{suffix}"
    )
    return f"{folder}/{new}" if folder else new
