"""The dynamic proof on real projects: what runs, where it runs, and what is said when it does not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from laterctl.project.discover import discover
from laterctl.proof import dynamic
from laterctl.proof.child import environment as child_environment
from laterctl.proof.scratch import scratch_copy
from tests.proof.scene import (
    DEADLINE,
    MANIFEST,
    SHOP,
    edited,
    environment,
    needing,
    observed,
    project,
    wait_for,
    write,
)
from tests.shapes import copy, shape_named

# What it sees


def test_an_app_is_imported_started_and_stopped(tmp_path: Path) -> None:
    code = SHOP.replace(
        "app = FastAPI(",
        "from contextlib import asynccontextmanager\n\nlog = []\n\n"
        "@asynccontextmanager\nasync def lifespan(app):\n    open('started', 'w').close()\n    yield\n"
        "    open('stopped', 'w').close()\n\napp = FastAPI(lifespan=lifespan, ",
    )
    root = project(tmp_path / "shop", {"main.py": code})
    found = observed(root)
    assert found.ran, found.summary
    assert found.summary == "6 routes, 0 middleware; it starts and stops"
    assert found.seen is not None
    assert [(route.path, route.methods, route.endpoint) for route in found.seen.routes[-2:]] == [
        ("/items", ("GET",), "main.items"),
        ("/items/{number}", ("GET",), "main.item"),
    ]
    assert set(found.seen.documents[""]["paths"]) == {"/items", "/items/{number}"}
    assert not (root / "started").exists()
    assert not (root / "stopped").exists()


def test_included_routers_and_mounted_apps_are_followed(tmp_path: Path) -> None:
    root = project(
        tmp_path / "shop",
        {
            "app/__init__.py": "",
            "app/inner.py": (
                "from fastapi import APIRouter, FastAPI, WebSocket\n\n"
                "inner = APIRouter(prefix='/inner')\nouter = APIRouter(prefix='/outer')\ndesk = FastAPI()\n\n\n"
                "@inner.get('/{key}')\ndef read(key: str) -> str:\n    return key\n\n\n"
                "@inner.websocket('/talk')\nasync def talk(socket: WebSocket) -> None: ...\n\n\n"
                "@desk.post('/loans')\ndef lend() -> None: ...\n\n\nouter.include_router(inner)\n"
            ),
            "app/main.py": (
                "from fastapi import FastAPI\nfrom starlette.middleware.gzip import GZipMiddleware\n\n"
                "from app.inner import desk, outer\n\napp = FastAPI()\napp.include_router(outer, prefix='/v1')\n"
                "app.mount('/desk', desk)\napp.add_middleware(GZipMiddleware)\n\n\n"
                "@app.middleware('http')\nasync def stamp(request, call_next):\n    return await call_next(request)\n"
            ),
        },
    )
    seen = observed(root).seen
    assert seen is not None
    found = {(route.kind, route.path) for route in seen.routes}
    assert {
        ("http", "/v1/outer/inner/{key}"),
        ("websocket", "/v1/outer/inner/talk"),
        ("mount", "/desk"),
        ("http", "/desk/loans"),
    } <= found
    assert set(seen.documents) == {"", "/desk"}
    assert seen.middleware == (
        "starlette.middleware.base.BaseHTTPMiddleware(app.main.stamp)",
        "starlette.middleware.gzip.GZipMiddleware",
    )


@pytest.mark.parametrize("name", ["factory_only", "class_held", "kwargs", "mounted", "src_layout", "subfolder"])
def test_shapes(name: str, tmp_path: Path) -> None:
    root = copy(shape_named(name), tmp_path / "repository")
    environment(root / ".venv")
    found = observed(root)
    assert found.ran, found.summary
    assert "it starts and stops" in found.summary
    assert found.seen is not None
    probes = {path.partition("?")[0] for path, _ in shape_named(name).probes}
    assert probes & {route.path for route in found.seen.routes}


def test_a_wrapped_app(tmp_path: Path) -> None:
    code = SHOP + (
        "\n\nclass Outer:\n    def __init__(self, inner):\n        self.inner = inner\n\n"
        "    async def __call__(self, scope, receive, send):\n        await self.inner(scope, receive, send)\n\n\n"
        "application = Outer(app)\n"
    )
    root = project(tmp_path / "shop", {"main.py": code, "Dockerfile": 'CMD ["uvicorn", "main:application"]\n'})
    facts = discover(root)
    assert facts.app is not None
    assert facts.app.reference == "main:application"
    found = dynamic.observe(facts)
    assert found.seen is not None, found.summary
    assert found.seen.middleware == ("main.Outer",)
    assert "it starts and stops" in found.summary


def test_a_lifespan_that_fails_does_not_hide_the_rest(tmp_path: Path) -> None:
    code = SHOP + "\n\n@app.router.on_event('startup')\ndef start() -> None:\n    raise RuntimeError('no database')\n"
    root = project(tmp_path / "shop", {"main.py": code})
    found = observed(root)
    assert found.ran
    assert found.summary == "6 routes, 0 middleware; it does not start here: RuntimeError: no database"
    assert found.seen is not None
    assert str(found.seen.lifespan.place) == "main.py:18"


@pytest.mark.parametrize("wait", ["await asyncio.sleep(600)", "time.sleep(600)"])
def test_a_lifespan_that_hangs(wait: str, tmp_path: Path) -> None:
    code = f"import asyncio\nimport time\n{SHOP}\n\n@app.router.on_event('startup')\nasync def go():\n    {wait}\n"
    root = project(tmp_path / "shop", {"main.py": code})
    found = observed(root, timeout=15)
    assert found.ran
    assert "it does not start here: it took longer than" in found.summary


def test_an_app_that_wants_a_running_loop(tmp_path: Path) -> None:
    """Under uvicorn the event loop runs while the app is imported."""
    code = "import asyncio\n\nqueue = asyncio.get_running_loop().create_future()\n" + SHOP
    found = observed(project(tmp_path / "shop", {"main.py": code}))
    assert found.summary == "6 routes, 0 middleware; it starts and stops"


def test_an_app_that_takes_no_part_in_the_lifespan(tmp_path: Path) -> None:
    code = SHOP + (
        "\n\nclass Outer:\n    def __init__(self, inner):\n        self.inner = inner\n\n"
        "    async def __call__(self, scope, receive, send):\n        if scope['type'] == 'http':\n"
        "            await self.inner(scope, receive, send)\n\n\napplication = Outer(app)\n"
    )
    root = project(tmp_path / "shop", {"main.py": code, "Dockerfile": 'CMD ["uvicorn", "main:application"]\n'})
    found = observed(root)
    assert found.summary == "6 routes, 1 middleware; it takes no notice of starting and stopping"


# Where it runs


def test_a_project_in_a_repository_reads_files_above_it(tmp_path: Path) -> None:
    above = (
        "import os\nfrom pathlib import Path\n\nassert Path('../.env').read_text() == 'A=1'\n"
        "for path in ('../.env', '../large.bin'):\n    if os.path.exists(path):\n        os.unlink(path)\n"
    )
    root = project(tmp_path / "repository/shop", {"main.py": above + SHOP})
    write(root.parent, {".env": "A=1", ".git/HEAD": "ref: refs/heads/main\n", "large.bin": "0" * 2_000_000})
    write(tmp_path, {".env": "of nobody"})
    found = observed(root)
    assert found.ran, found.summary
    assert (root.parent / ".env").read_text() == "A=1"
    assert (root.parent / "large.bin").exists()


def test_what_is_said_about_files_above_the_project(tmp_path: Path) -> None:
    code = "from pathlib import Path\n\nraise ValueError(Path('../.env').resolve())\n"
    root = project(tmp_path / "repository/shop", {"main.py": code + SHOP})
    write(root.parent, {".env": "A=1", ".git/HEAD": "ref: refs/heads/main\n"})
    assert observed(root).summary == "main:app does not import here: ValueError: ../.env (main.py:3)"


@pytest.mark.parametrize("name", ["tmp", "copy", "report.json"])
def test_the_name_of_the_folder_does_not_matter(name: str, tmp_path: Path) -> None:
    found = observed(project(tmp_path / name, {"main.py": SHOP}))
    assert found.ran, found.summary


def test_only_the_copy_loses_a_file(tmp_path: Path) -> None:
    code = "from pathlib import Path\n" + SHOP + "\nPath(__file__).with_name('precious.txt').unlink()\n"
    root = project(tmp_path / "shop", {"main.py": code, "precious.txt": "keep me"})
    found = observed(root)
    assert found.ran, found.summary
    assert (root / "precious.txt").read_text() == "keep me"


def test_printing_and_reading_do_not_matter(tmp_path: Path) -> None:
    code = (
        "import os\nimport sys\n\nprint('{\"seen\": null}' * 10000)\nos.write(1, b'raw')\n"
        "sys.stderr.write('Timeout (0:00:01)!\\n')\nassert sys.stdin.read() == ''\nsys.stdout.close()\n" + SHOP
    )
    assert observed(project(tmp_path / "shop", {"main.py": code})).ran


def test_asking_a_question_finds_nobody(tmp_path: Path) -> None:
    found = observed(project(tmp_path / "shop", {"main.py": "name = input('Name? ')\n" + SHOP}))
    assert not found.ran
    assert found.summary == "main:app does not import here: EOFError: EOF when reading a line (main.py:1)"


def test_the_environment_is_the_user_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = project(tmp_path / "shop", {"main.py": ""})
    monkeypatch.setenv("SHOP_NAME", "Ironware")
    monkeypatch.setenv("SHOP_DATA", f"{root}/data")
    monkeypatch.setenv("PYTHONPATH", f"{root}/lib")
    monkeypatch.setenv("VIRTUAL_ENV", sys.prefix)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}/usr/bin")
    python = root / ".venv/bin/python"
    with scratch_copy(root) as scratch:
        found = child_environment(scratch, python)
        assert found["SHOP_NAME"] == "Ironware"
        assert (found["SHOP_DATA"], found["PYTHONPATH"]) == (f"{scratch.root}/data", f"{scratch.root}/lib")
        assert found["VIRTUAL_ENV"] == str(root / ".venv")
        assert found["PATH"] == f"{root}/.venv/bin{os.pathsep}/usr/bin"
        assert found["TMPDIR"].startswith(str(scratch.folder))
        assert "PIP_NO_INPUT" not in found


PACKAGE = {
    "src/shop/__init__.py": "from pathlib import Path\n\nPath(__file__).with_name('ran').touch()\n",
    "src/shop/main.py": SHOP,
}
HOOK = """\
import sys
from importlib.machinery import PathFinder


