"""The dependency step, with the real managers that are on PATH, against an index on this machine."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
import venv
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from laterctl import install
from laterctl.dialects.manifest import form_of, named
from laterctl.dialects.manifest.base import Manifest
from laterctl.dialects.manifest.manager import Change
from laterctl.install import Argv, Outcome
from laterctl.project.facts import DependencyHome
from laterctl.project.requirements_file import canonical_name
from laterctl.project.tree import Tree
from tests.package_index import package_index

POSIX = pytest.mark.skipif(os.name == "nt", reason="process groups and signals of POSIX")

RUNTIME = {
    "uv": DependencyHome("array", "pyproject.toml", ("project", "dependencies")),
    "pdm": DependencyHome("array", "pyproject.toml", ("project", "dependencies")),
    "poetry": DependencyHome("poetry", "pyproject.toml", ("tool", "poetry", "dependencies")),
    "pip": DependencyHome("lines", "requirements.txt"),
}
DEV = {
    "uv": DependencyHome("array", "pyproject.toml", ("dependency-groups", "dev")),
    "pdm": DependencyHome("array", "pyproject.toml", ("dependency-groups", "dev")),
    "poetry": DependencyHome("poetry", "pyproject.toml", ("tool", "poetry", "group", "dev", "dependencies")),
    "pip": DependencyHome("lines", "requirements-dev.txt"),
}
PEP_621 = """\
[project]
name = "shop"
version = "0.1.0"
requires-python = ">={python}"
dependencies = [
    "olive<2",
]
"""
MANIFESTS = {
    "uv": PEP_621 + '\n[[tool.uv.index]]\nurl = "{index}"\ndefault = true\n',
    "pdm": PEP_621 + '\n[[tool.pdm.source]]\nname = "pypi"\nurl = "{index}"\nverify_ssl = false\n',
    "poetry": """\
[tool.poetry]
name = "shop"
version = "0.1.0"
description = ""
authors = []

[tool.poetry.dependencies]
python = ">={python}"
olive = "<2"

[[tool.poetry.source]]
name = "here"
url = "{index}"
priority = "primary"
""",
}


def _need(manager: str) -> None:
    if shutil.which(manager) is None:
        message = f"{manager} is not on PATH"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)


def _manifest(manager: str) -> Manifest:
    return Manifest(manager, RUNTIME[manager].path, RUNTIME[manager], DEV[manager])


def _commands(
    manager: str,
    folder: Path,
    homes: Sequence[DependencyHome] = (),
    new: Sequence[str] = ("x",),
    *,
    manifest: Manifest | None = None,
    python: Path | None = None,
) -> tuple[Argv, ...]:
    """The commands that follow from entries in `homes`, as the manager's own version takes them."""
    change = Change(Tree(folder), manifest or _manifest(manager), homes, new, python)
    return tuple(named(manager).refined(command, folder) for command in named(manager).commands(change))


def _run_all(commands: Sequence[Argv], folder: Path) -> Outcome | None:
    """Run commands in order and return the outcome of the first that failed."""
    outcomes = (install.run(command, folder, timeout=300) for command in commands)
    return next((outcome for outcome in outcomes if not outcome.ok), None)


@pytest.fixture(scope="module")
def index() -> Iterator[str]:
    with package_index({"olive": ("1.0", "1.1", "2.0"), "plum": ("1.0", "1.2"), "quince": ("3.0",)}) as url:
        yield url


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep the managers away from this machine's settings, caches and active environment."""
    for name in ["VIRTUAL_ENV", "UV_PROJECT_ENVIRONMENT", *(n for n in os.environ if n.startswith(("PIP_", "UV_")))]:
        monkeypatch.delenv(name, raising=False)
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("UV_CACHE_DIR", str(home / "uv"))
    monkeypatch.setenv("UV_PYTHON", sys.executable)
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS", "never")
    monkeypatch.setenv("POETRY_CACHE_DIR", str(home / "poetry"))
    monkeypatch.setenv("POETRY_CONFIG_DIR", str(home / "poetry-config"))
    monkeypatch.setenv("POETRY_VIRTUALENVS_IN_PROJECT", "true")
    monkeypatch.setenv("PDM_CACHE_DIR", str(home / "pdm"))
    monkeypatch.setenv("PDM_CONFIG_FILE", str(home / "pdm.toml"))
    monkeypatch.setenv("PDM_LOG_DIR", str(home / "log"))


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """The interpreter of an environment with pip in it, beside an empty project."""
    venv.create(tmp_path / ".venv", with_pip=True)
    return tmp_path / ".venv" / "bin" / "python"


