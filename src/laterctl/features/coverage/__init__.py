"""Coverage that measures what runs: branches, every module of the package, and processes that tests start."""

from collections.abc import Iterator

from laterctl.edits.context import Edit, FeatureContext
from laterctl.edits.manifest import DependencyFloor, IgnoreLine, TomlEntry, TomlTable
from laterctl.feature import Feature, Group, Option, Stage
from laterctl.project.coverage_config import FILES, homes
from laterctl.project.places import Place
from laterctl.project.tomlfile import line_of, load_toml, table
from laterctl.refusal import Refusal
from laterctl.targets.toml_item import TomlItem
from laterctl.targets.toml_key import TomlKey

PYPROJECT = "pyproject.toml"
EXCLUDED = (
    "if TYPE_CHECKING:",
    r"@(abc\.)?abstractmethod",
    "if __name__ == .__main__.:",
    "raise NotImplementedError",
)


_SOURCES = frozenset({"source", "source_dirs", "source_pkgs"})
_NEEDED = frozenset({"branch", "parallel"})
_UNITED = frozenset({"concurrency", "exclude_also", "patch"})
"""Lists in which an entry of ours does not change what the user's own mean."""


def second_home(context: FeatureContext) -> Refusal | None:
    """Refuse where coverage.py is configured in another file: it reads one file only, and that one would win."""
    texts = {}
    for name in FILES:
        data = context.project.tree.read(name)
        if data is not None:
            texts[name] = data.decode("utf-8", errors="replace")
    other = next((home for home in homes(texts) if home.path != PYPROJECT), None)
    if other is None:
        return None
    return Refusal(
        "already-by-hand",
        f"coverage is configured in {other.path}, and coverage.py reads one file only",
        Place(other.path, other.line()),
        expected=f"its configuration in {PYPROJECT}, or none",
        remedy=f"move the settings to {PYPROJECT}, or keep yours",
    )


def tables(context: FeatureContext) -> Iterator[Edit]:
    """Yield the configuration for this project's layout and libraries, as far as the user's own does not say it."""
    for name, wanted in (("run", _run(context)), ("paths", _paths(context)), ("report", _report(context))):
        keys = ("tool", "coverage", name)
        own = {item.target.key for item in context.installed if item.ours}
        present = table(load_toml(context.project.tree, PYPROJECT), *keys)
        users = {key: value for key, value in present.items() if TomlKey(PYPROJECT, keys, key, None).key not in own}
        values = {
            key: value
            for key, value in wanted.items()
            if key in _NEEDED or (key not in users and not (key in _SOURCES and _SOURCES & users.keys()))
        }
        if users:
            text = (context.project.tree.read(PYPROJECT) or b"").decode("utf-8-sig")
            context.choice(
                f"what [{'.'.join(keys)}] says stays as it is", Place(PYPROJECT, line_of(text, keys, min(users)))
            )
        if name == "report" and "fail_under" in context.options:
            values["fail_under"] = wanted["fail_under"]  # asked for: what the user has stands against it
        if values:
            yield TomlTable(keys, tuple(values.items()))
        for key in sorted(_UNITED & wanted.keys() & users.keys()):
            listed, more = users[key], wanted[key]
            for item in more if isinstance(listed, list) and isinstance(more, list) else ():
                if item not in listed or TomlItem(PYPROJECT, keys, key, item).key in own:
                    yield TomlEntry(keys, key, item)


def _package(context: FeatureContext) -> tuple[str, str, bool]:
    """Return the top-level package that holds the application, its folder, and whether it has an `__init__.py`."""
    layout = context.project.layout
    top = layout.package.partition(".")[0]
    root = layout.import_root if layout.import_root not in {"", "."} else ""
    folder = f"{root}/{top}" if root else top
    return top, folder, bool(top) and context.project.tree.exists(f"{folder}/__init__.py")


def _run(context: FeatureContext) -> dict[str, object]:
    top, folder, regular = _package(context)
    run: dict[str, object] = {
        "branch": True,
        "core": "ctrace",
        "parallel": True,
        "patch": ["subprocess"],
        "sigterm": True,
    }
    if not top:
        run |= {
            "source_dirs": [context.project.layout.import_root or "."],
            "omit": [f"{context.project.layout.tests}/*"],
        }
    elif regular:
        run["source_pkgs"] = [top]
    else:
        run["source_dirs"] = [folder]
    manifest, database = context.project.manifest, context.project.database
    declared = () if manifest is None else manifest.requirements
    awaited = database is not None and database.asynchronous  # another feature may declare it for that
    if awaited or any(item.name == "sqlalchemy" and "asyncio" in item.text for item in declared):
        run["concurrency"] = ["thread", "greenlet"]
    return run


def _paths(context: FeatureContext) -> dict[str, object]:
    top, folder, _ = _package(context)
    return {"source": [folder, f"*/site-packages/{top}"]} if top else {}


def _report(context: FeatureContext) -> dict[str, object]:
    top, folder, _ = _package(context)
    report: dict[str, object] = {"show_missing": True, "skip_covered": True, "exclude_also": list(EXCLUDED)}
    if top and _has_namespace_folder(context, folder):
        report["include_namespace_packages"] = True
    if "fail_under" in context.options:
        report["fail_under"] = context.options["fail_under"]
    return report


def _has_namespace_folder(context: FeatureContext, folder: str) -> bool:
    tree = context.project.tree
    folders = {path.rpartition("/")[0] for path in tree.python_files() if path.startswith(f"{folder}/")}
    return any(not tree.exists(f"{item}/__init__.py") for item in folders)


feature = Feature(
    name="coverage",
    group=Group.TESTING,
    summary="branch coverage of the whole package, also in processes that tests start",
    floors={"python": "3.10"},
    options=(Option("fail_under", "lowest percentage that passes; none unless given", int, minimum=0, maximum=100),),
    edits=(
        DependencyFloor("coverage[toml]>=7.11.1", dev=True),
        DependencyFloor("pytest-cov>=7", dev=True, accepts="pytest-cov>=4"),
        *(IgnoreLine(line) for line in (".coverage", ".coverage.*", "htmlcov/", "coverage.xml")),
    ),
    edits_for=tables,
    check=second_home,
    stage=Stage.NET,
    why="what the tests run is known before anything changes",
    notes=("measure: pytest --cov --cov-report=term-missing; pytest alone measures nothing",),
)
