"""`--json`: one document on standard output that fits the published schema, and everything else on standard error."""

from __future__ import annotations

import ast
import json
import shutil
import sys
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import laterctl
from tests.cli.command import YES, append, commit, contents, done, project, replace, run, tree, validator
from tests.shapes import git

METRICS = ("add", "metrics", *YES, "--json")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository into which metrics has been added, and not committed yet."""
    folder = project(tmp_path_factory.mktemp("installed"), "factory")
    done(folder, "add", "metrics", *YES)
    return folder


@pytest.fixture
def copied(installed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(installed, tmp_path / "copy", symlinks=True))


def test_the_schema_is_published_and_strict() -> None:
    schema = json.loads((files("laterctl.cli") / "schema.json").read_text(encoding="utf-8"))
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    kinds = set(schema["properties"]["kind"]["enum"])
    assert kinds == {kind for kind, item in schema["$defs"].items() if "kind" in item.get("properties", ())}
    assert all(schema["$defs"][kind]["additionalProperties"] is False for kind in kinds)
    for wrong in (
        {"schema": 2, "kind": "undone", "command": "x"},
        {"schema": 2, "kind": "undone", "command": "x", "files": [], "more": 1},
        {"schema": 3, "kind": "undone", "command": "x", "files": []},
        {"schema": 2, "kind": "hope"},
        {"schema": 2, "kind": "error", "code": "Not A Code", "message": ""},
    ):
        with pytest.raises(jsonschema.ValidationError):
            validator().validate(wrong)


def test_the_schema_lists_the_reasons_for_refusals() -> None:
    """Each that the code gives, and none that it does not; those of facts are `no-FACT`."""
    texts: set[str] = set()
    given: set[str] = set()
    for path in Path(laterctl.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.add(node.value)
            elif isinstance(node, ast.Call) and ast.unparse(node.func) in {"Refusal", "Undecided"}:
                code = node.args[0]
                handed_on = ast.unparse(code).endswith(".code") or ast.unparse(code).startswith("f'no-{")
                assert isinstance(code, ast.Constant) or handed_on, f"{path}:{node.lineno}: the code is not to be seen"
                given |= {code.value} if isinstance(code, ast.Constant) else set()
    listed = set(validator().schema["$defs"]["reason"]["enum"])
    assert given - listed == set()
    assert {code for code in listed - texts if not code.startswith("no-")} == set()


def test_a_run_from_the_plan_to_undo(tmp_path: Path) -> None:
    folder = project(tmp_path, "factory")
    before = contents(folder)

    made = run(folder, "add", "metrics", "--json")
    assert (made.code, made.document["kind"], made.err) == (6, "unanswered", "")
    assert made.document["command"] == "laterctl add metrics --yes"

    stages = {("--dry-run",): "dry-run", ("--diff",): "diff", ("--check",): "check", ("--check", "--diff"): "check"}
    for flags, stage in stages.items():
        ran = run(folder, "add", "metrics", "--json", *flags)
        assert ran.code == int("--check" in flags)
        assert (ran.document["kind"], ran.document["stage"], ran.err) == ("plan", stage, "")
        assert without_stage(ran.document) == without_stage(made.document), "all say the same"
    assert contents(folder) == before

    ran = done(folder, *METRICS)
    document = ran.document
    assert (document["kind"], document["proof"], document["installed"]) == ("done", None, [])
    assert document["skipped_install"] == document["dependencies"] == ["prometheus-client>=0.22"]
    assert (document["added"][-1], sorted(document["pulled"])) == ("metrics", ["routing", "settings"])
    assert document["patch"] == made.document["patch"]
    changed = {item["path"]: item["action"] for item in document["files"]}
    after = contents(folder)
    assert {path for path in {*before, *after} if before.get(path) != after.get(path)} == changed.keys()
    assert {path for path, action in changed.items() if action == "create"} == after.keys() - before.keys()
    assert document["counts"]["edited"] == sum(action == "edit" for action in changed.values())

    assert done(folder, *METRICS).document["stage"] == "nothing-to-do"
    ran = done(folder, *document["undo"].split()[1:], "--json")
    assert ran.document == {
        "schema": 2,
        "kind": "undone",
        "command": "laterctl add metrics --yes --no-install",
        "files": sorted(changed),
    }
    assert contents(folder) == before


def without_stage(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name not in {"kind", "stage", "questions", "command"}}


def test_progress_goes_to_standard_error(tmp_path: Path) -> None:
    folder = project(tmp_path)
    append(folder / "pyproject.toml", f'[tool.laterctl]\npython = "{sys.executable}"\n')
    commit(folder)
    ran = done(folder, "add", "security-headers", *YES, "--prove", "--json")
    assert ran.document["proof"]["ran"] is True
    assert ran.document["proof"]["failures"] == []
    assert "scratch copy" in ran.err


def test_a_proof_that_failed(tmp_path: Path) -> None:
    folder = project(tmp_path)
    append(folder / "main.py", '\nif app.user_middleware:\n    raise RuntimeError("no")\n')
    append(folder / "pyproject.toml", f'[tool.laterctl]\npython = "{sys.executable}"\n')
    commit(folder)
    ran = run(folder, "add", "security-headers", *YES, "--prove", "--json")
    assert (ran.code, ran.document["kind"], ran.document["packages"]) == (4, "proof-failed", [])
    assert ran.document["failures"][0]["check"] == "imports"


@pytest.mark.parametrize(
    ("arguments", "code", "error"),
    [
        (("add", "metrix", "--yes"), 2, "unknown-feature"),
        (("add", "redis", "--yes"), 2, "unknown-feature"),
        (("add",), 2, "usage"),
        (("add", "jwt", "--set", "x"), 2, "usage"),
        (("add", "jwt", "--install", "conda"), 2, "usage"),
        (("info",), 2, "usage"),
        (("explain", "XX1"), 2, "unknown-rule"),
        (("doctor", "--only", "JTW001"), 2, "unknown-rule"),
        (("doctor", "--skip", "LTR,nope"), 2, "unknown-rule"),
        (("secret", "cors"), 2, "usage"),
        (("new", "class"), 2, "usage"),
        (("undo",), 6, "unanswered"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_errors(arguments: tuple[str, ...], code: int, error: str, installed: Path) -> None:
    before = tree(installed)
    ran = run(installed, *arguments, "--json")
    assert (ran.code, ran.document["kind"], ran.document["code"], ran.err) == (code, "error", error, "")
    assert tree(installed) == before


def test_more_errors(copied: Path) -> None:
    append(copied / "app/main.py", "# mine\n")
    ran = run(copied, "add", "cors", *YES, "--json")
    assert (ran.code, ran.document["code"]) == (6, "dirty")
    ran = run(copied, "undo", "--yes", "--json")
    assert (ran.code, ran.document["code"]) == (3, "changed")
    ran = run(copied, "add", "cors", "--dry-run", "--json")
    assert (ran.code, ran.document["dirty"]) == (0, ["app/main.py"])


def test_nothing_to_undo(tmp_path: Path) -> None:
    ran = run(project(tmp_path), "undo", "--yes", "--json")
    assert (ran.code, ran.document["code"]) == (3, "nothing-to-undo")


def test_refusals_carry_their_place(tmp_path: Path) -> None:
    folder = project(tmp_path, "two_apps")
    ran = run(folder, "add", "metrics", "--json")
    assert (ran.code, ran.document["kind"], ran.err) == (3, "refused", "")
    (refusal,) = ran.document["refusals"]
    assert (refusal["code"], refusal["place"]) == ("several-apps", {"path": "patients/main.py", "line": 7})
    assert refusal["snippet"] == "app.add_middleware(MetricsMiddleware)\napp.include_router(metrics_router)"


def test_what_stays_after_remove(copied: Path) -> None:
    append(copied / "app/core/metrics.py", "\n\nMINE = 1\n")
    ran = done(copied, "remove", "metrics", *YES, "--json", "--allow-dirty")
    kept = {item["path"]: item["reason"] for item in ran.document["kept"]}
    assert kept["app/core/metrics.py"] == "edited"
    assert kept["pyproject.toml"] == "needed by what you edited"
    assert ran.document["removed"] == ["metrics", "routing", "settings"]


@pytest.mark.parametrize(
    ("arguments", "kind", "holds"),
    [
        (("list",), "list", lambda it: {"metrics": "requested"}.items() <= {i["name"]: i["installed"] for i in it["features"]}.items()),
        (("info", "metrics"), "feature", lambda it: it["name"] == "metrics" and it["present"]),
        (("info", "prometheus"), "feature", lambda it: it["name"] == "metrics"),
        (("info", "cors"), "feature", lambda it: it["name"] == "cors" and not it["present"]),
        (("info", "--project"), "project", lambda it: it["app"]["reference"] == "app.main:app" and it["container"] is None),
        (("doctor",), "doctor", lambda it: {item["rule"] for item in it["findings"]} == {"LTR003"} and it["fixed"] is None),
        (("explain",), "rules", lambda it: {"LTR001", "LTR012", "CORS001"} <= {item["id"] for item in it["rules"]}),
        (("explain", "jwt001"), "rules", lambda it: [item["id"] for item in it["rules"]] == ["JWT001"]),
        (
            ("explain", "CORS001"),
            "rules",
            lambda it: it["rules"][0]["severity"] == "error"
            and "# CORS001" in it["rules"][0]["bad"][0]["app/main.py"]
            and it["rules"][0]["good"],
        ),
        (("secret", "jwt"), "secret", lambda it: len(it["values"]["BOOKSHOP_JWT_KEYS"]) > 80 and it["lines"][0]["path"] == ".env"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)  # fmt: skip
def test_commands_that_look(
    arguments: tuple[str, ...], kind: str, holds: Callable[[dict[str, Any]], object], installed: Path
) -> None:
    before = tree(installed)
    ran = done(installed, *arguments, "--json")
    assert (ran.document["kind"], ran.err) == (kind, "")
    assert holds(ran.document), ran.out
    assert tree(installed) == before


def test_without_an_application_nothing_is_said_about_its_layout(tmp_path: Path) -> None:
    folder = project(tmp_path, "two_apps")
    ran = done(folder, "info", "--project", "--json")
    assert (ran.document["app"], ran.document["layout"]) == (None, None)
    assert [item["code"] for item in ran.document["undecided"]] == ["several-apps"]
    assert (
        done(folder, "--app", "patients.main:app", "info", "--project", "--json").document["layout"]["package"]
        == "patients"
    )


def test_list_and_doctor_with_a_ledger_that_nobody_can_read(copied: Path) -> None:
    (copied / ".laterctl/feature-metrics.json").write_text("{")
    ran = done(copied, "list", "--json")
    assert [item["code"] for item in ran.document["unread"]] == ["ledger-broken"]
    assert "not known" in done(copied, "list").err
    ran = run(copied, "doctor", "--json")
    assert (ran.code, ran.document["kind"]) == (7, "doctor")
    assert ("LTR002", "unknown") in {(item["rule"], item["verdict"]) for item in ran.document["findings"]}


def test_doctor_fixes_in_one_document(copied: Path) -> None:
    before = contents(copied)
    replace(copied / "app/main.py", "    application.include_router(metrics_router)\n", "")
    ran = run(copied, "doctor", "--json")
    assert ran.code == 1
    (problem,) = [item for item in ran.document["findings"] if item["verdict"] == "problem"]
    assert (problem["rule"], problem["place"]["path"], problem["fixable"]) == ("LTR005", "app/main.py", True)
    ran = done(copied, "doctor", "--fix", "--yes", "--allow-dirty", "--json")
    assert [item["path"] for item in ran.document["fixed"]["files"]] == ["app/main.py"]
    assert {item["verdict"] for item in ran.document["findings"]} == {"ok"}
    assert contents(copied) == before
    assert ran.document["message"] == ""
    again = done(copied, "doctor", "--fix", "--json").document
    assert (again["fixed"], again["message"].partition(":")[0]) == (None, "nothing that --fix may put back")


def test_doctor_draws_the_onion(copied: Path) -> None:
    (layer,) = done(copied, "doctor", "--json").document["onion"]
    assert layer["middleware"].endswith("MetricsMiddleware")
    line = (copied / "app/main.py").read_text().splitlines()[layer["place"]["line"] - 1]
    assert "add_middleware(MetricsMiddleware)" in line
    drawn = done(copied, "doctor").out.partition("\nMiddleware of app.main:app\n")[2].splitlines()
    assert [line.split() for line in drawn[:2]] == [
        ["MetricsMiddleware", f"app/main.py:{layer['place']['line']}"],
        ["the", "routes"],
    ]


def test_without_middleware_there_is_no_onion(tmp_path: Path) -> None:
    folder = project(tmp_path)
    assert run(folder, "doctor", "--json").document["onion"] == []
    assert "Middleware of" not in run(folder, "doctor").out


@pytest.mark.parametrize("settings", ["dynaconf", "pydantic"])
def test_new(settings: str, tmp_path: Path) -> None:
    ran = done(tmp_path, "new", "tiny-shop", "--settings", settings, "--json")
    assert (ran.document["kind"], ran.document["name"]) == ("created", "tiny-shop")
    assert ran.document["files"] == sorted(contents(tmp_path / "tiny-shop"))
    ran = run(tmp_path, "new", "tiny-shop", "--json")
    assert (ran.code, ran.document["refusals"][0]["code"]) == (3, "folder-exists")


def test_without_git_nobody_knows_what_is_dirty(tmp_path: Path) -> None:
    folder = project(tmp_path)
    assert run(folder, "add", "metrics", "--dry-run", "--json").document["dirty"] == []
    shutil.rmtree(folder / ".git")
    assert run(folder, "add", "metrics", "--dry-run", "--json").document["dirty"] is None


def test_the_patch_in_the_document_applies(tmp_path: Path) -> None:
    folder = project(tmp_path, "subfolder")
    document = done(folder, "add", "jwt", "--dry-run", "--json").document
    patch = tmp_path / "jwt.patch"
    patch.write_bytes(document["patch"].encode())
    git(folder, "apply", str(patch))
    applied = contents(tmp_path / "repository")
    git(folder, "reset", "--hard", "--quiet")
    git(folder, "clean", "-fdq")
    done(folder, "add", "jwt", *YES)
    assert contents(tmp_path / "repository") == applied
