"""What features need to have settings: checks of their values, and a settings module for a project that has none."""

from collections.abc import Iterator

from laterctl.dialects.settings.base import FROM_OS
from laterctl.edits.context import Edit, FeatureContext
from laterctl.edits.file import File
from laterctl.edits.manifest import DependencyFloor
from laterctl.feature import Feature


def module(context: FeatureContext) -> Iterator[Edit]:
    """Yield the base of checked settings, after a module where nothing reads settings so far.

    A second system is never put beside a first.
    Where discovery could not decide, nothing is created either: the features that have settings refuse.
    """
    settings = context.project.settings
    if settings is not None and settings.environment == FROM_OS:
        context.choice("no setting names the environment: it is production where ENVIRONMENT says so", settings.place)
    missing = context.project.settings is None and context.project.why_not("settings") is None
    if missing or context.is_from_us(context.path("core/settings.py")):
        yield DependencyFloor("pydantic-settings>=2.6")
        yield File("core/settings.py", "settings/core/settings.py.jinja", open=True)
    yield File(
        "core/feature_settings.py", "settings/core/feature_settings.py.jinja", open=True
    )  # which reads that module


feature = Feature(
    name="settings",
    hidden=True,
    summary="checked settings, and a settings module where there is none",
    floors={"python": "3.10", "pydantic": "2"},
    edits_for=module,
)
