"""Owned files: rendered from a template in the project's style, compared by content, rendered only when they change."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from msgspec import Struct, field
from msgspec.structs import replace

from laterctl.dialects.providers import providers_of
from laterctl.dialects.settings import settings_of
from laterctl.edits import provider, setting
from laterctl.edits.context import Edit, FeatureContext, layout_of
from laterctl.edits.image import ImageFacts
from laterctl.project import origin
from laterctl.project.places import Place
from laterctl.refusal import Refusal, Refused
from laterctl.render import Context, Expr, Import
from laterctl.targets.base import State
from laterctl.targets.document import inspect
from laterctl.targets.owned_file import (
    CHOOSE_FOLDERS,
    OwnedFile,
    alternative,
)
from laterctl.targets.resolved import Resolved

_FLAT = "('*.py', 'models/**/*.py')"
"""Where the modules of a project without a package are, among all the rest in its folder."""


class File(Struct, frozen=True):
    """A file `path` below the application package, below `tests/` or, with `root`, below the project's root.

    `template` is a path below the template folder or a function that chooses one; a file need not be Python. `open`
    marks a file that other edits put targets into. `when` leaves the file out of projects it does not fit. `given` are
    words that the template has beside the feature's options, as further options.
    """

    path: str
    template: str | Callable[[FeatureContext], str]
    open: bool = False
    when: Callable[[FeatureContext], bool] | None = None
    root: bool = False
    given: Mapping[str, str] = field(default_factory=dict)

    def resolve(self, context: FeatureContext) -> Iterator[Resolved]:
        if self.when is not None and not self.when(context):
            return
        path = self.path if self.root else context.path(self.path)
        if path.endswith(".py"):
            _check_shadows(context, path, self.root)
            if not self.root:
                yield from packages(context, path)
        default_path = self.path if self.path in context.relocated else ""
        target = OwnedFile(path, "", self._template(context), self.open, default_path)
        yield Resolved(target, complete=lambda: rendered(target, self._worded(context)))

    def _worded(self, context: FeatureContext) -> FeatureContext:
        return replace(context, options={**context.options, **self.given}) if self.given else context

    def _template(self, context: FeatureContext) -> str:
        return self.template if isinstance(self.template, str) else self.template(context)

    def is_blocked(self, context: FeatureContext) -> bool:
        """Whether a file or package of the user's stands at the usual place, and nothing at the other one."""
        if self.root:
            return False  # tools look for it under this name alone
        usual, other = context.path(self.path), context.path(alternative(self.path))
        tree = context.project.tree
        if (self.when is not None and not self.when(context)) or context.own_file(usual):
            return False
        data, there = tree.read(usual), tree.read(other)
        shadowed = tree.read(f"{usual.removesuffix('.py')}/__init__.py") is not None
        if (data is None and not shadowed) or (there is not None and not origin.is_signed(tree, other)):
            return False
        if data is None or origin.is_signed(tree, usual):
            return data is None
        made = rendered(OwnedFile(usual, "", self._template(context), self.open), self._worded(context))
        return all(inspect(item, data).state is not State.PRESENT for item in (made, *made.alternatives()))


def files(edits: Iterable[Edit]) -> list[File]:
    """Return the files among edits, those of dropped tests too."""
    found = [getattr(edit, "file", edit) for edit in edits]
    return [item for item in found if isinstance(item, File)]


def _check_shadows(context: FeatureContext, path: str, is_apart: bool) -> None:
    """Python prefers a package to a module of the same name, so that one of the two could not be imported any more.

    A file that `is_apart` is not in a package: its folders hide nothing.

    Raises:
        Refused: a folder on the way to `path` is called like a module of the user's, or the other way round.
    """
    tree, layout = context.project.tree, context.project.layout
    package = path.removesuffix(".py")
    shadows = [package] if package != path and tree.read(f"{package}/__init__.py") is not None else []
    folder = "" if is_apart else path.rpartition("/")[0]
    while folder and folder != layout.folder:
        if tree.read(f"{folder}.py") is not None:
            shadows.append(folder)
        folder = folder.rpartition("/")[0]
    if shadows:
        there = f"{shadows[-1]}.py" if tree.read(f"{shadows[-1]}.py") is not None else f"{shadows[-1]}/__init__.py"
        raise Refused(
            Refusal(
                "module-in-the-way",
                f"{shadows[-1]}.py and {shadows[-1]}/ would be one name to Python, which never imports the module",
                Place(there, 1),
                expected="no module or package of that name",
                remedy=CHOOSE_FOLDERS,
                feature=context.feature,
            )
        )


