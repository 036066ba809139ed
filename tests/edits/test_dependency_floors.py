"""Dependencies that a feature wants, against what the project's own files say about them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from laterctl.commands.change import prepare
from laterctl.engine.plan import Request
from laterctl.project.testpaths import testpaths as collected
from laterctl.project.tree import Tree
from laterctl.refusal import Refused
from tests import memory
from tests.project.making import write

MAIN = b"from fastapi import FastAPI\n\napp = FastAPI()\n"
TOML = '[project]\nname = "x"\nversion = "1"\ndependencies = ["fastapi>=0.120"]\n'


def files(**more: str) -> dict[str, bytes]:
    names = {name.replace("__", "/").replace("_DOT_", "."): text.encode() for name, text in more.items()}
    return {"main.py": MAIN, **names}


def refusal_of(given: dict[str, bytes], feature: str) -> list[tuple[str, str]]:
    with pytest.raises(memory.Refusing) as caught:
        memory.add(given, feature)
    return sorted((item.code, str(item.place)) for item in caught.value.refusals)


@pytest.mark.parametrize(
    ("given", "places"),
    [
        (
            {"requirements.txt": b"-c limits.txt\nfastapi\n", "limits.txt": b"# old\npyjwt==2.4.0\nredis<6\n"},
            ["limits.txt:2"],
        ),
        (
            {
                "pyproject.toml": TOML.encode() + b'[tool.uv]\noverride-dependencies = ["PyJWT<2"]\n',
                "uv.lock": b"version = 1\n",
            },
            ["pyproject.toml:6"],
        ),
        ({"requirements.txt": b"fastapi\n", "requirements/extra.txt": b"PyJWT==2.4\n"}, ["requirements/extra.txt:1"]),
    ],
)
def test_what_a_constraint_excludes_is_refused(given: dict[str, bytes], places: list[str]) -> None:
    assert refusal_of({"main.py": MAIN, **given}, "jwt") == [("version-cap", place) for place in places]


def test_a_constraint_that_fits_is_none_of_our_business() -> None:
    given = {
        "main.py": MAIN,
        "requirements.txt": b"-c limits.txt\nfastapi\n",
        "limits.txt": b"pyjwt==2.12.1\nuvicorn<0.1\n",
    }
    assert b"pyjwt[crypto]>=2.12" in memory.add(given, "jwt")["requirements.txt"]


def test_constraints_are_floors_of_features_too() -> None:
    given = {"main.py": MAIN, "requirements.txt": b"-c limits.txt\nfastapi\n", "limits.txt": b"fastapi==0.100\n"}
    assert ("below-floor", "limits.txt:1") in refusal_of(given, "cors")


@pytest.mark.parametrize(("name", "line"), [("jwt==1.3.1", 2), ("JWT", 2)])
def test_a_distribution_with_the_same_module_is_refused(name: str, line: int) -> None:
    given = {"main.py": MAIN, "requirements.txt": f"fastapi\n{name}\nmultipart\n".encode()}
    assert refusal_of(given, "jwt") == [("module-hidden", f"requirements.txt:{line}")]
    assert memory.add({**given, "requirements.txt": b"fastapi\npython-jose\n"}, "jwt")


def test_hashes_are_refused_with_the_lines_to_add() -> None:
    text = "fastapi==0.120.0 \\\n    --hash=sha256:11\n"
    with pytest.raises(memory.Refusing) as caught:
        memory.add({"main.py": MAIN, "requirements.txt": text.encode()}, "metrics")
    (refusal,) = caught.value.refusals
    assert (refusal.code, str(refusal.place)) == ("cannot-edit", "requirements.txt:2")
    assert refusal.snippet.splitlines() == ["prometheus-client>=0.22", "pydantic-settings>=2.6"]
    pasted = "".join(
        f"{name} \\\n    --hash=sha256:22\n" for name in ("prometheus-client==0.22", "pydantic-settings==2.6")
    )
    after = memory.add({"main.py": MAIN, "requirements.txt": (text + pasted).encode()}, "metrics")
    assert after["requirements.txt"].decode() == text + pasted


@pytest.mark.parametrize("python", ["^3.8", "~3.9", "3.9", ">=3.9,<3.13", "3.9.*", "^3.8 || ^3.11"])
def test_poetry_s_python_is_a_floor(python: str) -> None:
    toml = f'[tool.poetry.dependencies]\npython = "{python}"\nfastapi = "^0.120"\n'
    assert refusal_of({"main.py": MAIN, "pyproject.toml": toml.encode()}, "coverage") == [
        ("below-floor", "pyproject.toml:2")
    ]
    newer = toml.replace("3.8", "3.11").replace("3.9", "3.11")
    assert memory.add({"main.py": MAIN, "pyproject.toml": newer.encode()}, "coverage")


def test_requires_python_beside_a_requirements_file_is_a_floor() -> None:
    toml = b'[project]\nname = "x"\nrequires-python = ">=3.8"\n'
    given = {"main.py": MAIN, "requirements.txt": b"fastapi\n", "pyproject.toml": toml}
    assert refusal_of(given, "coverage") == [("below-floor", "pyproject.toml:3")]


# Where entries go


def test_pipfile_and_conda_are_edited_and_given_back() -> None:
    pipfile = b'[packages]\nfastapi = "*"\n'
    conda = b"dependencies:\n  - python=3.12\n  - pip:\n      - fastapi\nprefix: /opt\n"
    for name, text in (("Pipfile", pipfile), ("environment.yml", conda)):
        for newline in (b"\n", b"\r\n"):
            before = {"main.py": MAIN, name: text.replace(b"\n", newline)}
            after = memory.add(before, "metrics")
            assert b"prometheus-client" in after[name]
            assert after[name].count(b"\n") == after[name].count(newline)
            assert memory.remove(after, "metrics") == before
    lines = memory.add({"main.py": MAIN, "environment.yml": conda}, "metrics")["environment.yml"].decode().splitlines()
    assert "      - prometheus-client>=0.22" in lines
    assert lines[-1] == "prefix: /opt"
    table = memory.add({"main.py": MAIN, "Pipfile": pipfile}, "metrics")["Pipfile"].decode()
    assert 'prometheus-client = ">=0.22"' in table
    assert "[dev-packages]" in table


def test_coverage_takes_the_file_that_lists_pytest_cov() -> None:
    given = {
        "main.py": MAIN,
        "requirements.txt": b"fastapi\n",
        "requirements/dev.txt": b"ruff\n",
        "requirements/test.txt": b"pytest-cov\n",
    }
    after = memory.add(given, "coverage")
    assert after["requirements/test.txt"] == given["requirements/test.txt"]
    assert b"pytest-cov" not in after["requirements/dev.txt"]
    assert memory.remove(after, "coverage") == given


@pytest.mark.parametrize(
    ("locked", "listed", "fits"), [("7.5.3", True, False), ("7.12", True, True), ("7.5.3", False, True)]
)
def test_what_the_user_lists_stays_as_it_is_locked(locked: str, listed: bool, fits: bool) -> None:
    dev = '[dependency-groups]\ndev = ["coverage>=7", "pytest-cov>=7"]\n' if listed else ""
    lock = f'version = 1\n\n[[package]]\nname = "coverage"\nversion = "{locked}"\n'
    given = {"main.py": MAIN, "pyproject.toml": f"{TOML}\n{dev}".encode(), "uv.lock": lock.encode()}
    if fits:
        assert memory.remove(memory.add(given, "coverage"), "coverage") == given
    else:
        assert refusal_of(given, "coverage") == [("below-floor", "pyproject.toml:7")]


def test_what_the_repository_ignores_already_is_not_said_again(tmp_path: Path) -> None:
    project = {"api/main.py": MAIN.decode(), "api/requirements.txt": "fastapi\n", "api/README.md": ""}
    write(tmp_path, {**project, ".gitignore": ".coverage\n.coverage.*\nhtmlcov/\n/coverage.xml\n"})
    outside = prepare(tmp_path / "api", Request(add=("coverage",)), install=False)
    assert len(outside.plan.changeset[".gitignore"].after.splitlines()) == 4
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    inside = prepare(tmp_path / "api", Request(add=("coverage",)), install=False)
    assert inside.plan.changeset[".gitignore"].after == b"coverage.xml\n"


# The user's own configuration of coverage


def covered(text: str, dev: str = "") -> str:
    group = f"\n[dependency-groups]\ndev = [{dev}]\n" if dev else ""
    before = {"main.py": MAIN, "pyproject.toml": f"{TOML}{group}\n{text}".encode(), ".gitignore": b"*.pyc\n"}
    after = memory.add(before, "coverage")
    assert memory.remove(after, "coverage") == before
    assert memory.add(after, "coverage") == after
    return after["pyproject.toml"].decode()


@pytest.mark.parametrize(
    "kept",
    [
        '[tool.coverage.run]\nsource = ["shop", "lib"]\n',
        '[tool.coverage.run]\ncore = "sysmon"\nomit = ["*/migrations/*"]\n',
        "[tool.coverage.report]\nskip_covered = false\nfail_under = 95\nshow_missing = false\n",
        '[tool.coverage.run]\npatch = ["_exit", "subprocess"]\n',
    ],
)
def test_the_user_s_taste_stays(kept: str) -> None:
    assert kept in covered(kept)


def test_sources_of_the_user_s_are_the_only_ones() -> None:
    assert "source_" not in covered('[tool.coverage.run]\nsource = ["shop"]\n')


def test_what_is_missing_in_a_list_of_the_user_s_is_added() -> None:
    text = covered(
        '[tool.coverage.run]\npatch = ["_exit"]\n\n[tool.coverage.report]\nexclude_also = ["assert_never"]\n'
    )
    assert 'patch = ["_exit", "subprocess"]' in text
    assert '"assert_never"' in text
    assert "raise NotImplementedError" in text


@pytest.mark.parametrize("declared", ['"pytest-cov>=4,<6"', '"pytest-cov==5.0.0"', '"pytest-cov~=4.1"', '"pytest-cov"'])
def test_older_pytest_cov_stays(declared: str) -> None:
    assert declared in covered("", declared)


def test_pytest_cov_that_is_too_old_is_refused() -> None:
    given = TOML + '\n[dependency-groups]\ndev = ["pytest-cov<4"]\n'
    assert refusal_of({"main.py": MAIN, "pyproject.toml": given.encode()}, "coverage") == [
        ("version-cap", "pyproject.toml:7")
    ]


# Tests


def test_ignored_tests_are_left_out_and_that_is_said(tmp_path: Path) -> None:
    write(tmp_path, {"main.py": MAIN, "requirements.txt": "fastapi\n", ".gitignore": "tests/\n"})
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    prepared = prepare(tmp_path, Request(add=("cors",)), install=False)
    assert not [path for path in prepared.plan.changeset if path.startswith("tests/")]
    assert "core/cors.py" in prepared.plan.changeset
    warnings = [note.message for note in prepared.notes if note.level == "warning"]
    assert [message for message in warnings if "tests/test_cors.py (.gitignore:1:tests/)" in message]


def test_other_ignored_code_is_still_refused(tmp_path: Path) -> None:
    write(tmp_path, {"main.py": MAIN, "requirements.txt": "fastapi\n", ".gitignore": "core/\n"})
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    with pytest.raises(Refused, match="git would ignore"):
        prepare(tmp_path, Request(add=("cors",)), install=False)


@pytest.mark.parametrize(
    ("name", "text", "folder"),
    [
        ("pyproject.toml", '[tool.pytest.ini_options]\ntestpaths = ["checks/unit", "checks/slow"]\n', "checks/unit"),
        ("pytest.ini", "[pytest]\ntestpaths = checks\n", "checks"),
        ("setup.cfg", "[tool:pytest]\ntestpaths =\n    checks\n", "checks"),
        ("tox.ini", "[pytest]\naddopts = -q\n", "tests"),
        ("pytest.ini", "[pytest]\ntestpaths = .\n", "tests"),
        ("pytest.ini", "[pytest]\ntestpaths = tests/unit tests\n", "tests"),
    ],
)
def test_tests_go_where_pytest_looks(name: str, text: str, folder: str) -> None:
    given = {"main.py": MAIN, "requirements.txt": b"fastapi\n", name: text.encode()}
    after = memory.add(given, "cors")
    assert f"{folder}/test_cors.py" in after


def test_patterns_and_broken_files_say_nothing(tmp_path: Path) -> None:
    write(tmp_path, {"pytest.ini": "[pytest]\ntestpaths = packages/*/tests ../x\n", "setup.cfg": "testpaths\n"})
    assert collected(Tree(tmp_path)) == ()
