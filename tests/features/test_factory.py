"""What `laterctl add factory` promises: each implementation by its name, in a container and without one."""

from __future__ import annotations

import difflib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from laterctl.engine.plan import Request
from tests import memory
from tests.features.ops_app import write
from tests.features.resources_app import CONFIG, CONTAINER, FORMS, MAIN, PYPROJECT, imported
from tests.servers import uvicorn_server

ROUTE: Final = """

from depot.api.notifiers import NotifierDep, get_notifier


@app.get("/tell")
async def tell(notifier: NotifierDep) -> str:
    await notifier.send("somebody", "hello")
    return type(notifier).__name__


@app.get("/same")
def same(notifier: NotifierDep) -> bool:
    return notifier is get_notifier("sms")
"""
"""What somebody writes with the feature afterwards."""
SENDER: Final = '''\
"""A notifier that needs something."""

from collections.abc import Callable


class EmailNotifier:
    """Notes what it is told to send, for the greeter it is given."""

    def __init__(self, greeter: Callable[[], object]) -> None:
        """Take what gives greeters."""
        self.greeter = greeter

    async def send(self, to: str, text: str) -> None:
        """Greet."""
        self.sent = (to, text, self.greeter())
'''
THIRD: Final = {"factory": {"implementations": "email,sms,push"}}


def before(form: str) -> dict[str, bytes]:
    """Return the project in one of `FORMS`."""
    texts = {
        "pyproject.toml": PYPROJECT.replace("HTTP_CLIENT", "httpx"),
        "depot/main.py": MAIN,
        **{f"{package}/__init__.py": "" for package in ("depot", "depot/core", "tests")},
    }
    if form == "container":
        more = {"depot/core/config.py": CONFIG, "depot/core/container.py": CONTAINER, "settings.toml": 'NAME = "x"\n'}
        texts |= more
    return {path: text.encode() for path, text in texts.items()}


each_form = pytest.mark.parametrize("form", FORMS)


