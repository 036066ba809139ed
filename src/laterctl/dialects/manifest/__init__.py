"""Manifests: how a requirement is written where the project declares it."""

from __future__ import annotations

from laterctl.project.facts import Manifest, Requirement

_TABLES = frozenset({"poetry"})
"""Forms of a home that are tables of name = constraint."""


def declared_range(manifest: Manifest, item: Requirement) -> str:
    """Return a declared requirement as its home has it: PEP 508, or of a table the constraint alone."""
    if manifest.runtime.form not in _TABLES or item.place.path != manifest.runtime.path:
        return item.text
    return item.text.removeprefix(item.name).strip() or "*"
