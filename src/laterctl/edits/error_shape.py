"""How a project writes error bodies."""

from __future__ import annotations

import ast

from laterctl.edits.context import FeatureContext
from laterctl.project.bindings import bound_to
from laterctl.project.origin import is_signed
from laterctl.project.places import is_test_or_docs
from laterctl.project.source import Unreadable

PROBLEM = "application/problem+json"


def has_api_error(context: FeatureContext) -> bool:
    """Whether `core/errors.py` has the foundation's `error_response` and `APIError`."""
    path = context.path("core/errors.py")
    return all(bound_to(context.project, path, name)[0] is not None for name in ("APIError", "error_response"))


def sends_problems(context: FeatureContext) -> bool:
    """Whether code of the user's names the media type of problem details, RFC 9457."""
    tree = context.project.tree
    for path in tree.files_containing(PROBLEM.encode()):
        if is_test_or_docs(path) or is_signed(tree, path) or not path.endswith(".py"):
            continue
        try:
            module = tree.python(path).tree
        except Unreadable:
            continue
        if any(isinstance(node, ast.Constant) and node.value == PROBLEM for node in ast.walk(module)):
            return True
    return False
