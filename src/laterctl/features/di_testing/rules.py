"""Doctor rules of `di-testing`: overrides that reach further than the test that made them, or not far enough.

They look at tests. What overrides do was seen with dependency-injector 4.49; its pages are
https://python-dependency-injector.ets-labs.org/providers/overriding.html and
https://python-dependency-injector.ets-labs.org/providers/singleton.html.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from msgspec import Struct

from laterctl.doctor.code import Code, Codebase, Visit, argument_of, constant, once
from laterctl.doctor.injection import PROVIDERS, SINGLETONS, injected_into, injection
from laterctl.doctor.rule import MAIN, Found, Rule, Severity
from laterctl.project.names import Own
from laterctl.project.places import Place, is_test_or_docs
from laterctl.project.statements import Function, assigned_value, bound_targets, nodes

_TEST = re.compile(r"(.*/)?(conftest|test_[^/]*|[^/]*_test)\.py")
_FIXTURES = frozenset({"pytest.fixture", "pytest_asyncio.fixture"})
_MOCKS = frozenset(f"unittest.mock.{name}" for name in ("Mock", "MagicMock", "AsyncMock", "NonCallableMock"))
_UNDONE = (b"reset_override", b"reset_last_overriding")
_RESET = (b"reset_singletons", b".reset(", b".full_reset(")
_CLEARED = re.compile(
    rb"dependency_overrides\s*(\.\s*(clear|pop)\b|=[^=])|\bdel\s[^\n]*dependency_overrides"
    rb"|(patch|set\w+)[^\n]*dependency_overrides|[\"']dependency_overrides[\"']"
)
_CONFIGURED = ("pyproject.toml", "pytest.ini", ".pytest.ini", "tox.ini", "setup.cfg")
_LOOP_SCOPE = re.compile(r"[ \t]*asyncio_default_fixture_loop_scope\s*=\s*[\"']?(session|package|module)\b")


class Override(Struct, frozen=True):
    """A call in a test, or in what prepares one, that overrides providers of a container that all tests share."""

    call: Visit[ast.Call]
    names: tuple[str, ...]


@once
def tests(codebase: Codebase) -> list[Code]:
    """Return the files with tests and fixtures that override or reset something."""
    paths = codebase.project.tree.files_containing_any((b"override", b"reset()"))
    codes = (codebase.readable(path) for path in paths if _TEST.fullmatch(path))
    return [code for code in codes if code is not None]


@once
def overrides(codebase: Codebase) -> list[Override]:
    """Return where tests override providers of a container that a module holds."""
    known = injection(codebase)
    found = []
    for call in (call for code in tests(codebase) if known.containers for call in code.calls):
        if call.method in {"override", "override_providers"} and _is_per_test(call):
            assert isinstance(call.node.func, ast.Attribute)
            own = known.names.lookup(call.node.func.value, call.code.path, call.spot.scope)
            if isinstance(own, Own) and (names := _overridden(codebase, call, own)):
                found.append(Override(call, names))
    return found


def never_undone(codebase: Codebase) -> Iterator[Found]:
    """Look for overrides whose result is thrown away, where nothing takes them back."""
    for item in overrides(codebase):
        call = item.call
        if isinstance(call.spot.node, ast.Expr) and call.spot.node.value is call.node and not _says(call.code, _UNDONE):
            reason = f"{item.names[0]} stays overridden: every test that runs later gets the same"
            yield Found(Place(call.code.path, call.line), reason)


def kept_by_singletons(codebase: Codebase) -> Iterator[Found]:
    """Look for overrides of what a singleton depends on, where no singleton is ever built anew."""
    dependents = _dependents(codebase) if overrides(codebase) else {}
    for item in overrides(codebase):
        others = {name for other in overrides(codebase) if other.call.code is item.call.code for name in other.names}
        keepers = sorted({keeper for name in item.names for keeper in dependents.get(name, ())} - others)
        if keepers and not _says(item.call.code, _RESET):
            reason = f"{keepers[0]} is a singleton: built before, it keeps what it has; built now, it keeps the fake"
            yield Found(Place(item.call.code.path, item.call.line), reason)


def another_container(codebase: Codebase) -> Iterator[Found]:
    """Look for tests of the application that override providers of a container which is not the application's."""
    known = injection(codebase)
    if not known.whole or "wiring_config" in known.bound:
        return  # making an instance may wire it, and it is the application's from then on
    for code in tests(codebase):
        for function in code.functions:
            made = {
                target.id: visit
                for visit in code.statements
                if visit.spot.scope[-1:] == (function.node,)
                and isinstance(value := assigned_value(visit.node), ast.Call)
                and known.names.lookup(value.func, code.path, visit.spot.scope) in known.containers
                for target in bound_targets(visit.node)
                if isinstance(target, ast.Name)
            }
            used = _overridden_alone(function.node, set(made)) if made and _asks_the_application(function) else set()
            for name in sorted(used):
                yield Found(Place(code.path, made[name].line), f"the application never sees what {name} overrides")