class Editable:
    @staticmethod
    def find_spec(name, path=None, target=None):
        return PathFinder.find_spec(name, [{root!r}]) if name == "shop" else None


sys.meta_path.insert(0, Editable)
"""


@pytest.mark.parametrize("kind", ["path", "finder"])
def test_an_editable_install_is_led_to_the_copy(kind: str, tmp_path: Path) -> None:
    root = project(tmp_path / "shop", PACKAGE)
    (site,) = (root / ".venv").glob("lib/python*/site-packages")
    hook = {"path": f"{root}/src\n", "finder": "import editable_hook\n"}[kind]
    write(site, {"shop.pth": hook, "editable_hook.py": HOOK.format(root=f"{root}/src")})
    plain = [root / ".venv/bin/python", "-c", "import shop; print(shop.__file__)"]
    ran = subprocess.run(plain, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert ran.stdout.strip() == f"{root}/src/shop/__init__.py"
    (root / "src/shop/ran").unlink()
    found = observed(root)
    assert found.ran, found.summary
    assert not (root / "src/shop/ran").exists()


def test_code_that_only_the_original_has_never_runs(tmp_path: Path) -> None:
    """What a finder of an editable install builds elsewhere in the project has no place in the copy's import path."""
    root = project(tmp_path / "shop", {**PACKAGE, "generated/shop_fast.py": "open('/ran', 'w')\nraise SystemExit\n"})
    write(root, {"src/shop/main.py": "try:\n    import shop_fast\nexcept ImportError:\n    pass\n" + SHOP})
    (site,) = (root / ".venv").glob("lib/python*/site-packages")
    hook = HOOK.replace('"shop"', '"shop_fast"').format(root=f"{root}/generated")
    write(site, {"shop.pth": "import editable_hook\n", "editable_hook.py": hook})
    found = observed(root)
    assert not found.ran
    assert found.failure is None
    assert found.summary.startswith("shop_fast came from the project itself and not from its scratch copy")


