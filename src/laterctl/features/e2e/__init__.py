"""Tests that ask the application over HTTP, in a process of its own."""

from collections.abc import Iterator

from laterctl.dialects.settings import settings_of
from laterctl.edits.beside import Beside
from laterctl.edits.context import Edit, FeatureContext
from laterctl.edits.dropped_test import DroppedTest
from laterctl.edits.file import File
from laterctl.edits.foundation import has_user_service
from laterctl.edits.manifest import DependencyFloor
from laterctl.edits.open_file import Listed
from laterctl.feature import Feature, Group, Stage

COMMANDS, SETTINGS = "tests.e2e.conftest:COMMANDS", "tests.e2e.conftest:SETTINGS"


def journeys(context: FeatureContext) -> Iterator[Edit]:
    """Yield the tests: what every application can be asked, and what comes with other features."""
    if not context.tests:
        return
    yield File("tests/e2e/__init__.py", "e2e/tests/package.py.jinja")
    yield File("tests/e2e/conftest.py", "e2e/tests/conftest.py.jinja", open=True)
    yield DroppedTest("e2e/test_journey.py", "e2e/tests/test_journey.py.jinja")
    variable = settings_of(context.project).environment_variable
    form = "protocol"
    if has_user_service(context):
        form = "foundation"
        yield DroppedTest("e2e/test_account.py", "e2e/tests/test_account.py.jinja")
        yield Listed(f'"{variable("database_url")}=sqlite+aiosqlite:///{{folder}}/db"', into=SETTINGS)
    sign_in = DroppedTest("e2e/test_sign_in.py", f"e2e/tests/test_sign_in.{form}.py.jinja")
    yield Beside("jwt", (Listed(f'"{variable("jwt_keys")}=e2e:{{key}}"', into=SETTINGS), sign_in))
    yield Beside("health", (DroppedTest("e2e/test_probes.py", "e2e/tests/test_probes.py.jinja"),))
    yield Beside("migrations", (Listed('"alembic upgrade head"', into=COMMANDS),))
    context.notice(f"run them: pytest {context.path('tests/e2e')}; a run of all tests leaves them out")


feature = Feature(
    name="e2e",
    group=Group.TESTING,
    summary="tests that ask the application over HTTP, in a process of its own",
    floors={"python": "3.10", "fastapi": "0.112.2"},
    edits=(DependencyFloor("uvicorn>=0.22", dev=True),),
    edits_for=journeys,
    check=FeatureContext.not_importable,
    stage=Stage.NET,
    after=("coverage",),
    why="what callers see stays as it is while all else changes, and that is asked of a running application",
    notes=("the application has the environment of the tests: name a database of its own there",),
)