def swallowed(codebase: Codebase) -> Iterator[Found]:
    """Look for blocks that what a singleton's `reset` returns is the context of."""
    known = injection(codebase)
    for code in tests(codebase) if known.containers else ():
        for visit in code.visits(ast.With, ast.AsyncWith):
            for item in visit.node.items:
                call = Visit(item.context_expr, visit.spot, code)
                if call.method in {"reset", "full_reset"} and call.receiver.rpartition(".")[2] in _singletons(codebase):
                    reason = f"{call.receiver}.{call.method}() swallows what is raised in its block: no assertion fails"
                    yield Found(Place(code.path, call.line), reason)


def dependencies_left(codebase: Codebase) -> Iterator[Found]:
    """Look for overridden dependencies of routes that nothing takes back."""
    names = codebase.project.names
    for code in tests(codebase):
        for visit in code.visits(ast.Assign):
            for target in visit.node.targets:
                place = target.value if isinstance(target, ast.Subscript) else None
                if not isinstance(place, ast.Attribute) or place.attr != "dependency_overrides":
                    continue
                own = names.lookup(place.value, code.path, visit.spot.scope)
                shared = isinstance(own, Own) and not is_test_or_docs(own.path)
                if shared and _is_per_test(visit) and not any(_CLEARED.search(text) for text in _texts(code)):
                    reason = "nothing takes the override back: every test that runs later gets it too"
                    yield Found(Place(code.path, visit.line), reason)


def mock_for_each_call(codebase: Codebase) -> Iterator[Found]:
    """Look for factories of mocks that nobody can configure or ask."""
    for code in tests(codebase):
        for call in code.calls:
            given = call.argument(0)
            if call.method != "override" or not isinstance(given, ast.Call):
                continue
            made = argument_of(given, 0)
            if isinstance(made, ast.Lambda) and isinstance(made.body, ast.Call) and not made.body.keywords:
                made = made.body.func
            plain = len(given.args) == 1 and not given.keywords
            is_factory = plain and call.resolve(given.func) == f"{PROVIDERS}.Factory"
            if is_factory and made is not None and call.resolve(made) in _MOCKS:
                yield Found(Place(code.path, call.line), "each use gets a mock of its own: none is the test's")


def loops_apart(codebase: Codebase) -> Iterator[Found]:
    """Look for fixtures that run on one event loop and tests that run on others."""
    for path, text in codebase.texts(_CONFIGURED):
        for number, line in enumerate(text.splitlines(), 1):
            match = _LOOP_SCOPE.match(line)
            if match and "asyncio_default_test_loop_scope" not in text and _has_async_fixtures(codebase):
                reason = f"async fixtures run on the loop of the {match[1]}, and each test on one of its own"
                yield Found(Place(path, number), reason, f'set asyncio_default_test_loop_scope = "{match[1]}" too')


