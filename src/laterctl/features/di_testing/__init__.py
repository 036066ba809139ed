"""Fixtures that replace what the application's container and its dependencies give, and put it back."""

from laterctl.edits.context import FeatureContext
from laterctl.edits.dropped_test import DroppedTest, has_importable_app
from laterctl.edits.fixture import Fixture
from laterctl.feature import Feature, Group, Stage
from laterctl.refusal import Refusal


def has_container(context: FeatureContext) -> Refusal | None:
    """Refuse where tests cannot import the instance of a dependency-injector container."""
    container, app = context.project.container, context.project.app
    if container is None:
        undecided = context.undecided("container")
        if undecided.place is not None:
            return undecided
        if app is None:
            return context.undecided("app")
        remedy = undecided.remedy or "override dependencies of routes: app.dependency_overrides"
        return Refusal(undecided.code, undecided.message, app.place, remedy=remedy)
    if container.instance is None:
        remedy = f"make the instance of {container.class_name or container.title} at the top of a module"
        message = f"tests cannot import the container: {container.reason}"
        return Refusal("no-container", message, container.place, remedy=remedy)
    return None


def has_shared_app(context: FeatureContext) -> bool:
    """Whether tests and what they test have one application, which a module holds."""
    app = context.project.app
    return app is not None and not app.factory and has_importable_app(context)


feature = Feature(
    name="di-testing",
    group=Group.INJECTION,
    summary="fixtures that override providers and dependencies until a test ends",
    floors={"python": "3.10"},
    edits=(
        Fixture("di-testing/conftest/providers.py.jinja"),
        Fixture("di-testing/conftest/dependencies.py.jinja", when=has_shared_app),
        DroppedTest("test_overrides.py", "di-testing/tests/test_overrides.py.jinja", client=False),
    ),
    check=has_container,
    stage=Stage.NET,
    after=("coverage",),
    why="tests can replace what the application is given, before it is given more",
    notes=("in a test: override_providers(users=FakeUsers()); dependency_overrides[current_user] = lambda: fake",),
)
