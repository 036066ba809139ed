"""Reads records as laterctl 0.1 wrote them."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import Any

_PROVIDES = {"pyjwt": ["jwt"], "python-multipart": ["python_multipart", "multipart"]}
"""The modules of the distributions that 0.1 added, where they are not called like them."""

REQUIRES = {
    "cors": ("settings", "errors"),
    "jwt": ("settings", "lifespan", "errors", "redis"),
    "metrics": ("settings", "routing"),
    "redis": ("settings", "lifespan"),
    "resources": ("settings", "lifespan", "redis"),
    "security-headers": ("settings", "errors"),
}
"""What the features of 0.1 required."""

_EFFECTS = {"include_router": "router", "add_middleware": "middleware"}


def migrated(records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return records of format 1 as ones of today's format.

    Raises:
        KeyError, TypeError, ValueError, SyntaxError: they are none.
    """
    sources = {
        (item["path"], item.get("asname") or item["name"]): item["source"]
        for item in records
        if item["kind"] == "import" and "source" in item
    }
    return [_migrated(item, sources) for item in records]


def _migrated(data: Mapping[str, Any], sources: Mapping[tuple[str, str], str]) -> dict[str, Any]:
    values = dict(data)
    kind = values["kind"]
    if kind == "file":
        values["text"] = "".join(values.pop("lines"))
        if "instead_of" in values:
            values["default_path"] = values.pop("instead_of")
    elif kind == "dependency" and values["name"] in _PROVIDES:
        values["provides"] = _PROVIDES[values["name"]]
    elif kind in {"statement", "entry"}:
        what, name = _effect(kind, values["code"])
        if (values["path"], name) in sources:
            values["does"] = [what, sources[values["path"], name]]
    return values


def _effect(kind: str, code: str) -> tuple[str, str]:
    """Return what a statement or a list entry does to the application, and the local name of what it registers."""
    match ast.parse(code).body:
        case [ast.Expr(ast.Call(args=[ast.Name(id=name)]))] if kind == "entry":
            return "middleware", name
        case [ast.Expr(ast.Call(func=ast.Attribute(attr=method), args=[ast.Name(id=name), *_]))] if method in _EFFECTS:
            return _EFFECTS[method], name
    return "", ""
