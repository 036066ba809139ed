"""The questions to git, in real repositories, and without git."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from laterctl import git


def run(folder: Path, *arguments: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "protocol.file.allow=always"]
    command = ["git", "-C", str(folder), *who, *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, env=environment, timeout=60, check=True
    ).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with a project in `backend`, all committed."""
    top = tmp_path / "repository"
    (top / "backend/app").mkdir(parents=True)
    (top / "backend/app/main.py").write_text("app = 1\n")
    (top / "backend/app/odd name [é].py").write_text("")
    (top / "other.py").write_text("")
    (top / ".gitignore").write_text("*.log\nbuild/\n")
    run(top, "init", "-q")
    run(top, "add", "-A")
    run(top, "commit", "-q", "-m", "all")
    return top


def test_finds_the_top_and_the_way_down(repository: Path, tmp_path: Path) -> None:
    backend = repository / "backend"
    assert git.root_of(backend) == repository
    assert git.root_of(backend / "app/main.py") == repository
    assert git.root_of(tmp_path) is None
    assert git.root_of(tmp_path / "missing/folder") is None
    assert git.prefix(repository) == ""
    assert git.prefix(backend) == "backend/"
    assert git.prefix(backend / "app") == "backend/app/"
    assert git.prefix(tmp_path) == ""


def test_odd_folder_names(tmp_path: Path) -> None:
    folder = tmp_path / "a b\n\"ü' " / "sub é"
    folder.mkdir(parents=True)
    run(folder.parent, "init", "-q")
    assert git.root_of(folder) == folder.parent
    assert git.prefix(folder) == "sub é/"


def test_a_linked_work_tree_is_its_own_top(repository: Path, tmp_path: Path) -> None:
    run(repository, "worktree", "add", "-q", str(tmp_path / "linked"))
    assert git.root_of(tmp_path / "linked/backend") == tmp_path / "linked"


def test_dirty_is_every_kind_of_uncommitted_bytes(repository: Path) -> None:
    backend = repository / "backend"
    files = ["app/main.py", "app/odd name [é].py", "app/new.py", "gone.py", "staged.py", "debug.log", "build/x/made.py"]
    for name in ["gone.py", "clean.py", "staged.py"]:
        (backend / name).write_text("1\n")
    run(repository, "add", "-A")
    run(repository, "commit", "-q", "-m", "more")
    assert git.dirty(backend, [*files, "clean.py", "missing.py"]) == frozenset()

    (backend / "app/main.py").write_text("app = 2\n")
    (backend / "app/odd name [é].py").write_text("x\n")
    (backend / "app/new.py").write_text("")
    (backend / "gone.py").unlink()
    (backend / "staged.py").write_text("2\n")
    run(repository, "add", "backend/staged.py")
    (backend / "debug.log").write_text("")
    (backend / "build/x").mkdir(parents=True)
    (backend / "build/x/made.py").write_text("")
    (repository / "other.py").write_text("dirty, but nobody asks\n")

    assert git.dirty(backend, [*files, "clean.py", "missing.py"]) == frozenset(files)
    assert git.dirty(backend, ["clean.py"]) == frozenset()
    assert git.dirty(backend, []) == frozenset()


def test_dirty_takes_names_literally(repository: Path) -> None:
    (repository / "backend/a.py").write_text("")
    assert git.dirty(repository / "backend", ["*.py", ":/backend/a.py", ":(top)other.py"]) == frozenset()


def test_dirty_before_the_first_commit(tmp_path: Path) -> None:
    run(tmp_path, "init", "-q")
    (tmp_path / "a.py").write_text("")
    (tmp_path / "b.py").write_text("")
    run(tmp_path, "add", "a.py")
    assert git.dirty(tmp_path, ["a.py", "b.py", "c.py"]) == frozenset({"a.py", "b.py"})


def test_dirty_ignores_how_the_user_likes_git_to_print(repository: Path) -> None:
    for key, value in {
        "status.relativePaths": "true",
        "status.showUntrackedFiles": "no",
        "status.short": "true",
        "status.branch": "true",
        "color.ui": "always",
        "core.quotePath": "true",
    }.items():
        run(repository, "config", key, value)
    (repository / "backend/näw.py").write_text("")
    assert git.dirty(repository / "backend", ["näw.py", "app/main.py"]) == frozenset({"näw.py"})


def test_the_index_is_not_rewritten(repository: Path) -> None:
    main = repository / "backend/app/main.py"
    os.utime(main, (1, 1))
    before = (repository / ".git/index").read_bytes()
    assert git.dirty(repository, ["backend/app/main.py"]) == frozenset()
    assert (repository / ".git/index").read_bytes() == before


def test_no_program_named_by_the_repository_runs(repository: Path, tmp_path: Path) -> None:
    hook = tmp_path / "hook"
    hook.write_text(f"#!/bin/sh\ntouch '{tmp_path}/ran'\n")
    hook.chmod(0o755)
    run(repository, "config", "core.fsmonitor", str(hook))
    git.dirty(repository, ["other.py"])
    git.ignored(repository, ["other.py"])
    git.root_of(repository)
    assert not (tmp_path / "ran").exists()


