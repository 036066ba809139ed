"""Finds wiring of ours that a person pasted by hand, wherever in the project it stands."""

from __future__ import annotations

import ast
from collections.abc import Mapping

from laterctl.edits.context import FeatureContext
from laterctl.project.names import imports_of, resolve
from laterctl.project.places import is_test_or_docs
from laterctl.project.source import Unreadable
from laterctl.project.statements import StatementRef
from laterctl.project.tree import Outside
from laterctl.targets.python_text import Text
from laterctl.targets.statement import Statement


def pasted(context: FeatureContext, source: str, method: str) -> Statement | None:
    """Return the statement of the user's that hands `source` (`core.cors:CorsMiddleware`) to `method` of the app.

    It may stand in any production file, and name the thing in any way: names are resolved, statements of ours are left
    out. What is found is adopted, so that nothing is registered twice.
    """
    place, _, name = source.partition(":")
    dotted = f"{context.module(place)}.{name}"
    words = (place.rpartition(".")[2], name, method)
    for path in context.project.tree.files_containing(*(word.encode() for word in words)):
        if is_test_or_docs(path) or context.own_file(path):
            continue
        try:
            text = Text(context.project.tree.python(path).text)
        except (SyntaxError, Unreadable, Outside):
            continue
        own = context.spots(path)
        # By its own imports alone: the module may not exist yet.
        imports = imports_of(text.tree, context.project.module_of(path), path.endswith("__init__.py"))
        for item in text.statements:
            if item.position not in own and _registers(item, imports, dotted, method):
                return Statement(path, item.qualname, text.code(item))
    return None


def _registers(item: StatementRef, imports: Mapping[str, str], dotted: str, method: str) -> bool:
    call = item.node.value if isinstance(item.node, ast.Expr) else None
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute) or call.func.attr != method:
        return False
    return any(resolve(argument, imports) == dotted for argument in call.args)