def _has_async_fixtures(codebase: Codebase) -> bool:
    """Whether some fixture is a coroutine, and no test says on which loop it runs."""
    tree = codebase.project.tree
    if any(_TEST.fullmatch(path) for path in tree.files_containing_any((b"loop_scope",))):
        return False
    paths = (path for path in tree.files_containing_any((b"fixture",)) if _TEST.fullmatch(path))
    codes = [code for path in paths if (code := codebase.readable(path)) is not None]
    return any(_fixture(function) is not None for code in codes for function in code.visits(ast.AsyncFunctionDef))


def _overridden(codebase: Codebase, call: Visit[ast.Call], own: Own) -> tuple[str, ...]:
    """Return the providers that a call overrides: of a container's instance or class, or of one that a thing holds."""
    known = injection(codebase)
    head, *rest = own.name.split(".")
    statement = known.names.statement(Own(own.path, head))
    value = assigned_value(statement) if statement is not None else None
    is_container = Own(own.path, head) in known.containers or (
        isinstance(value, ast.Call) and known.names.lookup(value.func, own.path) in known.containers
    )
    if not is_container and not any("container" in part.lower() for part in rest[:-1] or rest):
        return ()
    given = rest[-1:] if call.method == "override" else [item.arg or "" for item in call.node.keywords]
    return tuple(name for name in given if name in known.bound)


@once
def _singletons(codebase: Codebase) -> set[str]:
    """Return the names of the providers that keep one object."""
    known = injection(codebase)
    found: set[str] = set()
    for own, container in known.containers.items():
        for item in container.node.body:
            value = assigned_value(item)
            if isinstance(value, ast.Call) and known.names.resolve(value.func, own.path) in SINGLETONS:
                found.update(target.id for target in bound_targets(item) if isinstance(target, ast.Name))
    return found


def _dependents(codebase: Codebase) -> dict[str, set[str]]:
    """Return, for each provider, the singletons that depend on it, directly or through others."""
    known = injection(codebase)
    uses: dict[str, set[str]] = {}
    for own, container in known.containers.items():
        for item in container.node.body:
            names = [target.id for target in bound_targets(item) if isinstance(target, ast.Name)]
            used = injected_into(item, known.names.imports(own.path))
            uses.update((name, used & container.names) for name in names)
    found: dict[str, set[str]] = {}
    for name in _singletons(codebase):
        todo, seen = [name], set[str]()
        while todo:
            for below in uses.get(todo.pop(), set()) - seen:
                seen.add(below)
                todo.append(below)
        for below in seen:
            found.setdefault(below, set()).add(name)
    return found


def _is_per_test(visit: Visit[ast.AST]) -> bool:
    """Whether something happens for single tests: in one of them, or in a fixture that each gets anew."""
    for function in visit.spot.scope:
        if isinstance(function, Function):
            made = _fixture(Visit(function, visit.spot, visit.code))
            if made is None:
                return function.name.startswith("test")
            given = {item.arg: constant(item.value) for item in getattr(made, "keywords", ())}
            return given.get("scope", "function") == "function" and not given.get("autouse")
    return False


def _fixture(function: Visit[Function]) -> ast.expr | None:
    """Return the decorator that makes a function a fixture, `None` for others."""
    for decorator in function.node.decorator_list:
        called = decorator.func if isinstance(decorator, ast.Call) else decorator
        if function.code.resolve(called) in _FIXTURES:
            return decorator
    return None


def _texts(code: Code) -> Iterator[bytes]:
    """Yield the texts of a file with tests, and of the files with fixtures."""
    project = code.codebase.project
    shared = (path for path in project.python_files if path.endswith("conftest.py"))
    yield from (project.tree.read(path) or b"" for path in {code.path, *shared})


def _says(code: Code, words: tuple[bytes, ...]) -> bool:
    return any(word in text for text in _texts(code) for word in words)


def _asks_the_application(function: Visit[Function]) -> bool:
    """Whether a test sends requests to the application: it gets a client, or makes one."""
    parameters = {item.arg for item in (*function.node.args.args, *function.node.args.kwonlyargs)}
    calls = [node.func for node in nodes(function.node) if isinstance(node, ast.Call)]
    made = {function.code.resolve(func).rpartition(".")[2] for func in calls}
    return function.node.name.startswith("test") and bool(
        parameters & {"client", "async_client"} or made & {"TestClient", "ASGITransport"}
    )