def test_the_original_imported_before_anything_else(tmp_path: Path) -> None:
    root = project(tmp_path / "shop", PACKAGE)
    (site,) = (root / ".venv").glob("lib/python*/site-packages")
    write(site, {"shop.pth": f"{root}/src\nimport shop\n"})
    found = observed(root)
    assert not found.ran
    assert found.failure is None
    assert found.summary.startswith("shop came from the project itself")


# When it does not run


def test_a_hang_ends_in_time_with_everything_it_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTES", str(tmp_path / "pids"))
    code = (
        "import os\nimport subprocess\nimport time\n\n"
        "child = subprocess.Popen(['sleep', '600'])\n"
        "with open(os.environ['NOTES'], 'w') as file:\n    file.write(f'{os.getpid()} {child.pid}')\n"
        "time.sleep(600)\n" + SHOP
    )
    root = project(tmp_path / "shop", {"main.py": code})
    found = observed(root, timeout=8)
    assert not found.ran
    assert found.summary == "main:app does not import here: it took longer than 8 seconds (main.py:8)"
    for pid in (tmp_path / "pids").read_text().split():
        assert ended(int(pid))


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("import os; os.environ['SHOP_DB']", "KeyError: 'SHOP_DB' (main.py:1)"),
        ("import sys; sys.exit('configure me')", "SystemExit: configure me (main.py:1)"),
        (
            "import sys; print('\\x1b[31mread the manual\\x1b[0m', file=sys.stderr); sys.exit(66)",
            "SystemExit: 66: read the manual (main.py:1)",
        ),
        (
            "from pydantic import BaseModel\nclass Settings(BaseModel):\n    url: str\n    port: int\nSettings(port='no')",
            "pydantic.ValidationError: 2 validation errors for Settings; url: Field required; port: Input should be a "
            "valid integer, unable to parse string as an integer (main.py:5)",
        ),
        (
            "import logging.config as log; log.dictConfig({'version': 1, 'handlers': {'a': {'class': 'not_there.A'}}})",
            "ValueError: Unable to configure handler 'a' (because of ValueError: Cannot resolve 'not_there.A': "
            "No module named 'not_there') (main.py:1)",
        ),
        ("import os; os._exit(3)", "it ended the process with 3"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "it was ended by signal 9"),
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module' (main.py:1)"),
    ],
)
def test_what_keeps_it_from_importing_is_said(line: str, why: str, tmp_path: Path) -> None:
    root = project(tmp_path / "shop", {"main.py": f"{line}\n{SHOP}"})
    found = observed(root)
    assert not found.ran
    assert found.summary == f"main:app does not import here: {why}"