# Real managers


@pytest.mark.parametrize("manager", ["uv", "poetry", "pdm"])
def test_lock_and_environment_follow_the_manifest(manager: str, index: str, tmp_path: Path) -> None:
    _need(manager)
    manifest = _manifest(manager)
    pyproject = _project(manager, index, tmp_path)
    assert named(manager).version(tmp_path) >= (0, 1)

    assert _run_all(_commands(manager, tmp_path, [manifest.runtime], []), tmp_path) is None
    python = manifest.interpreter(tmp_path)
    assert python == tmp_path / ".venv" / "bin" / "python"
    assert _packages(python)["olive"] == "1.1"

    _put_into(python, "medlar", "9")
    text = pyproject.read_text().replace("<2", "<3")
    text = form_of(manifest.runtime).converged(text, [], ["plum>=1"])
    pyproject.write_text(form_of(manifest.dev).converged(text, [], ["quince>=3"]))
    (lock,) = (tmp_path / name for name in named(manager).derived(manifest))
    second = _commands(manager, tmp_path, [manifest.runtime, manifest.dev], ["plum>=1", "quince>=3"])
    assert _run_all(second, tmp_path) is None
    packages = _packages(python)
    assert (packages["plum"], packages["quince"]) == ("1.2", "3.0")
    assert packages["olive"] == "1.1", "what was locked stays as it was locked"
    assert packages["medlar"] == "9", "what the lock does not know is left alone"
    assert 'name = "plum"' in lock.read_text()
    assert "shop" not in packages, "the project itself is not built"


@pytest.mark.parametrize("manager", ["uv", "poetry", "pdm"])
def test_unknown_package_fails_before_the_environment_changes(manager: str, index: str, tmp_path: Path) -> None:
    _need(manager)
    manifest = _manifest(manager)
    pyproject = _project(manager, index, tmp_path)
    new = ["no-such-package-anywhere>=1"]
    pyproject.write_text(form_of(manifest.runtime).converged(pyproject.read_text(), [], new))
    failed = _run_all(_commands(manager, tmp_path, [], new), tmp_path)
    assert failed is not None
    assert failed.argv[:2] != (manager, "install")
    assert "lock" in failed.argv
    assert failed.code not in {0, None}
    assert "no-such-package-anywhere" in failed.output
    python = manifest.interpreter(tmp_path)
    assert python is None or "olive" not in _packages(python)