def _overridden_alone(function: Function, names: set[str]) -> set[str]:
    """Return those local names whose providers are overridden, and that are used for nothing else."""
    overridden, reads = dict.fromkeys(names, 0), dict.fromkeys(names, 0)
    for node in nodes(function):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in names:
            reads[node.id] += 1
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            root = node.func.value.value if isinstance(node.func.value, ast.Attribute) else node.func.value
            if node.func.attr in {"override", "override_providers"} and isinstance(root, ast.Name) and root.id in names:
                overridden[root.id] += 1
    return {name for name in names if 0 < reads[name] == overridden[name]}


_CONTAINERS = """\
from dependency_injector import containers, providers


class Mailer: ...


class Signup:
    def __init__(self, mailer): ...


class Container(containers.DeclarativeContainer):
    mailer = providers.Factory(Mailer)
    signup = providers.{kind}(Signup, mailer=mailer)


container = Container()
"""
_APP = {
    "app/__init__.py": "",
    "app/containers.py": _CONTAINERS.format(kind="Factory"),
    MAIN: "from fastapi import FastAPI\n\nfrom app.containers import container\n\napp = FastAPI()\n",
}
_SINGLETON = {**_APP, "app/containers.py": _CONTAINERS.format(kind="Singleton")}
_IMPORTS = "from app.containers import container\n\n\n"
_WITH = f"{_IMPORTS}def test_signup(client):\n    with container.mailer.override(Fake()):"
_ROUTES = "import pytest\n\nfrom app.main import app, current_user\n\n\n"
_LOOPS = 'import pytest_asyncio\n\n\n@pytest_asyncio.fixture(scope="session")\nasync def engine(): ...\n'
_INI = '[tool.pytest.ini_options]\nasyncio_default_fixture_loop_scope = "session"'


def _tested(test: str, files: dict[str, str] = _APP) -> dict[str, str]:
    """Return the files of an example with a test."""
    return {**files, "tests/test_signup.py": test}


