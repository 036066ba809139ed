"""The exit codes of design section 7: what each means, that it comes when it should, and what is left behind."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
import venv
from pathlib import Path

import pytest

from laterctl import __version__
from tests.cli.command import (
    COMMAND,
    TIMEOUT,
    YES,
    append,
    commit,
    contents,
    done,
    environment,
    project,
    replace,
    run,
    tree,
)
from tests.shapes import git

METRICS = ("add", "metrics", *YES)


def test_0_done_and_nothing_to_do(tmp_path: Path) -> None:
    folder = project(tmp_path)
    before = contents(folder)
    ran = done(folder, *METRICS)
    assert "Added metrics (with " in ran.out
    assert "again: laterctl add metrics --yes --no-install" in ran.out
    assert "take it back: laterctl undo --yes" in ran.out
    after = tree(folder)
    assert after.keys() > before.keys()

    ran = done(folder, *METRICS)
    assert ran.out == "Nothing to do: metrics is installed already.\n"
    assert tree(folder) == after
    ran = done(folder, "remove", "cors", "jwt", *YES)
    assert ran.out == "Nothing to do: cors, jwt are not installed.\n"
    assert tree(folder) == after

    ran = done(folder, "undo", "--yes")
    assert "Taken back" in ran.out
    assert contents(folder) == before
    assert git(folder, "status", "--porcelain") == ""


def test_1_changes_are_pending(tmp_path: Path) -> None:
    folder = project(tmp_path)
    before = tree(folder)
    ran = run(folder, "add", "metrics", "--check")
    assert ran.code == 1
    assert "~ main.py" in ran.out
    assert tree(folder) == before
    ran = run(folder, "add", "metrics", "--check", "--diff")
    assert ran.code == 1
    assert ran.out.startswith("diff --git ")
    assert tree(folder) == before
    done(folder, *METRICS)
    done(folder, "add", "metrics", "--check")


def test_1_doctor_found_a_problem(tmp_path: Path) -> None:
    folder = project(tmp_path)
    done(folder, *METRICS)
    done(folder, "doctor")
    replace(folder / "main.py", "app.include_router(metrics_router)\n", "")
    before = tree(folder)
    ran = run(folder, "doctor")
    assert ran.code == 1
    assert "problem LTR005 main.py:1 app.include_router(metrics_router) is gone" in ran.out
    assert "laterctl doctor --fix" in ran.out
    assert tree(folder) == before
    done(folder, "doctor", "--skip", "LTR005")
    assert run(folder, "doctor", "--only", "ltr").code == 1
    done(folder, "doctor", "--only", "COV,app001", "--only", "JWT")
    assert run(folder, "doctor", "--only", "COV,LTR005", "--skip", "JWT").code == 1
    append(folder / "pyproject.toml", '\n[tool.laterctl]\ndoctor.skip = ["LTR005"]\n')
    done(folder, "doctor")


@pytest.mark.parametrize("skip", ['["LTR5"]', '"nonsense"', '["LTR", ""]'])
def test_2_doctor_is_told_to_skip_what_does_not_exist(skip: str, tmp_path: Path) -> None:
    folder = project(tmp_path)
    append(folder / "pyproject.toml", f"\n[tool.laterctl]\ndoctor.skip = {skip}\n")
    ran = run(folder, "doctor")
    assert ran.code == 2
    assert "doctor.skip in [tool.laterctl]: there is no rule " in ran.err


def test_2_usage_and_3_refused(tmp_path: Path) -> None:
    folder = project(tmp_path)
    assert run(folder, "add", "nothing-of-the-sort").code == 2
    append(folder / "main.py", "\n1 +\n")
    assert run(folder, *METRICS).code == 3


def test_4_the_proof_failed(tmp_path: Path) -> None:
    folder = project(tmp_path)
    append(folder / "main.py", '\nif len(app.user_middleware):\n    raise RuntimeError("no middleware, please")\n')
    append(folder / "pyproject.toml", f'[tool.laterctl]\npython = "{sys.executable}"\n')
    commit(folder)
    before = tree(folder)
    ran = run(folder, "add", "security-headers", *YES, "--prove")
    assert ran.code == 4, ran.screen
    assert "proof failed" in ran.err
    assert "no middleware, please" in ran.err
    assert ran.err.endswith("Every file is as it was.\n")
    # Written, and written back: all is the same but the time of it.
    assert tree(folder, times=False) == {path: (mode, 0, content) for path, (mode, _, content) in before.items()}
    assert git(folder, "status", "--porcelain") == ""
    done(folder, "add", "security-headers", *YES, "--no-prove")


def test_5_the_dependency_step_failed(tmp_path: Path) -> None:
    folder = project(tmp_path)
    append(folder / ".gitignore", ".venv/\n")
    venv.create(folder / ".venv", with_pip=False)
    commit(folder)
    before = contents(folder)
    path = {"PATH": "/usr/bin:/bin"}  # no uv, which would install without pip
    ran = run(folder, "add", "metrics", "--yes", env=path)
    assert ran.code == 5, ran.screen
    assert "No module named pip" in ran.err
    assert "every file is as it was" in ran.err
    assert "--no-install" in ran.err
    assert contents(folder) == before
    assert git(folder, "status", "--porcelain") == ""
    ran = run(folder, "add", "metrics", "--yes", "--json", env=path)
    assert (ran.code, ran.document["kind"]) == (5, "install-failed")
    assert "No module named pip" in ran.document["output"]


def test_5_a_manager_that_is_not_there(tmp_path: Path) -> None:
    folder = project(tmp_path, "factory")
    before = contents(folder)
    ran = run(folder, "add", "metrics", "--yes", "--install", "pdm", env={"PATH": "/nowhere"})
    assert ran.code == 5, ran.screen
    assert "pdm is not on PATH" in ran.err
    assert contents(folder) == before


def test_6_uncommitted_changes(tmp_path: Path) -> None:
    folder = project(tmp_path)
    append(folder / "main.py", "# mine\n")
    before = tree(folder)
    ran = run(folder, *METRICS)
    assert ran.code == 6
    assert "uncommitted changes in main.py" in ran.err
    assert "--allow-dirty" in ran.err
    assert tree(folder) == before
    done(folder, *METRICS, "--allow-dirty")
    assert (folder / "main.py").read_text().endswith("# mine\n")


def test_6_only_files_that_this_run_edits(tmp_path: Path) -> None:
    folder = project(tmp_path, "factory")
    append(folder / "app/routes.py", "# mine\n")
    append(folder / "notes.txt", "mine\n")
    done(folder, "add", "jwt", *YES)
    done(folder, "add", "cors", *YES)
    done(folder, "remove", "jwt", *YES)
    append(folder / "app/main.py", "# mine\n")
    assert run(folder, *METRICS).code == 6


def test_6_nobody_to_ask(tmp_path: Path) -> None:
    folder = project(tmp_path)
    append(folder / "main.py", "# mine\n")
    before = tree(folder)
    ran = run(folder, "add", "prometheus", "--no-install")
    assert ran.code == 6
    assert "  ~ main.py\n" in ran.out
    assert "there is no terminal to ask" in ran.err
    assert "--yes accepts the plan" in ran.err
    assert "uncommitted changes in main.py: --allow-dirty accepts them" in ran.err
    again = "laterctl add metrics --yes --no-install --allow-dirty"
    assert ran.err.endswith(f"without questions: {again}\n")
    assert tree(folder) == before
    done(folder, *again.split()[1:])
    assert run(folder, "undo").code == 6
    replace(folder / "main.py", "app.include_router(metrics_router)\n", "")
    ran = run(folder, "doctor", "--fix")
    assert ran.code == 6
    again = ran.err.splitlines()[-1].partition("without questions: ")[2]
    done(folder, *again.split()[1:])
    assert "app.include_router(metrics_router)\n" in (folder / "main.py").read_text()


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (
            lambda folder: append(folder / "main.py", "\n1 +\n"),
            "main.py:32 no application was found; main.py cannot be read: invalid syntax",
        ),
        (
            lambda folder: append(folder / ".laterctl/feature-cors.json", "<<<<<<< HEAD\n"),
            ".laterctl/feature-cors.json:1",
        ),
        (lambda folder: append(folder / "pyproject.toml", "[tool\n"), "pyproject.toml:1 pyproject.toml cannot be read"),
        (lambda folder: (folder / "main.py").unlink(), "no FastAPI application was found"),
    ],
    ids=["syntax_error", "ledger", "manifest", "no_app"],
)
def test_7_doctor_could_not_check(spoil: object, says: str, tmp_path: Path) -> None:
    assert callable(spoil)
    folder = project(tmp_path)
    spoil(folder)
    before = tree(folder)
    ran = run(folder, "doctor")
    assert ran.code == 7, ran.screen
    assert says in ran.out
    assert "0 problem" in ran.out
    assert tree(folder) == before


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_130_interrupted(number: signal.Signals, tmp_path: Path) -> None:
    """The app's import never ends, so that the interruption comes in the middle of the proof, after the write."""
    folder = project(tmp_path)
    mark = tmp_path / "started"
    wait = (
        f"import pathlib, time\nif app.user_middleware:\n    pathlib.Path({str(mark)!r}).touch()\n    time.sleep(600)\n"
    )
    append(folder / "main.py", f"\n{wait}")
    append(folder / "pyproject.toml", f'[tool.laterctl]\npython = "{sys.executable}"\n')
    commit(folder)
    before = contents(folder)
    process = subprocess.Popen(
        [*COMMAND, "add", "security-headers", *YES, "--prove"],
        cwd=folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + TIMEOUT
        while not mark.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        assert contents(folder) != before, "the files were written when the signal came"
        process.send_signal(number)
        out, err = process.communicate(timeout=TIMEOUT)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130, err
    assert out == ""
    assert "interrupted; every file is as it was" in err
    assert "Traceback" not in err
    assert contents(folder) == before
    assert git(folder, "status", "--porcelain") == ""


def test_0_the_version(tmp_path: Path) -> None:
    assert done(tmp_path, "--version").out == f"laterctl {__version__}\n"
