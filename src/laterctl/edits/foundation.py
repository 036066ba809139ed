"""What features ask of a project that `laterctl new` wrote."""

from __future__ import annotations

from laterctl.edits.context import FeatureContext


def has_user_service(context: FeatureContext) -> bool:
    """Whether the project has the foundation's `UserService` and a container that provides it."""
    from laterctl.dialects.providers import providers_of
    from laterctl.project.bindings import bound_to

    provided = providers_of(context.project).has("user_service")
    return provided and bound_to(context.project, context.path("services/user.py"), "UserService")[0] is not None