def test_pip_installs_into_the_project_s_environment(
    index: str, tmp_path: Path, environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", index)
    manifest = _manifest("pip")
    assert manifest.interpreter(tmp_path) == environment
    new = ["plum>=1", 'olive<2; python_version >= "3"']
    commands = _commands("pip", tmp_path, [manifest.runtime], new, python=environment)
    before = _packages(environment)
    assert _run_all(commands, tmp_path) is None
    added = _packages(environment).items() - before.items()
    assert added == {("plum", "1.2"), ("olive", "1.1")}
    assert named("pip").derived(manifest) == ()

    (again,) = _commands("pip", tmp_path, [manifest.runtime], ["no-such-package-anywhere"], python=environment)
    failed = install.run(again, tmp_path, timeout=120)
    assert (failed.ok, failed.reason) == (False, "it exited with 1")
    assert "no-such-package-anywhere" in failed.output


def test_an_environment_without_pip_is_filled_by_uv(
    index: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _need("uv")
    monkeypatch.setenv("UV_DEFAULT_INDEX", index)
    venv.create(tmp_path / ".venv", with_pip=False)
    python = install.interpreter(tmp_path)
    assert python is not None
    (command,) = _commands("pip", tmp_path, [], ["plum"], python=python)
    assert command[:3] == ("uv", "pip", "install")
    assert install.run(command, tmp_path, timeout=120).ok
    assert _packages(python) == {"plum": "1.2"}


def _packages(python: Path) -> dict[str, str]:
    """The packages installed beside `python`, canonical names with versions."""
    records = [record.name for folder in install.site_packages(python) for record in folder.glob("*.dist-info")]
    parts = [name.removesuffix(".dist-info").partition("-") for name in records]
    return {canonical_name(name): version for name, _, version in parts}


def _project(manager: str, index: str, folder: Path) -> Path:
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    pyproject = folder / "pyproject.toml"
    pyproject.write_text(MANIFESTS[manager].replace("{index}", index).replace("{python}", python))
    return pyproject


def _put_into(python: Path, name: str, version: str) -> None:
    info = install.site_packages(python)[0] / f"{name}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


# Commands


def test_extras_and_groups_are_selected(tmp_path: Path) -> None:
    def homes(*tables: tuple[str, ...]) -> list[DependencyHome]:
        return [DependencyHome("array", "pyproject.toml", table) for table in tables]

    extra, group = ("project", "optional-dependencies", "server"), ("dependency-groups", "lint")
    uv = _commands("uv", tmp_path, homes(RUNTIME["uv"].table, extra, group))
    assert uv[-1][-4:] == ("--extra", "server", "--group", "lint")
    (tmp_path / "pdm.lock").write_text('[metadata]\ngroups = ["default", "docs"]\n')
    pdm = _commands("pdm", tmp_path, homes(extra, ("tool", "pdm", "dev-dependencies", "test")))
    assert pdm[0][-6:] == ("--group", "docs", "--group", "server", "--group", "test")
    assert pdm[1][-4:] == ("--group", "server", "--group", "test")
    docs = DependencyHome("poetry", "pyproject.toml", ("tool", "poetry", "group", "docs", "dependencies"))
    poetry = _commands("poetry", tmp_path, [DEV["poetry"], docs])
    assert poetry[-1][-2:] == ("--with", "docs")


@POSIX
@pytest.mark.parametrize(("version", "told"), [("1.8.3", True), ("2.0.0", False)])
def test_poetry_before_2_is_told_to_keep_versions(
    version: str, told: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "bin" / "poetry"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\necho 'Poetry (version {version})'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    (command,) = _commands("poetry", tmp_path)
    assert ("--no-update" in command) is told


def test_lock_of_a_workspace_is_named_where_it_is() -> None:
    manifest = replace(_manifest("uv"), lock="../uv.lock")
    assert named("uv").derived(manifest) == ("../uv.lock",)
    assert named("poetry").derived(_manifest("poetry")) == ("poetry.lock",)


def test_uv_on_a_requirements_file_has_no_lock(tmp_path: Path) -> None:
    manifest = Manifest("uv", "requirements.txt", RUNTIME["pip"], DEV["pip"])
    python = tmp_path / "bin" / "python"
    (command,) = _commands("uv", tmp_path, [manifest.runtime], ["plum>=1"], manifest=manifest, python=python)
    assert command == ("uv", "pip", "install", "--python", str(python), "plum>=1")
    assert named("uv").derived(manifest) == ()


def test_what_cannot_be_installed_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(install.CannotInstall, match="install plum>=1"):
        _commands("pip", tmp_path, [], ["plum>=1"])


def test_another_manager_is_told_those_that_are_known() -> None:
    with pytest.raises(install.CannotInstall, match="'hatch', but uv, poetry, pdm, pip, pipenv, conda"):
        named("hatch")


# Child processes


def _script(folder: Path, text: str) -> tuple[str, ...]:
    path = folder / "child.py"
    path.write_text(textwrap.dedent(text))
    return (sys.executable, str(path))


def test_both_streams_come_back_in_order_and_nothing_is_printed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    child = """
        import os, sys
        for number in range(3):
            os.write(1 + number % 2, f"line {number} \\xe9\\n".encode("latin-1"))
        sys.exit(sys.stdin.read() != "")
    """
    outcome = install.run(_script(tmp_path, child), tmp_path, timeout=60)
    assert (outcome.ok, outcome.code, outcome.reason) == (True, 0, "")
    assert [line[:6] for line in outcome.output.splitlines()] == ["line 0", "line 1", "line 2"]
    assert capfd.readouterr() == ("", "")


def test_arguments_are_not_read_by_a_shell(tmp_path: Path) -> None:
    child = _script(tmp_path, "import sys; print(sys.argv[1:])")
    arguments = ["a; touch pwned", "$(touch pwned)", 'b; python_version < "3.12"', "*"]
    outcome = install.run([*child, *arguments], tmp_path, timeout=60)
    assert outcome.output.strip() == str(arguments)
    assert [path.name for path in tmp_path.iterdir()] == ["child.py"]


def test_missing_program_is_an_outcome(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = install.run(("no-such-manager-zz", "lock"), tmp_path)
    assert (outcome.code, outcome.reason) == (None, "no-such-manager-zz is not on PATH")
    monkeypatch.setenv("PATH", os.devnull)
    assert named("poetry").version(tmp_path) == ()


SPAWNS = """
    import os, signal, subprocess, sys, time
    from pathlib import Path
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('x', flush=True); time.sleep(600)"
    grandchild = subprocess.Popen([sys.executable, "-c", deaf], stdout=subprocess.PIPE)
    grandchild.stdout.readline()
    ready = Path("pids.new")
    ready.write_text(f"{os.getpid()} {grandchild.pid}")
    ready.rename("pids")
    time.sleep(600)
"""


def _wait_until(condition: object, seconds: float = 60) -> bool:
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return False


def _gone(pid: int) -> bool:
    """Say whether a process has ended; one that nobody has waited for yet counts."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] == "Z"


@POSIX
def test_timeout_ends_the_whole_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install, "_GRACE", 0.5)
    outcome = install.run(_script(tmp_path, SPAWNS), tmp_path, timeout=6)
    assert (outcome.code, outcome.reason) == (None, "it took longer than 6 seconds")
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    assert len(pids) == 2
    assert all(_wait_until(lambda pid=pid: _gone(pid)) for pid in pids)


@POSIX
def test_ctrl_c_ends_the_whole_group_and_goes_on(tmp_path: Path) -> None:
    program = f"""
        from pathlib import Path
        from laterctl import install
        install._GRACE = 0.5
        try:
            install.run({_script(tmp_path, SPAWNS)!r}, Path({str(tmp_path)!r}))
        except KeyboardInterrupt:
            print("interrupted")
    """
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert _wait_until((tmp_path / "pids").exists)
        parent.send_signal(signal.SIGINT)
        output, _ = parent.communicate(timeout=60)
    finally:
        parent.kill()
        parent.wait()
    assert output == "interrupted\n"
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    assert all(_wait_until(lambda pid=pid: _gone(pid)) for pid in pids)


# Secrets


@pytest.mark.parametrize(
    ("text", "secrets"),
    [
        ("Looking in https://bob:hunter22@pypi.example.org/simple", ["bob", "hunter22"]),
        ("index = 'https://bob:p@ss:word@host:8080/x'", ["p@ss", "word@", "bob"]),
        ("http://ghp_0123456789abcdefghijABCDEFGHIJ012345@host/a.git", ["ghp_"]),
        ("token glpat-abcdefghijklmnop12 and pypi-AgEIcHlwaS5vcmcCJDk", ["glpat", "pypi-Ag"]),
        ("GET /simple/?token=abc123def&x=1 Authorization: Bearer eyJhbGci.abc", ["abc123def", "eyJ"]),
        ("redis+sentinel://:onlypass@host/0", ["onlypass"]),
    ],
)
def test_credentials_are_masked(text: str, secrets: list[str]) -> None:
    masked = install.mask(text)
    assert "***" in masked
    assert not [secret for secret in secrets if secret in masked]
    assert install.mask(masked) == masked


@pytest.mark.parametrize(
    "text",
    [
        "git+ssh://git@github.com/owner/name.git",
        "https://pypi.org/simple/a@b/",
        "user@example.org wrote fastapi==0.115; see https://docs.example.org/?page=2#at@here",
        "authorization is not installed; token-bucket==1.0 is",
    ],
)
def test_other_text_is_not_masked(text: str) -> None:
    assert install.mask(text) == text


def test_secret_variables_are_masked_in_output_and_arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_INDEX_PRIVATE_PASSWORD", "correct-horse")
    child = _script(tmp_path, "import os, sys; print(os.environ['UV_INDEX_PRIVATE_PASSWORD'], sys.argv[1])")
    outcome = install.run([*child, "https://bob:hunter22@host/"], tmp_path, timeout=60)
    assert outcome.output.strip() == "*** https://***@host/"
    assert outcome.argv[-1] == "https://***@host/"


# The project's interpreter


def _environment(folder: Path, *, packages: tuple[str, ...] = ()) -> Path:
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    for name in packages:
        (install.site_packages(python)[0] / name).mkdir()
    return python


@POSIX
def test_environment_beside_the_manifest_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    active = _environment(tmp_path / "elsewhere")
    project = tmp_path / "repository" / "backend"
    project.mkdir(parents=True)
    assert install.interpreter(project) is None
    monkeypatch.setenv("VIRTUAL_ENV", str(tmp_path / "elsewhere"))
    assert install.interpreter(project) == active
    outer = _environment(tmp_path / "repository" / "venv")
    assert install.interpreter(project) == active, "the folder above belongs to somebody else without a repository"
    (tmp_path / "repository" / ".git").mkdir()
    assert install.interpreter(project) == outer
    (project / ".venv").mkdir()
    assert install.interpreter(project) == outer, "a folder is not yet an environment"
    own = _environment(project / ".venv")
    assert install.interpreter(project) == own


@POSIX
def test_what_uv_and_pdm_are_told_to_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = _environment(tmp_path / "named")
    _environment(tmp_path / ".venv")
    monkeypatch.setenv("UV_PROJECT_ENVIRONMENT", "named")
    assert named("uv").interpreter(tmp_path) == told
    assert named("pip").interpreter(tmp_path) == tmp_path / ".venv" / "bin" / "python"
    (tmp_path / ".pdm-python").write_text(str(told))
    assert named("pdm").interpreter(tmp_path) == told


@POSIX
def test_laterctl_s_own_environment_is_nobody_s_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = tmp_path / "project"
    project.mkdir()
    own = _environment(tmp_path / "tool")
    monkeypatch.setenv("VIRTUAL_ENV", str(tmp_path / "tool"))
    assert install.interpreter(project) == own
    assert "VIRTUAL_ENV" in install.child_environment(project)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "tool"))
    assert install.interpreter(project) is None
    assert "VIRTUAL_ENV" not in install.child_environment(project)
    (install.site_packages(own)[0] / "fastapi").mkdir()
    assert install.interpreter(project) == own, "laterctl may be a dependency of the project"


def test_poetry_knows_where_its_environment_is(index: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _need("poetry")
    project = tmp_path / "project"
    project.mkdir()
    _project("poetry", index, project)
    monkeypatch.setenv("POETRY_VIRTUALENVS_IN_PROJECT", "false")
    monkeypatch.setenv("POETRY_VIRTUALENVS_PATH", str(tmp_path / "environments"))
    assert named("poetry").interpreter(project) is None
    assert install.run(("poetry", "env", "use", sys.executable), project, timeout=120).ok
    python = named("poetry").interpreter(project)
    assert python is not None
    assert tmp_path / "environments" in python.parents