DIT001 = Rule(
    id="DIT001",
    title="A provider stays overridden after the test",
    why="`override` holds until it is taken back; `unwire` does not do that. Which tests it breaks depends on their "
    "order. https://python-dependency-injector.ets-labs.org/providers/overriding.html",
    fix="write `with container.x.override(...):`, or: laterctl add di-testing",
    scripts=True,
    checks={Codebase: never_undone},
    bad=(_tested(f"{_IMPORTS}def test_signup(client):\n    container.mailer.override(Fake())  # DIT001\n"),),
    good=(
        _tested(f"{_WITH} ...\n"),
        _tested(
            f"{_IMPORTS}def test_signup(client):\n    container.mailer.override(Fake())\n"
            "    container.mailer.reset_override()\n"
        ),
    ),
)
DIT002 = Rule(
    id="DIT002",
    title="A singleton keeps what it was built with, whatever is overridden",
    why="One that an earlier test built has the real object; one that is built during the override keeps the fake "
    "afterwards. https://python-dependency-injector.ets-labs.org/providers/singleton.html",
    fix="build them anew: with container.x.override(...), container.reset_singletons():, or: laterctl add di-testing",
    scripts=True,
    checks={Codebase: kept_by_singletons},
    bad=(_tested(f"{_WITH}  # DIT002\n        ...\n", _SINGLETON),),
    good=(_tested(f"{_WITH.rstrip(':')}, container.reset_singletons(): ...\n", _SINGLETON), _tested(f"{_WITH} ...\n")),
)
DIT003 = Rule(
    id="DIT003",
    title="A test overrides providers of a container that the application does not use",
    why="Each instance of a container has providers of its own: the application goes on with the real ones. "
    "https://python-dependency-injector.ets-labs.org/containers/declarative.html",
    fix="override providers of the instance that the application imports",
    severity=Severity.ERROR,
    scripts=True,
    checks={Codebase: another_container},
    bad=(
        _tested(
            "from app.containers import Container\n\n\ndef test_signup(client):\n    mine = Container()  # DIT003\n"
            "    mine.mailer.override(Fake())\n    client.post('/signup')\n"
        ),
    ),
    good=(
        _tested(
            "from app.containers import Container\n\n\ndef test_signup():\n    mine = Container()\n"
            "    mine.mailer.override(Fake())\n    assert mine.signup()\n"
        ),
    ),
)
DIT004 = Rule(
    id="DIT004",
    title="A dependency of routes stays overridden after the test",
    why="`dependency_overrides` belongs to the application, which all tests share. Which tests it breaks depends on their "
    "order. https://fastapi.tiangolo.com/advanced/testing-dependencies/",
    fix="take it back when the test is over: app.dependency_overrides.clear() behind a `yield`, or monkeypatch.setitem",
    scripts=True,
    checks={Codebase: dependencies_left},
    bad=(
        _tested(
            f"{_ROUTES}def test_me(client):\n"
            "    app.dependency_overrides[current_user] = lambda: 'ada'  # DIT004\n    client.get('/me')\n"
        ),
    ),
    good=(
        _tested(
            f"{_ROUTES}@pytest.fixture\ndef signed_in():\n    app.dependency_overrides[current_user] = lambda: 'ada'\n"
            "    yield\n    app.dependency_overrides.clear()\n"
        ),
    ),
)
DIT005 = Rule(
    id="DIT005",
    title="A provider is overridden by a factory of mocks",
    why="Each use makes another one, so that a test can neither say what it returns nor ask what it was called with.",
    fix="make the mock in the test, and override with it: container.x.override(mock)",
    scripts=True,
    checks={Codebase: mock_for_each_call},
    bad=(
        _tested(
            "from unittest.mock import AsyncMock\n\nfrom dependency_injector import providers\n\n"
            f"{_WITH.replace('Fake()', 'providers.Factory(AsyncMock)')}  # DIT005\n        ...\n"
        ),
    ),
    good=(
        _tested(
            "from unittest.mock import AsyncMock\n\n"
            f"{_IMPORTS}def test_signup(client):\n    mailer = AsyncMock()\n    with container.mailer.override(mailer): ...\n"
        ),
    ),
)
DIT006 = Rule(
    id="DIT006",
    title="Async fixtures and tests run on different event loops",
    why='What a fixture opened belongs to its loop, and fails in the test: "attached to a different loop", "Event loop '
    'is closed". https://pytest-asyncio.readthedocs.io/en/stable/reference/configuration.html',
    fix="set asyncio_default_test_loop_scope to the same",
    severity=Severity.ERROR,
    scripts=True,
    checks={Codebase: loops_apart},
    bad=({**_APP, "tests/conftest.py": _LOOPS, "pyproject.toml": f"{_INI}  # DIT006\n"},),
    good=(
        {
            **_APP,
            "tests/conftest.py": _LOOPS,
            "pyproject.toml": f'{_INI}\nasyncio_default_test_loop_scope = "session"\n',
        },
    ),
)
DIT007 = Rule(
    id="DIT007",
    title="A test cannot fail in the block of a singleton's `reset()`",
    why="What `reset` of a provider returns swallows every exception when it is used in a `with`, failed assertions as "
    "well. `reset_singletons` of a container and `override` do not.",
    fix="call it in a line of its own: container.x.reset()",
    severity=Severity.ERROR,
    scripts=True,
    checks={Codebase: swallowed},
    bad=(
        _tested(
            f"{_IMPORTS}def test_signup(client):\n    with container.signup.reset():  # DIT007\n        assert False\n",
            _SINGLETON,
        ),
    ),
    good=(
        _tested(
            f"{_IMPORTS}def test_signup(client):\n    container.signup.reset()\n    assert container.signup()\n",
            _SINGLETON,
        ),
        _tested(f"{_IMPORTS}def test_signup(client):\n    with container.reset_singletons(): ...\n", _SINGLETON),
    ),
)
