"""How a project writes error bodies."""

from __future__ import annotations

from laterctl.edits.context import FeatureContext
from laterctl.project.bindings import bound_to


def has_api_error(context: FeatureContext) -> bool:
    """Whether `core/errors.py` has the foundation's `error_response` and `APIError`."""
    path = context.path("core/errors.py")
    return all(bound_to(context.project, path, name)[0] is not None for name in ("APIError", "error_response"))
