"""The changeset, and its patch against the real `git apply`."""

from __future__ import annotations

import os
import random
import shutil
import string
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from laterctl.changeset import Change, Changeset, Counts, patch

Tree = dict[str, bytes]

ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "LC_ALL": "C",
}


def git(folder: Path, *arguments: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = ["git", "-C", str(folder), *arguments]
    done = subprocess.run(command, input=data, capture_output=True, env=ENVIRONMENT, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("repository")
    git(folder, "init", "-q")
    return folder


def fill(folder: Path, tree: Mapping[str, bytes | None]) -> None:
    """Make the folder hold exactly this tree."""
    for entry in folder.iterdir():
        if entry.name != ".git":
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    for path, data in tree.items():
        if data is not None:
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)


def read(folder: Path) -> Tree:
    files = (Path(at, name) for at, _, names in os.walk(folder) for name in names)
    found = {file.relative_to(folder).as_posix(): file for file in files}
    return {path: file.read_bytes() for path, file in found.items() if not path.startswith(".git/")}


def before(changeset: Changeset) -> Tree:
    return {path: change.before for path, change in changeset.items() if change.before is not None}


def after(changeset: Changeset) -> Tree:
    return before(changeset.inverted())


ENDINGS = [b"\n", b"\n", b"\n", b"\r\n", b"\r", b"\x0b", b"\x0c", b"\x1c", b"\x85", "\x85\u2028\u2029".encode()]
WORDS = [
    b"",
    b"",
    b"a",
    b"b",
    b"pass",
    b"\t",
    b" ",
    b"-- x",
    b"+++ b/x",
    b"\\ No newline at end of file",
    b"@@ -1 +1 @@",
]
HEADS = [b"", b"", b"", b"\xef\xbb\xbf", b"\xff\xfe", b"\0", b"caf\xe9"]
lines = st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from(ENDINGS)).map(b"".join), max_size=30)

few_lines = lines.map(lambda some: [line.decode(errors="ignore").encode() for line in some[:3]])


@st.composite
def texts(draw: st.DrawFn) -> bytes:
    return draw(st.sampled_from(HEADS)) + b"".join(draw(lines)) + draw(st.sampled_from([b"", b"", b"end"]))


