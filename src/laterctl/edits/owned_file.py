"""Owned files: rendered from a template in the project's style, compared by content, rendered only when they change."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from msgspec import Struct
from msgspec.structs import replace

from laterctl.codemods.statements import same_code, split_lines
from laterctl.edits import provider, setting
from laterctl.edits.pieces import Inspection, OwnedFile, Record, State
from laterctl.edits.site import Edit, Site, Wanted, layout_of
from laterctl.outcome import Refusal, Refused
from laterctl.project.places import ALTERNATIVE, Place
from laterctl.render import Context, Expr, Import

ORIGIN = "From laterctl: "
"""How the one line begins that says where an owned file came from."""

ORIGIN_COMMENT = f"# {ORIGIN}".encode()

CHOOSE_FOLDERS = (
    'choose other folders: core = "package.module", api = "package.module" or tests = "folder" in [tool.laterctl]'
)
"""The remedy where the user has something of the same name."""


class File(Struct, frozen=True):
    """A file `path` below the application package, or below `tests/`, from `template`.

    `template` is a path below the template folder or a function that chooses one. `open` marks a file that other
    edits put pieces into. `when` leaves the file out of projects it does not fit.
    """

    path: str
    template: str | Callable[[Site], str]
    open: bool = False
    when: Callable[[Site], bool] | None = None

    def resolve(self, site: Site) -> Iterator[Wanted]:
        if self.when is not None and not self.when(site):
            return
        path = site.path(self.path)
        _check_shadows(site, path)
        yield from _packages(site, path)
        instead_of = self.path if self.path in site.elsewhere else ""
        yield Wanted(OwnedFile(path, (), self._template(site), self.open, instead_of))

    def _template(self, site: Site) -> str:
        return self.template if isinstance(self.template, str) else self.template(site)

    def is_blocked(self, site: Site) -> bool:
        """Whether a file or package of the user's stands at the usual place, and nothing at the other one."""
        usual, other = site.path(self.path), site.path(alternative(self.path))
        tree = site.project.tree
        if (self.when is not None and not self.when(site)) or site.own_file(usual):
            return False
        data, there = tree.read(usual), tree.read(other)
        shadowed = tree.read(f"{usual.removesuffix('.py')}/__init__.py") is not None
        if (data is None and not shadowed) or (there is not None and not there.startswith(ORIGIN_COMMENT)):
            return False
        if data is None or data.startswith(ORIGIN_COMMENT):
            return data is None
        made = rendered(OwnedFile(usual, (), self._template(site), self.open), site)
        return all(inspect(item, data, []).state is not State.PRESENT for item in (made, unsigned(made)))


def files(edits: Iterable[Edit]) -> list[File]:
    """Return the files among edits, those of dropped tests too."""
    found = [getattr(edit, "file", edit) for edit in edits]
    return [item for item in found if isinstance(item, File)]


def alternative(place: str) -> str:
    """Return the other place of an owned file: `core/cors.py` is `core/app_cors.py` where the user has the former."""
    folder, slash, name = place.rpartition("/")
    if name.startswith("test_"):
        return f"{folder}{slash}test_{ALTERNATIVE}{name.removeprefix('test_')}"
    return f"{folder}{slash}{ALTERNATIVE}{name}"


def _check_shadows(site: Site, path: str) -> None:
    """Python prefers a package to a module of the same name, so that one of the two could not be imported any more.

    Raises:
        Refused: a folder on the way to `path` is called like a module of the user's, or the other way round.
    """
    tree, layout = site.project.tree, site.project.layout
    package = path.removesuffix(".py")
    shadows = [package] if package != path and tree.read(f"{package}/__init__.py") is not None else []
    folder = path.rpartition("/")[0]
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
                feature=site.feature,
            )
        )


def _packages(site: Site, path: str) -> Iterator[Wanted]:
    """Yield the `__init__.py` files that the folders of a new module need: those of folders that do not exist."""
    layout = site.project.layout
    folder = path.rpartition("/")[0]
    if folder == layout.tests or folder.startswith(f"{layout.tests}/"):
        # As a package, pytest finds the project's modules from it without being configured.
        init = f"{layout.tests}/__init__.py"
        if site.own_file(init) or not site.project.tree.is_dir(layout.tests):
            yield Wanted(OwnedFile(init, (), "", open=False))
        return
    while folder and folder != layout.folder:
        init = f"{folder}/__init__.py"
        if site.own_file(init) or not site.project.tree.is_dir(folder):
            yield Wanted(OwnedFile(init, (), "", open=False))
        folder = folder.rpartition("/")[0]