@pytest.fixture(scope="module", params=FORMS)
def client(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of the project with the feature and routes that use it."""
    folder = tmp_path_factory.mktemp(request.param)
    files = memory.add(before(request.param), "factory")
    files["depot/main.py"] += ROUTE.encode()
    write(folder, files)
    with uvicorn_server("depot.main:app", folder) as server, httpx.Client(base_url=server.url) as found:
        yield found


def test_a1_each_is_found_and_always_the_same(client: httpx.Client) -> None:
    assert [client.get(f"/tell?notifier={name}").json() for name in ("email", "sms")] == [
        "EmailNotifier",
        "SmsNotifier",
    ]
    assert [client.get(f"/same?notifier={name}").json() for name in ("email", "sms")] == [False, True]


@pytest.mark.parametrize("name", ["push", "", "Email", "email,sms", "../email", "__class__"])
def test_a2_an_unknown_name_is_400_with_those_that_there_are(client: httpx.Client, name: str) -> None:
    response = client.get("/tell", params={"notifier": name})
    assert response.status_code == 400
    assert response.json() == {"detail": f"no notifier {name!r}, only email, sms"}


def test_a2_no_name_is_an_error_of_the_request(client: httpx.Client) -> None:
    assert client.get("/tell").status_code == 422


@each_form
def test_a1_a2_the_same_outside_of_a_request(form: str, tmp_path: Path) -> None:
    write(tmp_path, memory.add(before(form), "factory"))
    with imported(tmp_path, "api.notifiers") as module:
        direct: Any = sys.modules["depot.core.email_notifier"]
        one = module.get_notifier("email")
        assert one is module.get_notifier("email")
        assert one is (module.container.email_notifier() if form == "container" else direct.get_email_notifier())
        with pytest.raises(module.UnknownNotifierError, match="no notifier 'fax', only email, sms"):
            module.get_notifier("fax")


def test_a3_an_implementation_gets_what_it_needs_and_tests_override_it(tmp_path: Path) -> None:
    files = memory.add(before("container"), "factory", "di-testing")
    container = files["depot/core/container.py"]
    assert b"    email_notifier = providers.Singleton(EmailNotifier)\n" in container
    container = container.replace(b"Singleton(EmailNotifier)", b"Singleton(EmailNotifier, greeters.provider)")
    files |= {"depot/core/container.py": container, "depot/core/email_notifier.py": SENDER.encode()}
    files["tests/test_mine.py"] = b"""\
from depot.api.notifiers import get_notifier
from depot.core.container import container


def test_it_has_its_dependency():
    assert type(get_notifier("email").greeter()).__name__ == "Greeter"


def test_fakes(override_providers):
    with override_providers(email_notifier="fake"):
        assert get_notifier("email") == "fake"
    with override_providers(greeters="nobody"):
        assert get_notifier("email").greeter() == "nobody"
    assert type(get_notifier("email").greeter()).__name__ == "Greeter"
"""
    write(tmp_path, files)
    options = ("-W", "error", "-p", "no:cacheprovider", "-p", "no:asyncio", "-p", "no:anyio")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *options, "tests"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@each_form
def test_a4_one_more_implementation_is_one_more_entry(form: str) -> None:
    two = memory.add(before(form), "factory")
    two["depot/core/email_notifier.py"] += b"\n# mine\n"
    three = memory.run(two, Request(add=("factory",), options=THIRD))
    changed = {path for path in two if two[path] != three[path] and not path.startswith(".laterctl/")}
    assert changed == {"depot/api/notifiers.py"} | ({"depot/core/container.py"} if form == "container" else set())
    assert [path for path in three if path not in two and not path.startswith(".laterctl/")] == [
        "depot/core/push_notifier.py"
    ]
    lines = difflib.ndiff(*(item["depot/api/notifiers.py"].decode().splitlines() for item in (two, three)))
    entry = "container.push_notifier" if form == "container" else "get_push_notifier"
    added = [line[2:] for line in lines if line.startswith("+ ")]
    assert [line for line in added if "import" not in line] == [f'    Named("push", {entry}),']
    back = memory.run(three, Request(add=("factory",), options={"factory": {"implementations": "email,sms"}}))
    assert {path: data for path, data in back.items() if ".laterctl/" not in path} == {
        path: data for path, data in two.items() if ".laterctl/" not in path
    }


@each_form
def test_a4_an_implementation_by_hand_is_one_line_and_stays(form: str, tmp_path: Path) -> None:
    files = memory.add(before(form), "factory")
    table = "depot/api/notifiers.py"
    entry = "    Named('fax', SmsNotifier),\n"
    text = files[table].decode().replace("NOTIFIERS: list[Named] = [\n", f"NOTIFIERS: list[Named] = [\n{entry}")
    assert entry in text
    head = "from depot.core.sms_notifier import SmsNotifier\n"
    if form == "functions":
        text = text.replace("sms_notifier import get_sms_notifier", "sms_notifier import SmsNotifier, get_sms_notifier")
    else:
        text = text.replace(
            "from depot.core.notifiers import Notifier\n", f"from depot.core.notifiers import Notifier\n{head}"
        )
    files[table] = text.encode()
    three = memory.run(files, Request(add=("factory",), options=THIRD))
    assert entry in three[table].decode()
    write(tmp_path, three)
    with imported(tmp_path, "api.notifiers") as module:
        assert [item.name for item in module.NOTIFIERS] == ["fax", "email", "push", "sms"]
        assert type(module.get_notifier("fax")).__name__ == "SmsNotifier"


@each_form
def test_a5_a_class_that_is_none_is_found_by_the_type_checker(
    form: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    files = memory.add(before(form), "factory")
    path = "depot/core/sms_notifier.py"
    write(tmp_path, files | {path: files[path].replace(b"text: str", b"text: int")})
    cache = tmp_path_factory.getbasetemp() / "mypy"
    options = ("--strict", "--disable-error-code=import-untyped", "--cache-dir", str(cache))
    command = (sys.executable, "-m", "mypy", *options, "depot/api")
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    problems = [line for line in done.stdout.splitlines() if ": error:" in line]
    assert len(problems) == 1, done.stdout
    assert problems[0].startswith("depot/api/notifiers.py")
    assert "Notifier" in problems[0]


@each_form
def test_another_name_is_another_module(form: str) -> None:
    options = {"factory": {"name": "payment_gateway", "implementations": "card,bank_transfer"}}
    files = memory.run(before(form), Request(add=("factory",), options=options))
    assert b"class PaymentGateway(Protocol):" in files["depot/core/payment_gateways.py"]
    assert b"class BankTransferPaymentGateway:" in files["depot/core/bank_transfer_payment_gateway.py"]
    assert b"PAYMENT_GATEWAYS: list[Named] = [" in files["depot/api/payment_gateways.py"]
    assert memory.remove(files, "factory") == before(form)


@pytest.mark.parametrize(
    "line",
    [
        "class Notifier:\n    pass\n",
        "class SmsNotifier:\n    pass\n",
        "Notifier = object\n",
    ],
)
def test_a_class_of_that_name_is_refused(line: str) -> None:
    files = before("functions") | {"depot/mine.py": line.encode()}
    (refusal,) = memory.planned(files, Request(add=("factory",))).refusals
    assert (refusal.code, str(refusal.place)) == ("already-by-hand", "depot/mine.py:1")
    other = Request(add=("factory",), options={"factory": {"name": "teller"}})
    assert not memory.planned(files, other).refusals


def test_a_choice_among_providers_is_refused() -> None:
    files = before("container")
    own = b"    greeters = providers.Factory("
    chosen = b"    notifiers = providers.Aggregate(one=providers.Object(1))\n"
    files["depot/core/container.py"] = files["depot/core/container.py"].replace(own, chosen + own)
    (refusal,) = memory.planned(files, Request(add=("factory",))).refusals
    assert refusal.code == "already-by-hand"