def test_ignored_also_names_what_does_not_exist_yet(repository: Path) -> None:
    backend = repository / "backend"
    (backend / ".gitignore").write_text("core/\n!core/kept.py\n*.tmp\n!yes.tmp\n")
    (backend / "tracked.tmp").write_text("")
    run(repository, "add", "-f", "backend/tracked.tmp")
    names = ["core/new.py", "core/kept.py", "a.log", "build/é b.py", "x.tmp", "yes.tmp", "tracked.tmp", "app/x.py"]
    assert git.ignored(backend, names) == {"core/new.py", "core/kept.py", "a.log", "build/é b.py", "x.tmp"}
    assert git.ignored(backend, ["app/x.py"]) == frozenset()
    assert git.ignored(backend, []) == frozenset()
    assert git.ignored(backend, ["*.log", "[a].log", ":(top)z.log"]) == {"*.log", "[a].log", ":(top)z.log"}


def test_one_path_behind_a_link_does_not_hide_the_others(repository: Path, tmp_path: Path) -> None:
    (repository / "link").symlink_to(tmp_path)
    assert git.ignored(repository, ["link/x.log", "y.log", "z.py"]) == {"y.log"}


def test_answers_for_the_folder_and_not_for_a_hook_that_calls(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    run(other, "init", "-q")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git/index"))
    (repository / "other.py").write_text("dirty\n")
    assert git.root_of(repository / "backend") == repository
    assert git.dirty(repository, ["other.py", "backend/app/main.py"]) == frozenset({"other.py"})


def assert_silent(folder: Path) -> None:
    assert git.root_of(folder) is None
    assert git.prefix(folder) == ""
    assert git.dirty(folder, ["a.py"]) is None
    assert git.ignored(folder, ["a.log", "b.log"]) == frozenset()


def test_outside_a_repository(tmp_path: Path) -> None:
    assert_silent(tmp_path)


def test_without_git(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert_silent(repository)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell script")
def test_a_git_that_hangs_counts_as_no_answer(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in = tmp_path / "git"
    stand_in.write_text("#!/bin/sh\nexec sleep 60\n")
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(git, "TIMEOUT", 0.05)
    assert_silent(repository)


def test_a_broken_repository(tmp_path: Path) -> None:
    (tmp_path / ".git").write_text("gitdir: /nowhere\n")
    assert_silent(tmp_path)


def test_importing_it_does_not_import_subprocess() -> None:
    code = "import sys, laterctl.git; print('subprocess' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}; {code}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("kind", ["clean", "process"])
@pytest.mark.parametrize("name", ["evil", "two.parts", "with a blank"])
def test_no_filter_of_the_configuration_runs(repository: Path, kind: str, name: str) -> None:
    mark = repository / "RAN"
    (repository / ".git/info/attributes").write_text(f"*.py filter={name.replace(' ', '')}\n")
    name = name.replace(" ", "")
    run(repository, "config", f"filter.{name}.{kind}", f"sh -c 'echo ran >> {mark}; cat'")
    run(repository, "config", f"filter.{name}.required", "true")
    main = repository / "backend/app/main.py"
    main.write_text("app = 2\n")
    assert git.dirty(repository / "backend", ["app/main.py"]) == {"app/main.py"}
    main.write_text("app = 1\n")
    os.utime(main, (1, 1))
    git.dirty(repository / "backend", ["app/main.py"])
    assert not mark.exists()


def test_a_filter_whose_name_no_option_can_give_makes_git_unable_to_say(repository: Path) -> None:
    run(repository, "config", "filter.a=b.clean", "false")
    assert git.dirty(repository, ["other.py"]) is None


def test_git_does_not_look_into_a_submodule_under_its_own_configuration(repository: Path, tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "lib.py").write_text("")
    run(inner, "init", "-q")
    run(inner, "add", "-A")
    run(inner, "commit", "-q", "-m", "all")
    run(repository, "submodule", "add", "-q", str(inner), "sub")
    run(repository, "commit", "-q", "-m", "sub")
    mark = tmp_path / "RAN"
    (tmp_path / "monitor").write_text(f"#!/bin/sh\necho ran >> {mark}\n")
    (tmp_path / "monitor").chmod(0o755)
    run(repository / "sub", "config", "core.fsmonitor", str(tmp_path / "monitor"))
    run(repository / "sub", "config", "filter.evil.clean", str(tmp_path / "monitor"))
    (repository / ".git/modules/sub/info/attributes").write_text("*.py filter=evil\n")
    os.utime(repository / "sub/lib.py", (1, 1))
    git.dirty(repository, ["sub/lib.py", "other.py"])
    git.ignored(repository, ["sub/lib.py"])
    assert not mark.exists()
