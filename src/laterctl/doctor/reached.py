"""Which code runs in an application: what its file imports, directly or through others, and what is used there.

Everything else is a script, a tool or left over: what it does is no business of the running application's.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable

from laterctl.doctor.code import Codebase
from laterctl.project.imported import text_of
from laterctl.project.places import Place, is_test_or_docs
from laterctl.project.statements import Scope, is_main_guard


def is_reached(codebase: Codebase, place: Place) -> bool:
    """Whether what stands at a place runs in an application; true where there is none, but for `__main__` blocks.

    A function or a class that nothing in the project mentions is not reached, nor are tests, documentation and examples.
    """
    code = codebase.readable(place.path) if place.path.endswith(".py") else None
    if code is None:
        return True
    if is_test_or_docs(place.path):
        return False
    files = codebase.project.running
    if not codebase.project.runs(place.path):
        return False
    statement = next((node for node in code.tree.body if place.line in _lines(node)), None)
    if statement is None or files is None or not isinstance(statement, Scope) or statement.decorator_list:
        return statement is None or not is_main_guard(statement)
    builders = {app.scope.partition(".")[0] for app in codebase.project.apps}
    return statement.name in builders or _is_mentioned(codebase, place.path, statement)


def _lines(node: ast.stmt) -> range:
    decorators: Iterable[ast.expr] = getattr(node, "decorator_list", ())
    return range(min([node.lineno, *(item.lineno for item in decorators)]), (node.end_lineno or node.lineno) + 1)


def _is_mentioned(codebase: Codebase, path: str, definition: Scope) -> bool:
    """Whether a name of a module's top level stands anywhere but in its own definition and in tests."""
    word = re.compile(rf"\b{definition.name}\b")
    for file in codebase.project.tree.files_containing(definition.name.encode()):
        text = text_of(codebase.project, file)
        if file == path:
            own = _lines(definition)
            text = "\n".join(line for number, line in enumerate(text.splitlines(), 1) if number not in own)
        if not is_test_or_docs(file) and word.search(text):
            return True
    return False