@st.composite
def edited(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A long text in UTF-8 and a few insertions, deletions and replacements in it."""
    old = [b"line %d\n" % (number % 7 if number % 3 else number) for number in range(draw(st.integers(0, 80)))]
    new = list(old)
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(new)))
        new[at : at + draw(st.integers(0, 3))] = draw(few_lines)
    return b"".join(old), b"".join(new)


contents = st.none() | texts() | texts() | st.binary(max_size=200)
changes = st.builds(Change, contents, contents, st.sampled_from([None, 0o644, 0o755])) | edited().map(
    lambda pair: Change(*pair)
)

ODD = "ab .-'\"\\\t\n\r\x07\x7fé\u2028\U0001f600*?[]:%{}"
names = (
    st.sampled_from(["main.py", "a b.py", " lead", "trail ", "tab\there", 'quo"te', "naïve.py", "-dash", "a", "b"])
    | st.text(ODD, min_size=1, max_size=8)
    | st.binary(min_size=1, max_size=6).map(os.fsdecode)
)
if sys.platform in {"win32", "darwin"}:
    names = st.text(string.ascii_lowercase + " é'", min_size=1, max_size=8).map(str.strip).filter(bool)
paths = st.lists(names, min_size=1, max_size=3).map("/".join)


@st.composite
def changesets(draw: st.DrawFn) -> Changeset:
    try:
        changeset = Changeset(draw(st.dictionaries(paths, changes, min_size=1, max_size=4)))
    except ValueError:
        changeset = Changeset()
    assume(changeset)
    return changeset


relaxed = settings(deadline=None, max_examples=100, suppress_health_check=[*HealthCheck])


@relaxed
@given(changesets())
@example(Changeset({"empty": Change(None, b"")}))
@example(Changeset({"empty": Change(b"", None)}))
@example(Changeset({"filled": Change(b"", b"x")}))
@example(Changeset({"emptied": Change(b"x\n", b"")}))
@example(Changeset({"nul": Change(b"a\0b\n", b"a\0c\n"), "latin": Change(None, b"caf\xe9\n")}))
@example(Changeset({"bom": Change(b"\xef\xbb\xbfx = 1\r\n", b"\xef\xbb\xbfx = 1\r\ny = 2\r\n")}))
@example(Changeset({"final": Change(b"a\nb", b"a\nb\n")}))
@example(Changeset({"final": Change(b"a\nb\n", b"a\nb")}))
@example(Changeset({"large": Change(None, random.Random(1).randbytes(100_000))}))
def test_git_apply_writes_exactly_the_changeset_and_reverses_it(repository: Path, changeset: Changeset) -> None:
    untouched = {"untouched.txt": b"as it is\r\n"}
    fill(repository, untouched | before(changeset))

    git(repository, "apply", "--whitespace=nowarn", data=patch(changeset))
    assert read(repository) == untouched | after(changeset)

    git(repository, "apply", "--whitespace=nowarn", "-R", data=patch(changeset))
    assert read(repository) == untouched | before(changeset)


@settings(relaxed, max_examples=40)
@given(changesets(), st.sampled_from(["sub", "backend/api", "päth with blank"]), st.booleans())
def test_paths_lead_from_the_top_of_the_repository(
    repository: Path, changeset: Changeset, folder: str, inside: bool
) -> None:
    fill(repository, {"top.txt": b"top\n"})
    (repository / folder).mkdir(parents=True)
    fill(repository / folder, before(changeset))

    at = repository / folder if inside else repository
    git(at, "apply", "--whitespace=nowarn", data=patch(changeset, prefix=f"{folder}/"))

    # git takes folders away that it emptied, also the one it was started in.
    assert read(repository / folder) == after(changeset)
    assert (repository / "top.txt").read_bytes() == b"top\n"


@settings(relaxed, max_examples=40)
@given(edited())
def test_lines_with_carriage_returns_survive_automatic_line_endings(
    repository: Path, pair: tuple[bytes, bytes]
) -> None:
    old, new = (data.replace(b"\r\n", b"\n").replace(b"\r", b"").replace(b"\n", b"\r\n") for data in pair)
    changeset = Changeset({"windows.py": Change(old, new)})
    assume(changeset)
    fill(repository, before(changeset))
    git(repository, "-c", "core.autocrlf=true", "apply", "--whitespace=nowarn", data=patch(changeset))
    assert read(repository) == after(changeset)


def test_automatic_line_endings_are_gits_own_and_can_be_switched_off(repository: Path) -> None:
    changeset = Changeset({"unix.py": Change(None, b"x = 1\n")})
    fill(repository, {})
    git(repository, "-c", "core.autocrlf=true", "apply", data=patch(changeset))
    assert read(repository) == {"unix.py": b"x = 1\r\n"}

    fill(repository, {})
    git(repository, "-c", "core.autocrlf=false", "apply", data=patch(changeset))
    assert read(repository) == {"unix.py": b"x = 1\n"}


@pytest.mark.skipif(sys.platform == "win32", reason="no permission bits")
@pytest.mark.parametrize(("mode", "executable"), [(None, False), (0o644, False), (0o600, False), (0o755, True)])
def test_new_files_get_their_mode_and_edits_keep_it(repository: Path, mode: int | None, executable: bool) -> None:
    fill(repository, {})
    git(repository, "apply", data=patch(Changeset({"run.sh": Change(None, b"#!/bin/sh\n", mode)})))
    assert bool((repository / "run.sh").stat().st_mode & 0o100) is executable

    edit = git(
        repository, "apply", data=patch(Changeset({"run.sh": Change(b"#!/bin/sh\n", b"#!/bin/sh\ntrue\n", mode)}))
    )
    assert bool((repository / "run.sh").stat().st_mode & 0o100) is executable
    assert edit.stderr == b""

    gone = git(repository, "apply", data=patch(Changeset({"run.sh": Change(b"#!/bin/sh\ntrue\n", None, mode)})))
    assert read(repository) == {}
    assert gone.stderr == b""


def test_reads_like_a_patch_of_git() -> None:
    old = b"".join(b"%d\n" % number for number in range(1, 11))
    new = old.replace(b"5\n", b"five\n").replace(b"10\n", b"10\neleven")
    text = patch(Changeset({"n.txt": Change(old, new, 0o644), "a b.py": Change(None, b"x\n")}), prefix="app/")
    assert text.decode().splitlines(keepends=True) == [
        'diff --git "a/app/a b.py" "b/app/a b.py"\n',
        "new file mode 100644\n",
        "index 0000000000000000000000000000000000000000..587be6b4c3f93f93c489c0111bba5596147a26cb\n",
        "--- /dev/null\n",
        '+++ "b/app/a b.py"\n',
        "@@ -0,0 +1 @@\n",
        "+x\n",
        "diff --git a/app/n.txt b/app/n.txt\n",
        "index f00c965d8307308469e537302baa73048488f162..8107270fc7deb1c53d3401e8dd54ec5c80c083d4 100644\n",
        "--- a/app/n.txt\n",
        "+++ b/app/n.txt\n",
        "@@ -2,9 +2,10 @@\n",
        " 2\n",
        " 3\n",
        " 4\n",
        "-5\n",
        "+five\n",
        " 6\n",
        " 7\n",
        " 8\n",
        " 9\n",
        " 10\n",
        "+eleven\n",
        "\\ No newline at end of file\n",
    ]


@settings(relaxed, max_examples=60)
@given(edited())
def test_equals_what_git_itself_prints_for_the_same_blobs(repository: Path, pair: tuple[bytes, bytes]) -> None:
    """Not the hunks, whose choice is free, but names, quoting, blob names and modes."""
    name = 'odd"näme'
    assume(pair[0] != pair[1] and pair[0])
    fill(repository, {name: pair[0]})
    git(repository, "add", "-A")
    (repository / name).write_bytes(pair[1])
    theirs = git(repository, "diff", "--full-index", "--no-ext-diff").stdout
    ours = patch(Changeset({name: Change(*pair, 0o644)}))
    assert ours.split(b"\n@@", 1)[0] == theirs.split(b"\n@@", 1)[0]


def large_files() -> Iterator[tuple[str, list[bytes], list[bytes]]]:
    chance = random.Random(7)
    unique = [b"line %d\n" % number for number in range(30_000)]
    words = [b"a\n", b"b\n"]
    yield "every second line changed", unique, [line if at % 2 else b"new " + line for at, line in enumerate(unique)]
    yield "shuffled", unique, chance.sample(unique, len(unique))
    yield "two words", chance.choices(words, k=len(unique)), chance.choices(words, k=len(unique))
    yield "blank lines", [b"\n"] * 30_000, [b"x\n", *[b"\n"] * 29_000, b"x\n"]
    yield "reversed", unique, unique[::-1]


@pytest.mark.parametrize(("old", "new"), [case[1:] for case in large_files()], ids=[case[0] for case in large_files()])
def test_large_files_that_defeat_a_quadratic_diff(repository: Path, old: list[bytes], new: list[bytes]) -> None:
    changeset = Changeset({"large.txt": Change(b"".join(old), b"".join(new))})
    fill(repository, before(changeset))
    git(repository, "apply", data=patch(changeset))
    assert read(repository) == after(changeset)


def test_is_sorted_free_of_no_ops_and_cannot_be_changed() -> None:
    given_changes = {
        "z": Change(b"1", b"2"),
        "same": Change(b"1", b"1"),
        "a/b": Change(None, b""),
        "gone": Change(None, None),
    }
    changeset = Changeset(given_changes)
    given_changes.clear()
    assert list(changeset) == ["a/b", "z"]
    assert len(changeset) == 2
    assert "same" not in changeset
    assert changeset == Changeset([("z", Change(b"1", b"2")), ("a/b", Change(None, b""))])
    assert hash(changeset) == hash(Changeset(dict(changeset)))
    with pytest.raises(TypeError):
        changeset["new"] = Change(None, b"")  # type: ignore[index]
    with pytest.raises(AttributeError):
        changeset["z"].before = b""  # type: ignore[misc]
    assert not Changeset()
    assert patch(Changeset()) == b""


def test_inverts_and_counts() -> None:
    changeset = Changeset({"new": Change(None, b"1", 0o755), "edit": Change(b"1", b"2"), "gone": Change(b"1", None)})
    assert changeset.counts() == Counts(created=1, edited=1, deleted=1)
    assert changeset.inverted()["new"] == Change(b"1", None, 0o755)
    assert changeset.inverted().inverted() == changeset


@pytest.mark.parametrize(
    "path", ["", "/abs", "a//b", "./a", "a/../b", "..", "a/", ".git/hooks/x", "sub/.GIT/config", "nul\0"]
)
def test_refuses_paths_that_are_not_plainly_inside_the_project(path: str) -> None:
    with pytest.raises(ValueError, match="not a path inside the project"):
        Changeset({path: Change(None, b"")})


def test_refuses_a_file_that_is_also_a_folder() -> None:
    with pytest.raises(ValueError, match="lies below 'a'"):
        Changeset({"a": Change(b"", None), "a/b": Change(None, b"")})


def test_importing_it_does_not_import_what_only_a_patch_needs() -> None:
    heavy = {"difflib", "zlib", "base64", "hashlib", "subprocess"}
    code = f"import sys; sys.path[:0] = {sys.path!r}; import laterctl.changeset; print({heavy!r} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "set()"