def packages(context: FeatureContext, path: str) -> Iterator[Resolved]:
    """Yield the `__init__.py` files that the folders of a new module need: those of folders that do not exist."""
    layout = context.project.layout
    folder = path.rpartition("/")[0]
    if folder == layout.tests or folder.startswith(f"{layout.tests}/"):
        # As a package, pytest finds the project's modules from it without being configured.
        init = f"{layout.tests}/__init__.py"
        if context.own_file(init) or not context.project.tree.is_dir(layout.tests):
            yield Resolved(OwnedFile(init))
        return
    while folder and folder != layout.folder:
        init = f"{folder}/__init__.py"
        if context.own_file(init) or not context.project.tree.is_dir(folder):
            yield Resolved(OwnedFile(init))
        folder = folder.rpartition("/")[0]


def rendered(target: OwnedFile, context: FeatureContext) -> OwnedFile:
    """Return an owned file with its content, rendered for this project."""
    from laterctl.render import render

    if not target.template:
        return target
    text = render(target.template, template_context(context))
    return replace(target, text=origin.signed(target.path, text, context.feature))


def template_context(context: FeatureContext) -> Context:
    """Return what templates may ask for in this project."""
    project = context.project
    layout = layout_of(project)
    app = project.app
    reference, _, attribute = (app.reference if app else "main:app").partition(":")
    return Context(
        provided=lambda name: provider.read(context, name),
        kept=lambda name: provider.keep(context, name),
        engine=lambda: engine(context),
        container=project.container.instance if project.container else None,
        metadata=lambda: metadata(context),
        current_user=lambda: current_user(context),
        session=lambda: session(context),
        module=context.module,
        variable=lambda name: setting.variable(name, context),
        environment=settings_of(project).environment,
        setting_by_name=settings_of(project).read(),
        variable_by_name=settings_of(project).variable_by_name(),
        style=layout.style,
        first_party=layout.first_party,
        values={
            "app_module": reference,
            "app_name": attribute.partition(".")[0],
            "app_call": f"{attribute}()" if app and app.factory else attribute,
            "served": f"'{reference}:{attribute}'" + (", '--factory'" if app and app.factory else ""),
            "http_client": http_client(context),
            "import_root": layout.import_root or ".",
            "modules": f"('{layout.package.replace('.', '/')}/**/*.py',)" if layout.package else _FLAT,
            "table_modules": lambda: f"{{{str(sorted(words_of_tables(context)))[1:-1]}}}",
            "image": ImageFacts(context),
            "options": dict(context.options),
        },
    )


def engine(context: FeatureContext) -> Expr | None:
    """Return the expression that gives the database's engine, `None` where a new module cannot import it.

    What stands in the file of the application is no more than there: that file imports the new one.
    """
    database, app = context.project.database, context.project.app
    if database is None or (app is not None and database.place.path == app.path):
        return None
    return database.read(providers_of(context.project))


def metadata(context: FeatureContext) -> Expr | None:
    """Return the expression of a list with what tables belong to, `None` where there is no database."""
    database = context.project.database
    return database.metadata() if database is not None and database.models else None


def words_of_tables(context: FeatureContext) -> frozenset[str]:
    """Return words of which one is in the dotted name of each module that has tables."""
    database = context.project.database
    modules = database.tables if database is not None else ()
    others = {name.rpartition(".")[2] for name in modules if "models" not in name.split(".")}
    return frozenset({"models", *others})


CALLERS = ("get_current_active_user", "get_current_user")
"""What projects call the dependency that returns the caller, the strictest first."""


def current_user(context: FeatureContext) -> Expr | None:
    """Return the project's own dependency that returns the caller, `None` where a new module cannot import it."""
    from laterctl.project.signs import definitions

    project = context.project
    taken = project.app.path if project.app is not None else ""
    for name in CALLERS:
        for path in (place.path for place in definitions(project, (name,))):
            top = (getattr(node, "name", "") for node in project.tree.python(path).tree.body)
            if path != taken and name in top and not origin.is_signed(project.tree, path):
                return Expr(name, (Import(project.module_of(path), name),))
    return None


def session(context: FeatureContext) -> Expr | None:
    """Return the project's own dependency that gives sessions, `None` where a new module cannot import it."""
    database, app = context.project.database, context.project.app
    for item in database.sessions if database is not None else ():
        importable = item.name.isidentifier() and (app is None or item.place.path != app.path)
        if item.kind == "dependency" and importable:
            return Expr(item.name, (Import(context.project.module_of(item.place.path), item.name),))
    return None


def http_client(context: FeatureContext) -> str:
    """Return the HTTP client library of the project: `httpx` when it is declared, else `httpx2`."""
    manifest = context.project.manifest
    names = {item.name for item in (*manifest.requirements, *manifest.brought)} if manifest else set()
    return "httpx" if "httpx" in names and "httpx2" not in names else "httpx2"
