"""How a project writes error bodies."""

from __future__ import annotations

from laterctl.edits.relative import bound_to
from laterctl.edits.site import Site


def has_api_error(site: Site) -> bool:
    """Whether `core/errors.py` has the foundation's `error_response` and `APIError`."""
    path = site.path("core/errors.py")
    return all(bound_to(site.project, path, name)[0] is not None for name in ("APIError", "error_response"))
