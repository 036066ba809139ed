"""The one line of an owned file that says where it came from, as a comment of the file's own language."""

from __future__ import annotations

import re

from laterctl.patterns import pattern
from laterctl.project.tree import Tree

ORIGIN = "From laterctl: "
"""How it begins, behind what makes it a comment."""
ORIGIN_COMMENT = f"# {ORIGIN}".encode()
"""How it begins in most languages, Python among them."""

_HASH, _SLASHES, _DASHES, _MARKUP, _BLOCK = ("# ", ""), ("// ", ""), ("-- ", ""), ("<!-- ", " -->"), ("/* ", " */")
_NONE = ("", "")
_BY_SUFFIX = {
    **dict.fromkeys(
        ("", "py", "pyi", "sh", "bash", "yml", "yaml", "toml", "cfg", "conf", "env", "tf", "hcl", "mk"), _HASH
    ),
    **dict.fromkeys(("ini", "properties", "graphql", "dockerfile", "dockerignore", "gitignore"), _HASH),
    **dict.fromkeys(("js", "mjs", "cjs", "ts", "jsx", "tsx", "jsonc", "go", "proto", "scss", "rs"), _SLASHES),
    **dict.fromkeys(("sql", "lua"), _DASHES),
    **dict.fromkeys(("html", "htm", "xml", "svg", "md"), _MARKUP),
    **dict.fromkeys(("css",), _BLOCK),
    "mako": ("## ", ""),
}
_FIRST = pattern(r"#!|# *(?:syntax|escape|check) *=|<\?xml", re.IGNORECASE)
"""What has to stay the first line: an interpreter, a directive of Docker, an XML declaration."""


def signed(path: str, text: str, feature: str) -> str:
    """Return the text of a new file with the line that says that it came from `feature`; without, in JSON and such."""
    before, after = _style(path)
    if not before:
        return text
    line = f"{before}{ORIGIN}{feature}.{after}\n"
    first, newline, rest = text.partition("\n")
    return f"{first}{newline}{line}{rest}" if newline and _FIRST.match(first) else f"{line}{text}"


def feature_of(path: str, data: bytes) -> str:
    """Return the name of the feature that a file says it came from, `""` when it says none."""
    found = _line_of(path, data[:2000].decode("utf-8", "replace"))
    return found[1] if found else ""


def is_signed(tree: Tree, path: str) -> bool:
    """Whether a file says that it came from a feature, whatever the ledger knows. Raises what `Tree.read` does."""
    return bool(feature_of(path, tree.read(path) or b""))


def unsigned(path: str, text: str) -> str:
    """Return the text of a file without that line."""
    found = _line_of(path, text)
    if found is None:
        return text
    lines = text.split("\n")
    return "\n".join([*lines[: found[0]], *lines[found[0] + 1 :]])


def _style(path: str) -> tuple[str, str]:
    name = path.rpartition("/")[2].lower()
    suffix = name.rpartition(".")[2] if "." in name else ""
    return _BY_SUFFIX.get(suffix, _HASH if name.startswith("dockerfile") else _NONE)


def _line_of(path: str, text: str) -> tuple[int, str] | None:
    before, after = _style(path)
    lines = text.removeprefix("\ufeff").split("\n", 2)[:2]
    for number, line in enumerate(lines):
        start = f"{before}{ORIGIN}"
        if before and line.startswith(start):
            return number, line.rstrip("\r").removesuffix(after).removeprefix(start).removesuffix(".")
        if not _FIRST.match(line):
            return None
    return None