def test_secrets_in_what_is_said_are_masked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_API_TOKEN", "tok-12345678")
    monkeypatch.setenv("OLDPWD", "RuntimeError")  # a folder, whatever it is called
    code = (
        "import os\n\nfrom pydantic import BaseModel\n\n\nclass Config(BaseModel):\n    port: int\n\n\n"
        "token, url = os.environ['SHOP_API_TOKEN'], 'postgres://shop:hunter22@db/shop'\n"
        "local = open('.env').read() + open('.secrets.toml').read()\n"
        "try:\n    Config(port='pydantic-secret')\nexcept ValueError as error:\n"
        "    raise RuntimeError(f'{token} {url} {local} {__file__} {error}') from None\n"
    )
    code = code.replace("open('.secrets.toml').read()", "open('.secrets.toml').read() + 'fierce fish'")
    secrets = {"deploy/shop.env": "MAIL_PASSWORD=fierce fish # smells\n"}
    secrets |= {".env": "export SMTP_PASSWORD='correct horse'\n", ".secrets.toml": 'peppered = "battery-staple"\n'}
    found = observed(project(tmp_path / "shop", {"main.py": code + SHOP, **secrets}))
    assert not found.ran
    assert found.failure is not None
    for text in (found.summary, found.failure.message):
        assert "RuntimeError: *** postgres://***@db/shop" in text
        for word in (
            "12345678",
            "hunter22",
            "correct horse",
            "battery-staple",
            "pydantic-secret",
            "fierce fish",
            "laterctl-",
        ):
            assert word not in text


