"""How the user's project writes Python: what its formatter is told, else what its app file does."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Any

from laterctl.project.source import Source, Unreadable
from laterctl.project.statements import nodes
from laterctl.project.tomlfile import load_toml, table
from laterctl.project.tree import Outside, Tree
from laterctl.render import Style

_ENDINGS = {"lf": "\n", "cr-lf": "\r\n"}


def find_style(tree: Tree, app_path: str) -> Style:
    """Measure the style. Configuration of ruff, black and flake8 wins over what the app file shows."""
    source = tree.python(app_path)
    ruff = _ruff(tree)
    formatting = table(ruff, "format")
    indent = "\t" if formatting.get("indent-style") == "tab" else _indent(source)
    return Style(
        quote=_quote_configured(ruff) or _quote_measured(source),
        line_length=_line_length(tree, ruff),
        # Carriage returns alone are read by Python and by few others: new files do without.
        newline=_ENDINGS.get(str(formatting.get("line-ending")), "\r\n" if source.newline == "\r\n" else "\n"),
        indent=indent,
        future=_future(tree, ruff, app_path),
    )


def _ruff(tree: Tree) -> Mapping[str, Any]:
    """Return ruff's configuration: `.ruff.toml`, `ruff.toml` or the table in pyproject.toml, in ruff's order."""
    for name in (".ruff.toml", "ruff.toml"):
        if own := _read(tree, name):
            return _extended(tree, own)
    return _extended(tree, table(_read(tree, "pyproject.toml"), "tool", "ruff"))


def _extended(tree: Tree, own: Mapping[str, Any]) -> Mapping[str, Any]:
    parent = own.get("extend")
    if not isinstance(parent, str):
        return own
    base = _read(tree, parent)
    return {**(table(base, "tool", "ruff") if parent.endswith("pyproject.toml") else base), **own}


def _read(tree: Tree, path: str) -> Mapping[str, Any]:
    """Return a TOML file, `{}` when it is absent or broken: whoever needs its content reports that."""
    try:
        return load_toml(tree, path) or {}
    except (Unreadable, Outside):
        return {}


def _quote_configured(ruff: Mapping[str, Any]) -> str:
    style = table(ruff, "format").get("quote-style")
    if style is None:
        quotes = table(ruff, "lint", "flake8-quotes") or table(ruff, "flake8-quotes")
        style = quotes.get("inline-quotes")
    return {"single": "'", "double": '"'}.get(str(style), "")


def _quote_measured(source: Source) -> str:
    singles = doubles = 0
    for quote in _opening_quotes(source):
        singles += quote == "'"
        doubles += quote == '"'
    return "'" if singles > doubles else '"'


def _opening_quotes(source: Source) -> Iterator[str]:
    """Yield the quote of each one-line string literal."""
    for node in nodes(source.tree):
        if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str)):
            line = source.lines[node.lineno - 1].encode()[node.col_offset :].decode("utf-8", "replace")
            body = line.lstrip("rbfuRBFU")
            if len(line) - len(body) <= 2 and body[:1] in {'"', "'"} and body[:3] not in {'"""', "'''"}:
                yield body[0]


def _line_length(tree: Tree, ruff: Mapping[str, Any]) -> int:
    black = table(_read(tree, "pyproject.toml"), "tool", "black")
    for value in (ruff.get("line-length"), black.get("line-length"), black.get("line_length")):
        if isinstance(value, int):
            return value
    for path in (".flake8", "setup.cfg", "tox.ini"):
        if (length := _flake8(tree, path)) is not None:
            return length
    return 88


def _flake8(tree: Tree, path: str) -> int | None:
    try:
        data = tree.read(path)
    except (Unreadable, Outside):
        return None
    if not data or b"flake8" not in data:
        return None
    import configparser  # most projects need it no more

    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(data.decode("utf-8-sig"))
        for key in ("max-line-length", "max_line_length"):
            if parser.has_option("flake8", key):
                return parser.getint("flake8", key)
    except (configparser.Error, UnicodeDecodeError, ValueError):
        return None
    return None


def _indent(source: Source) -> str:
    for node in nodes(source.tree):
        body = getattr(node, "body", None)
        if isinstance(node, ast.stmt) and isinstance(body, list) and body:
            first, line = body[0], source.lines[body[0].lineno - 1]
            own = source.lines[node.lineno - 1]
            if first.lineno > node.lineno and not own[: node.col_offset].strip():
                return line[: len(line) - len(line.lstrip(" \t"))].removeprefix(own[: node.col_offset]) or "    "
    return "    "


def _future(tree: Tree, ruff: Mapping[str, Any], app_path: str) -> bool:
    """Whether new modules start with `from __future__ import annotations`, as most beside the app file then do."""
    line = "from __future__ import annotations"
    isort = table(ruff, "lint", "isort") or table(ruff, "isort")
    if line in isort.get("required-imports", ()):
        return True
    if _moves_imports(ruff):
        return False
    files_containing = set(tree.files_containing(line.encode()))
    if not files_containing:
        return False
    folder = app_path.split("/", maxsplit=1)[0] if "/" in app_path else ""
    every = [path for path in tree.python_files() if path.startswith(folder) and not path.endswith("__init__.py")]
    return sum(path in files_containing for path in every) * 2 > len(every)


def _moves_imports(ruff: Mapping[str, Any]) -> bool:
    """Whether ruff's TC rules are on.

    Under the future import they ask to import under `TYPE_CHECKING` what only annotations name, and FastAPI and
    pydantic need that at run time: https://docs.astral.sh/ruff/rules/typing-only-third-party-import/
    """
    chosen = {
        str(code)
        for options in (ruff, table(ruff, "lint"))
        for key in ("select", "extend-select")
        for code in options.get(key) or ()
    }
    ignored = {str(code) for options in (ruff, table(ruff, "lint")) for code in options.get("ignore") or ()}
    return not ignored & {"TC", "TCH"} and any(code == "ALL" or code.startswith("TC") for code in chosen)