def rendered(piece: OwnedFile, site: Site) -> OwnedFile:
    """Return an owned file with its content, rendered for this project."""
    from laterctl.render import render

    if not piece.template:
        return piece
    text = render(piece.template, context(site), origin=f"{ORIGIN}{site.feature}.")
    return replace(piece, lines=tuple(split_lines(text)))


def unsigned(piece: OwnedFile) -> OwnedFile:
    """Return an owned file without the line that says where it came from: as `laterctl new` writes it."""
    lines = piece.lines[1:] if piece.lines and piece.lines[0].startswith(f"# {ORIGIN}") else piece.lines
    return replace(piece, lines=lines)


def context(site: Site) -> Context:
    """Return what templates may ask for in this project."""
    project = site.project
    layout = layout_of(project)
    app = project.app
    reference, _, attribute = (app.reference if app else "main:app").partition(":")
    return Context(
        setting=lambda name: setting.read(site.settings[name], site),
        provided=lambda name: provider.read(site, name),
        module=site.module,
        environment=project.settings.environment
        if project.settings
        else Expr("os.environ.get('ENVIRONMENT', '')", (Import("os"),)),
        style=layout.style,
        first_party=layout.first_party,
        values={
            "app_module": reference,
            "app_name": attribute,
            "app_call": f"{attribute}()" if app and app.factory else attribute,
            "http_client": http_client(site),
            "options": dict(site.options),
        },
    )


def http_client(site: Site) -> str:
    """Return the HTTP client library of the project: `httpx` when it is declared, else `httpx2`."""
    manifest = site.project.manifest
    names = {item.name for item in manifest.requirements} if manifest else set()
    return "httpx" if "httpx" in names and "httpx2" not in names else "httpx2"


def inspect(piece: OwnedFile, data: bytes | None, records: list[Record]) -> Inspection:
    """Compare an owned file with what it was created with.

    Args:
        piece: with its content.
        data: the file as it is.
        records: of our pieces that were put into the file; their statements do not count.
    """
    if data is None:
        return Inspection(State.ABSENT)
    text = data.decode("utf-8", errors="replace").removeprefix("\ufeff")
    plain = text.replace("\r\n", "\n")
    if plain == piece.text.replace("\r\n", "\n"):
        return Inspection(State.PRESENT, 1)
    if piece.path.endswith(".py"):
        try:
            current = _without(plain, records) if records else plain
        except SyntaxError as error:
            return Inspection(State.ALTERED, error.lineno or 1, "syntax error")
        if same_code(current, piece.text.replace("\r\n", "\n")):
            return Inspection(State.PRESENT, 1, "reformatted")
    return Inspection(State.ALTERED, _first_difference(plain, piece.text), "edited")


def _without(text: str, records: list[Record]) -> str:
    """Cut our own whole statements out of a Python text."""
    from laterctl.edits.python_text import Text, own_spots

    document = Text(text)
    spots = own_spots(document, records)
    gone: set[int] = set()
    for item in document.statements:
        if item.spot in spots:
            gone.update(range(item.node.lineno, (item.node.end_lineno or item.node.lineno) + 1))
    return "".join(line for number, line in enumerate(document.lines, 1) if number not in gone)


def _first_difference(left: str, right: str) -> int:
    for number, (one, other) in enumerate(zip(left.split("\n"), right.split("\n"), strict=False), 1):
        if one != other:
            return number
    return 1


def taken(piece: OwnedFile, site: Site) -> Refused:
    """Return the refusal for a file that stands where an owned file would go: nothing is ever overwritten."""
    return Refused(
        Refusal(
            "file-exists",
            f"{piece.path} exists already and is not what this feature would write",
            Place(piece.path, 1),
            expected=f"no file there, or none at {alternative(piece.path)} either",
            snippet=piece.text,
            remedy=f"move it away, or {CHOOSE_FOLDERS}",
            feature=site.feature,
        )
    )