def test_no_interpreter(tmp_path: Path) -> None:
    write(tmp_path, {"pyproject.toml": MANIFEST, "main.py": SHOP})
    found = observed(tmp_path)
    assert not found.ran
    assert found.summary.startswith("no virtual environment of the project was found")
    assert found.failure is None


@pytest.mark.parametrize("named", ["elsewhere/bin/python", "{here}/elsewhere/bin/python"])
def test_the_interpreter_that_is_configured(named: str, tmp_path: Path) -> None:
    python = named.format(here=tmp_path)
    write(tmp_path, {"pyproject.toml": f'{MANIFEST}\n[tool.laterctl]\npython = "{python}"\n', "main.py": SHOP})
    missing = observed(tmp_path)
    assert missing.summary == f"[tool.laterctl] names {python} as the Python of the project, and there is no such file"
    environment(tmp_path / "elsewhere")
    found = observed(tmp_path)
    assert found.ran, found.summary


def test_fastapi_is_not_installed(tmp_path: Path) -> None:
    write(tmp_path, {"pyproject.toml": MANIFEST, "main.py": SHOP})
    environment(tmp_path / ".venv", without=None)
    found = observed(tmp_path)
    assert found.summary == f"not installed for {tmp_path.resolve()}/.venv/bin/python: fastapi"
    assert found.failure is None


@pytest.mark.parametrize("requirement", ["no-such-distribution>=1", "fastapi>=99"])
def test_a_new_dependency_is_not_there(requirement: str, tmp_path: Path) -> None:
    root = project(tmp_path / "shop", {"main.py": SHOP})
    facts = discover(root)
    baseline = dynamic.observe(facts)
    write(root, {"main.py": "import no_such_distribution\n" + SHOP})
    report = dynamic.compare(facts, needing(requirement), baseline)
    assert report == dynamic.Report(
        ran=False, summary=f"not installed in the project's environment: {requirement}", failures=()
    )


def test_an_app_that_imports_only_once_is_not_blamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARK", str(tmp_path / "mark"))
    root = project(tmp_path / "shop", {"main.py": "import os\n\nos.mkdir(os.environ['MARK'])\n" + SHOP + "# more\n"})
    report = edited(root, "main.py", "# more", "# less")
    assert not report.ran
    assert report.failures == ()
    assert report.summary.startswith("main:app does not import here: FileExistsError")
    assert report.summary.endswith("(main.py:3); it did a moment ago, and does not without the change")


def test_too_large_for_a_copy(tmp_path: Path) -> None:
    root = project(tmp_path / "shop", {"main.py": SHOP})
    with (root / "model.bin").open("wb") as file:
        file.truncate(300 * 2**20)
    found = observed(root)
    assert not found.ran
    assert "200 MB" in found.summary


def test_two_apps_are_none(tmp_path: Path) -> None:
    root = copy(shape_named("two_apps"), tmp_path)
    found = observed(root)
    assert not found.ran
    assert "--app" in found.summary


# Ctrl-C


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 130)])
def test_interrupted(
    number: signal.Signals, code: int, tmp_path: Path, scratches: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = tmp_path / "pid"
    monkeypatch.setenv("NOTES", str(notes))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    code_of_app = (
        "import os\nimport time\n\nwith open(os.environ['NOTES'] + '.part', 'w') as file:\n"
        "    file.write(str(os.getpid()))\nos.rename(file.name, os.environ['NOTES'])\ntime.sleep(600)\n"
    )
    root = project(tmp_path / "shop", {"main.py": code_of_app + SHOP})
    process = subprocess.Popen(
        [sys.executable, "-m", "laterctl", "doctor", "--run"],
        cwd=root,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        wait_for(notes.exists)
        assert os.listdir(scratches) != []
        process.send_signal(number)
        output, _ = process.communicate(timeout=DEADLINE)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == code, output
    assert "Traceback" not in output
    assert os.listdir(scratches) == []
    wait_for(lambda: ended(int(notes.read_text())))


def ended(pid: int) -> bool:
    """Whether a process is gone, or dead and only waiting for its parent to notice."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] == "Z"
