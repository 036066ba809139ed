"""Nothing of the project's controls the terminal, and an interruption says what it left."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer

from laterctl import journal, state_dir
from laterctl.changeset import Change, Changeset
from laterctl.cli import flow, screen, show, show_plan
from laterctl.cli.exits import Exit, outcomes
from laterctl.commands.change import ProofFailed
from laterctl.refusal import Refusal, Refused
from tests.cli.command import YES, done, project, run, unprivileged
from tests.cli.terminal import CTRL_C, Terminal

EVIL = [
    "\x1b[2J",
    "\x1b]0;title\x07",
    "\x9b31m",
    "\x08\x08",
    "\r",
    "\x7f",
    "\u202e",
    "\x1b[31m",
    "\ue000\x1b[1m",
    "\udc9b",
]


@pytest.mark.parametrize("evil", EVIL, ids=repr)
def test_control_characters_become_escapes(evil: str, capsys: pytest.CaptureFixture[str]) -> None:
    screen.say(f"a{evil}b")
    screen.tell(f"{screen.bad('error')} {screen.strong(f'a{evil}b')}")
    screen.show_diff(f"+a{evil}b\n")
    show.document("x", value=f"a{evil}b")
    out, err = capsys.readouterr()
    for text in (out, err):
        assert evil not in text
        assert not [
            letter for letter in text if letter in "\x1b\x9b\x07\x08\x7f\r\u202e" or "\ud800" <= letter <= "\udfff"
        ]
    document = json.loads(out[out.index("{") :])
    assert document["value"] == f"a{evil}b"


def test_a_forged_ledger_does_not_reach_the_terminal(tmp_path: Path) -> None:
    folder = project(tmp_path)
    done(folder, "add", "cors", *YES)
    path = folder / ".laterctl/feature-cors.json"
    path.write_text(path.read_text().replace('"kind": "import"', '"kind": "\\u001b[2J"', 1))
    for arguments in (["list"], ["doctor"], ["remove", "cors", *YES]):
        ran = run(folder, *arguments)
        assert "\x1b" not in ran.screen
        assert "\\x1b[2J" in ran.screen


def test_colours_are_ours(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screen, "_color", lambda: True)
    screen.say(f"{screen.bad('x')} \x1b[31my")
    assert capsys.readouterr().out == "\x1b[31m\x1b[1mx\x1b[0m \\x1b[31my\n"


@pytest.mark.parametrize("error", [KeyboardInterrupt, typer.Abort])
@pytest.mark.parametrize("late", [True, False])
def test_an_interruption_after_the_commit_says_so(
    error: type[BaseException],
    late: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    state = state_dir.state_dir(tmp_path)
    state.mkdir(parents=True)

    def interrupted() -> None:
        with outcomes(), flow._noticing(tmp_path, "it is written"):
            if late:
                (state / state_dir.LAST).write_text("")
            raise error

    with pytest.raises(typer.Exit) as caught:
        interrupted()
    assert caught.value.exit_code == Exit.INTERRUPTED
    assert capsys.readouterr().err == f"error interrupted; {'it is written' if late else 'every file is as it was'}\n"


def test_what_is_said_after_an_interrupted_question_begins_a_line(tmp_path: Path) -> None:
    with Terminal(project(tmp_path), "add", "metrics", "--no-install", "--no-prove") as terminal:
        terminal.sees(r"\[y/N.*\]: ")
        assert terminal.ends(pressing=CTRL_C) == 130
    assert "\nerror interrupted; every file is as it was\n" in terminal.screen


@pytest.mark.parametrize("error", [ProofFailed([]), Refused(Refusal("x", "y"))], ids=["proof", "refused"])
@pytest.mark.parametrize("when", ["running", "finished", "never"])
def test_a_plan_made_while_another_run_wrote_is_not_to_blame(
    error: Exception, when: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    root = tmp_path / "project"
    root.mkdir()
    changes = Changeset({"a.py": Change(None, b"a = 1\n")})

    def planned() -> None:
        with flow._undisturbed(root):
            if when == "finished":
                with journal.lock(root) as held, journal.begin(held, changes, command="x") as run:
                    run.apply()
                    run.commit()
            raise error

    expected = type(error) if when == "never" else journal.BusyError
    if when == "running":
        with journal.lock(root) as held, journal.begin(held, changes, command="x"), pytest.raises(expected):
            planned()
    else:
        with pytest.raises(expected):
            planned()


def test_where_nothing_can_be_kept_the_variable_that_helps_is_named(tmp_path: Path) -> None:
    folder = project(tmp_path)
    state = tmp_path / "state"
    state.mkdir()
    for closed in (folder / ".git", state):
        closed.chmod(0o555)
    given = {"XDG_STATE_HOME": str(state)}
    before = unprivileged()
    try:
        ran = run(folder, "add", "cors", *YES, env=given, preexec_fn=before)
        assert ran.code == 3
        assert "(XDG_STATE_HOME names another folder)" in ran.err
        state.chmod(0o755)
        assert run(folder, "add", "cors", *YES, env=given, preexec_fn=before).code == 0
        assert run(folder, "undo", "--yes", env=given, preexec_fn=before).code == 0
    finally:
        (folder / ".git").chmod(0o755)


def test_doctor_says_which_file_it_may_not_read(tmp_path: Path) -> None:
    folder = project(tmp_path)
    done(folder, "add", "cors", *YES)
    (folder / "main.py").chmod(0)
    ran = run(folder, "doctor", preexec_fn=unprivileged())
    assert ran.code in {1, 3, 7}
    assert "main.py" in ran.screen


def test_changed_lines_may_look_like_the_head_of_a_patch() -> None:
    change = Change(b"-- one\nsame\n++ two\n", b"-- three\nsame\n\n++ four\n")
    assert [*show_plan._changed_lines(change)] == ["--- one", "+-- three", "-++ two", "+++ four"]
