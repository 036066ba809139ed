"""The interactive flow, on a real pseudo-terminal: the picker, the one question, and Ctrl-C."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest

from tests.cli.command import YES, append, commit, contents, done, project, replace, run, tree
from tests.shapes import git

pytest.importorskip("pty", reason="pseudo-terminals of POSIX")

from tests.cli.terminal import CTRL_C, CTRL_D, ENTER, Terminal

QUIET = ("--no-install", "--no-prove")
QUESTION = r"Write this\? \[y/N/d/v/p\]: "
PROVED = r"Write this and start the app in a scratch copy to prove it\? \[y/N/d/v/p/w\]: "


def test_the_question_defaults_to_no(tmp_path: Path) -> None:
    folder = project(tmp_path)
    before = tree(folder)
    for answer in (ENTER, f"n{ENTER}"):
        with Terminal(folder, "add", "metrics") as terminal:
            shown = terminal.sees(PROVED)
            assert "add metrics (with routing, settings)" in shown
            assert "  + core/metrics.py" in shown
            assert "  ~ main.py" in shown
            assert re.search(r"(?m)^Dependencies\n(  .*\n)*  prometheus-client>=0.22$", shown)
            assert "      + app.add_middleware(MetricsMiddleware)" in shown, "the very lines come before the question"
            assert '"format": 1' not in shown, "the ledger is for programs"
            terminal.types(answer)
            assert terminal.ends() == 0
            assert "nothing was written" in terminal.screen
        assert tree(folder) == before


def test_yes_writes_and_says_how_to_repeat_it(tmp_path: Path) -> None:
    folder = project(tmp_path)
    before = contents(folder)
    with Terminal(folder, "add", "metrics", *QUIET) as terminal:
        terminal.sees(QUESTION)
        assert contents(folder) == before
        terminal.types(f"y{ENTER}")
        assert terminal.ends() == 0
        summary = terminal.sees("(?s)Added metrics.*")
        assert "again: laterctl add metrics --yes --no-install --no-prove\n" in summary
        assert "take it back: laterctl undo --yes\n" in summary
    after = contents(folder)
    done(folder, "undo", "--yes")
    done(folder, "add", "metrics", "--yes", "--no-install", "--no-prove")
    assert contents(folder) == after


def test_what_is_asked_for_is_in_the_question(tmp_path: Path) -> None:
    folder = project(tmp_path)
    append(folder / "pyproject.toml", f'[tool.laterctl]\npython = "{sys.executable}"\n')
    commit(folder)
    with Terminal(folder, "add", "security-headers", "--no-install") as terminal:
        terminal.sees(PROVED)
        terminal.types(f"y{ENTER}")
        assert terminal.ends() == 0
        assert re.search(r"proved: .*routes? as before", terminal.screen)
        assert "again: laterctl add security-headers --yes --no-install --prove\n" in terminal.screen


def test_the_question_warns_of_uncommitted_changes(tmp_path: Path) -> None:
    folder = project(tmp_path)
    append(folder / "main.py", "# mine\n")
    with Terminal(folder, "add", "metrics", *QUIET) as terminal:
        shown = terminal.sees(QUESTION)
        assert "Uncommitted changes in main.py: a reset would lose them together with this.\n" in shown
        terminal.types(f"y{ENTER}")
        assert terminal.ends() == 0
        assert "--allow-dirty" in terminal.sees(r"again: .*\n")
    assert "MetricsMiddleware" in (folder / "main.py").read_text()
    done(folder, "undo", "--yes")
    assert (folder / "main.py").read_text().endswith("# mine\n")


def test_the_question_says_when_there_is_no_git(tmp_path: Path) -> None:
    folder = project(tmp_path)
    shutil.rmtree(folder / ".git")
    with Terminal(folder, "add", "metrics", *QUIET) as terminal:
        assert "not in git: `laterctl undo` is the only way back" in terminal.sees(QUESTION)
        terminal.types(ENTER)
        assert terminal.ends() == 0


def test_nothing_is_asked_when_there_is_nothing_to_do(tmp_path: Path) -> None:
    folder = project(tmp_path)
    done(folder, "add", "metrics", *YES)
    for arguments in (["add", "metrics"], ["remove", "cors"], ["doctor", "--fix"]):
        with Terminal(folder, *arguments) as terminal:
            assert terminal.ends() == 0
            assert "[y/N" not in terminal.screen


def test_a_refusal_comes_before_any_question(tmp_path: Path) -> None:
    folder = project(tmp_path, "two_apps")
    with Terminal(folder, "add", "metrics") as terminal:
        assert terminal.ends() == 3
        assert "[y/N" not in terminal.screen
        assert "--app MODULE:ATTR" in terminal.screen


def test_the_plan_can_be_looked_at_more_closely(tmp_path: Path) -> None:
    folder = project(tmp_path)
    before = tree(folder)
    with Terminal(folder, "add", "metrics") as terminal:
        terminal.sees(PROVED)
        terminal.types(f"d{ENTER}")
        diff = terminal.sees(PROVED)
        assert "--- a/main.py\n+++ b/main.py\n" in diff
        assert (
            diff.index("+++ b/main.py")
            < diff.index("+++ b/core/metrics.py")
            < diff.index("+++ b/tests/test_metrics.py")
        )
        assert not re.search("(?m)^(diff --git|index |new file mode)", diff), "that is for git"
        terminal.types(f"v{ENTER}")
        terminal.sees("Which file: ")
        terminal.types(f"core/metrics.py{ENTER}")
        seen = terminal.sees(PROVED)
        assert "+class MetricsMiddleware:" in seen
        assert "main.py" not in seen
        terminal.types(f"v{ENTER}")
        terminal.sees("Which file: ")
        terminal.types(f"nothing.py{ENTER}")
        terminal.sees("this plan has no file nothing.py")
        terminal.sees(PROVED)
        terminal.types(f"p{ENTER}")
        terminal.sees("Write the patch to: ")
        terminal.types(f"{tmp_path}/metrics.patch{ENTER}")
        terminal.sees(PROVED)
        terminal.types(f"p{ENTER}")
        terminal.sees("Write the patch to: ")
        terminal.types(f"{tmp_path}/no/metrics.patch{ENTER}")
        assert "No such file or directory" in terminal.sees(PROVED)
        terminal.types(f"x{ENTER}")
        terminal.sees("x is none of y, n, d, v, p, w")
        terminal.sees(PROVED)
        terminal.types(ENTER)
        assert terminal.ends() == 0
    assert tree(folder) == before
    git(folder, "apply", "--check", str(tmp_path / "metrics.patch"))


def test_it_can_be_written_without_starting_the_application(tmp_path: Path) -> None:
    folder = project(tmp_path)
    with Terminal(folder, "add", "metrics", "--no-install") as terminal:
        terminal.sees(PROVED)
        terminal.types(f"w{ENTER}")
        assert terminal.ends() == 0
        assert "checked, not started" in terminal.screen
        assert "again: laterctl add metrics --yes --no-install --no-prove\n" in terminal.screen


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_lines_break_between_words(columns: int, tmp_path: Path) -> None:
    folder = project(tmp_path)
    whole = done(folder, "add", "jwt", "--dry-run").out
    with Terminal(folder, "add", "jwt", "--dry-run", columns=columns) as terminal:
        assert terminal.ends() == 0
    lines = terminal.screen.splitlines()
    words = [word for line in lines for word in line.split()]
    assert words == whole.split(), "no word is cut, none is lost"
    assert all(len(line) <= columns or " " not in line.strip() for line in lines)


# The picker


PICKER = r"Add which features\?"
STYLE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
DOWN, SPACE, RETURN, BACKSPACE, CLEAR = "\x1b[B", " ", "\r", "\x7f", "\x15"


def test_the_picker(tmp_path: Path) -> None:
    folder = project(tmp_path)
    done(folder, "add", "cors", *YES)
    with Terminal(folder, "add", *QUIET, columns=80) as terminal:
        terminal.sees(PICKER)
        shown = terminal.sees("metrics .*")
        assert re.search(r"- cors .*\(installed\)", shown)
        assert re.search(r"- di-testing .*\(main.py:\d+: the project has no container\)", shown)
        assert "Security hardening" in shown
        assert "redis-breaker" not in shown, "it is hidden"
        terminal.types("metr")
        terminal.types(SPACE)
        terminal.sees("●")  # a screen draws again what changed alone
        terminal.types(RETURN)
        shown = terminal.sees(QUESTION)
        assert "add metrics (with routing)" in re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown)
        terminal.types(f"y{ENTER}")
        assert terminal.ends() == 0
        assert "again: laterctl add metrics --yes" in terminal.screen
    found = done(folder, "list", "--json").document["features"]
    assert {item["name"] for item in found if item["installed"]} == {"cors", "metrics"}


def test_options_are_asked_for_what_is_picked(tmp_path: Path) -> None:
    folder = project(tmp_path)
    with Terminal(folder, "add", "--set", "rate-limit.headers=off", *QUIET, columns=80) as terminal:
        terminal.sees(PICKER)
        for searched in ("coverage", "health", "rate-"):
            terminal.types(searched + SPACE + BACKSPACE * len(searched))
        terminal.types(RETURN)
        terminal.sees("lowest percentage that passes; none unless given")
        terminal.sees(r"coverage\.fail_under")
        terminal.types("101" + RETURN)
        terminal.sees("101 is not a whole number from 0 to 100")
        terminal.types(CLEAR + RETURN)  # it has no default
        terminal.sees("where requests are counted")
        terminal.sees(r"rate-limit\.store")
        terminal.types(DOWN + RETURN)
        terminal.sees("while Redis is down")
        terminal.sees(r"rate-limit\.on_error")
        terminal.types(RETURN)  # the default
        terminal.sees("of the routes")
        terminal.sees(r"health\.prefix")
        terminal.types(CLEAR + "nowhere" + RETURN)
        terminal.sees("'nowhere' is not text such as /health")
        terminal.types(CLEAR + "/up" + RETURN)
        terminal.sees(QUESTION)
        terminal.types(f"y{ENTER}")
        assert terminal.ends() == 0
    again = re.search(r"again: laterctl (.*(?:\n    .*)*)", STYLE.sub("", terminal.screen))
    assert again is not None
    assert re.findall(r"--set\s+(\S+)", again[1]) == [
        "rate-limit.headers=off",
        "rate-limit.store=redis",
        "health.prefix=/up",
    ]
    after = contents(folder)
    done(folder, "undo", "--yes")
    done(folder, *again[1].split())
    assert contents(folder) == after


def test_the_picker_of_what_is_installed(tmp_path: Path) -> None:
    folder = project(tmp_path)
    before = contents(folder)
    done(folder, "add", "cors", "coverage", *YES)
    with Terminal(folder, "remove", *QUIET) as terminal:
        terminal.sees(r"Remove which features\?")
        terminal.sees("cors")
        terminal.types(f"{SPACE}{DOWN}{SPACE}")
        terminal.sees("●(?s:.)*●")
        terminal.types(RETURN)
        terminal.sees(QUESTION)
        terminal.types(f"y{ENTER}")
        assert terminal.ends() == 0
        assert "again: laterctl remove coverage cors --yes" in terminal.screen
    assert contents(folder) == before
    with Terminal(folder, "remove") as terminal:
        assert terminal.ends() == 0
        assert "no feature is installed" in terminal.screen


@pytest.mark.parametrize(
    ("answer", "code", "says"),
    [
        (RETURN, 0, "nothing was written"),
        (CTRL_C, 130, "interrupted; every file is as it was"),
        (CTRL_D, 130, "interrupted; every file is as it was"),
    ],
    ids=["nothing", "ctrl_c", "ctrl_d"],
)
def test_other_answers_to_the_picker(answer: str, code: int, says: str, tmp_path: Path) -> None:
    folder = project(tmp_path)
    before = tree(folder)
    with Terminal(folder, "add") as terminal:
        terminal.sees(PICKER)
        assert terminal.ends(pressing=answer) == code
        assert says in terminal.screen
    assert tree(folder) == before


# Interrupted


@pytest.mark.parametrize("key", [CTRL_C, CTRL_D], ids=["ctrl_c", "ctrl_d"])
def test_interrupted_at_the_question(key: str, tmp_path: Path) -> None:
    folder = project(tmp_path)
    before = tree(folder)
    with Terminal(folder, "add", "metrics", *QUIET) as terminal:
        terminal.sees(QUESTION)
        assert terminal.ends(pressing=key) == 130
        assert "interrupted; every file is as it was" in terminal.screen
    assert tree(folder) == before
    assert run(folder, "undo", "--yes").code == 3, "there was no run"


def test_interrupted_during_the_run(tmp_path: Path) -> None:
    """Ctrl-C reaches laterctl and the app that is being proved; all is as before, and the next run just works."""
    folder = project(tmp_path)
    mark = tmp_path / "started"
    wait = (
        f"import pathlib, time\nif app.user_middleware:\n    pathlib.Path({str(mark)!r}).touch()\n    time.sleep(600)\n"
    )
    append(folder / "main.py", f"\n{wait}")
    append(folder / "pyproject.toml", f'[tool.laterctl]\npython = "{sys.executable}"\n')
    commit(folder)
    before = contents(folder)
    with Terminal(folder, "add", "security-headers", "--no-install") as terminal:
        terminal.sees(PROVED)
        terminal.types(f"y{ENTER}")
        terminal.sees("starting the app as it is now")
        assert contents(folder) != before
        assert terminal.ends(pressing=CTRL_C) == 130
        assert "interrupted; every file is as it was" in terminal.screen
    assert contents(folder) == before
    assert git(folder, "status", "--porcelain") == ""
    done(folder, "add", "security-headers", *YES)


# Undo and doctor


def test_undo_asks_too(tmp_path: Path) -> None:
    folder = project(tmp_path)
    before = contents(folder)
    done(folder, "add", "metrics", *YES)
    after = tree(folder)
    for key, code in ((ENTER, 0), (CTRL_C, 130)):
        with Terminal(folder, "undo") as terminal:
            shown = terminal.sees(r"Take back `laterctl add metrics --yes --no-install`\? \[y/N\]: ")
            assert "  - core/metrics.py" in shown
            assert "  ~ main.py" in shown
            assert terminal.ends(pressing=key) == code
        assert tree(folder) == after
    with Terminal(folder, "undo") as terminal:
        terminal.sees(r"\[y/N\]: ")
        terminal.types(f"y{ENTER}")
        assert terminal.ends() == 0
    assert contents(folder) == before


def test_doctor_asks_before_it_fixes(tmp_path: Path) -> None:
    folder = project(tmp_path)
    done(folder, "add", "metrics", *YES)
    after = contents(folder)
    replace(folder / "main.py", "app.include_router(metrics_router)\n", "")
    commit(folder)
    with Terminal(folder, "doctor", "--fix") as terminal:
        assert "+ app.include_router(metrics_router)" in terminal.sees(r"Write this.*\[y/N/d/v/p/w\]: ")
        terminal.types(f"y{ENTER}")
        assert terminal.ends() == 0
        assert "again: laterctl doctor --fix --yes\n" in terminal.screen
    assert contents(folder) == after
    done(folder, "doctor", "--fix", "--yes")


# Colours


def test_a_person_sees_colours_and_no_credentials(tmp_path: Path) -> None:
    folder = project(tmp_path)
    append(folder / "requirements.txt", "private @ https://ada:hunter2@pypi.example.com/private.whl\n")
    replace(folder / "requirements.txt", "pydantic>=2.9", "# https://ada:hunter2@pypi.example.com\npydantic>=2.9")
    commit(folder)
    with Terminal(folder, "add", "metrics", "--diff", term="xterm-256color") as terminal:
        assert terminal.ends() == 0
    assert "\x1b[" in terminal.screen
    assert "https://***@pypi.example.com" in re.sub(r"\x1b\[[0-9;]*m", "", terminal.screen)
    assert "hunter2" not in terminal.screen
