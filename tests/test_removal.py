"""Law 14: removing is whole or refused; what the user filled in stays in the ledger, and goes when that is asked for."""

from __future__ import annotations

import pytest

from laterctl.doctor import rules
from laterctl.doctor.run import look
from laterctl.engine import ledger
from laterctl.engine.plan import Plan, Request
from laterctl.finding import Verdict
from laterctl.proof.static import prove
from tests import memory
from tests.memory import Files, Refusing
from tests.shapes import shape_named
from tests.test_laws import project_files

FLAT = {
    "main.py": b"from fastapi import FastAPI\n\napp = FastAPI()\n",
    "requirements.txt": b"fastapi>=0.115\npydantic>=2\n",
}
OWN_SETTINGS = {
    **FLAT,
    "requirements.txt": b"fastapi>=0.115\npydantic>=2\npydantic-settings>=2.6\n",
    "config.py": (
        b"from pydantic_settings import BaseSettings\n\n\n"
        b'class Settings(BaseSettings):\n    title: str = "shop"\n\n\nsettings = Settings()\n'
    ),
    ".env.example": b"TITLE=shop\n",
}
POETRY = {
    "main.py": FLAT["main.py"],
    "pyproject.toml": b'[tool.poetry]\nname = "shop"\nversion = "1"\n\n'
    b'[tool.poetry.dependencies]\npython = "^3.11"\nfastapi = ">=0.115"\npydantic = "^2"\n',
}
PEP_621 = {
    "main.py": FLAT["main.py"],
    "pyproject.toml": b'[project]\nname = "shop"\nversion = "1"\ndependencies = ["fastapi>=0.115", "pydantic>=2"]\n',
}


def removed(files: Files, *names: str, delete_edited: bool = False) -> tuple[dict[str, bytes], Plan]:
    """Remove features; the result has to be proved. Returns the files, and the plan."""
    plan = memory.planned(files, Request(remove=names, delete_edited=delete_edited))
    after = memory.applied(files, plan)
    assert prove(memory.project(files), plan) == []
    return after, plan


def edited(files: Files, path: str, old: str = "", new: str = "\nMINE = 1\n") -> dict[str, bytes]:
    """Return files in which a user replaced a text that stands in one of them once, or put one at its end."""
    text = files[path].decode()
    assert not old or text.count(old) == 1, text
    return {**files, path: (text.replace(old, new) if old else text + new).encode()}


def left(files: Files) -> dict[str, set[str]]:
    """Return the files that the ledger names for features that are removed."""
    entries = ledger.load(memory.project(files).tree)
    return {name: {item.target.path for item in entry.records} for name, entry in entries.items() if entry.left}


def advice(files: Files) -> list[str]:
    """Return what doctor advises about installed features and about what they were."""
    found = look(memory.project(files), {rule.id for rule in rules.every()})
    return [f"{item.message}: {item.fix}" for item in found if item.verdict is not Verdict.OK]


FILLED_IN = {
    "jwt": ["core/auth/authenticator.py", "core/auth/tokens.py", "api/auth.py", "tests/test_jwt.py"],
    "cors": ["core/cors.py", "core/settings.py", "core/feature_settings.py", "core/error_boundary.py"],
    "metrics": ["core/metrics.py", "api/metrics.py"],
    "resources": ["core/redis.py", "core/http_client.py"],
}


@pytest.mark.parametrize(("feature", "path"), [(name, path) for name, paths in FILLED_IN.items() for path in paths])
def test_a_filled_in_file_stays_in_the_ledger_until_it_is_deleted(feature: str, path: str) -> None:
    whole = memory.add(FLAT, feature)
    mine = edited(whole, path)
    after, plan = removed(mine, feature)
    assert after["main.py"] == FLAT["main.py"]
    assert after[path].endswith(b"\nMINE = 1\n")
    assert (path, "edited") in {(target.path, reason) for target, reason in plan.kept}
    assert after.keys() - FLAT.keys() - {name for paths in left(after).values() for name in paths} == {
        name for name in after if name.startswith(".laterctl/")
    }
    assert advice(after) == []
    assert removed(after, feature)[0] == after
    assert memory.add(after, feature) == mine
    assert removed(after, feature, delete_edited=True)[0] == FLAT
    assert removed(mine, feature, delete_edited=True)[0] == FLAT


@pytest.mark.parametrize("change", ["deleted", "as it was"])
def test_what_is_no_longer_the_users_goes_without_a_flag(change: str) -> None:
    whole = memory.add(FLAT, "jwt")
    after, _ = removed(edited(whole, "core/auth/authenticator.py"), "jwt")
    if change == "deleted":
        del after["core/auth/authenticator.py"]
    else:
        after["core/auth/authenticator.py"] = whole["core/auth/authenticator.py"]
    assert memory.remove(memory.add(after, "coverage"), "coverage") == FLAT
    assert removed(after, "jwt")[0] == FLAT


def test_leftovers_are_not_in_the_way_of_another_feature() -> None:
    both = memory.add(FLAT, "jwt", "cors")
    mine = edited(both, "core/auth/authenticator.py", new="\nfrom core.cors import *\n")
    without, _ = removed(mine, "jwt")
    nothing, plan = removed(without, "cors")
    assert {target.path for target, _ in plan.kept} >= {"core/cors.py"}, "the file that stays needs it"
    assert nothing["main.py"] == FLAT["main.py"]
    assert left(nothing).keys() >= {"cors", "jwt"}
    assert advice(nothing) == []
    assert removed(nothing, "cors")[0] == nothing
    assert removed(nothing, "jwt", delete_edited=True)[0] == FLAT


def test_a_leftover_is_not_updated_and_not_put_back() -> None:
    after, _ = removed(edited(memory.add(FLAT, "jwt"), "core/auth/authenticator.py"), "jwt")
    with pytest.raises(Refusing, match="not-installed"):
        memory.run(after, Request(update=("jwt",)))
    more = memory.add(after, "cors")
    assert removed(more, "cors")[0] == after
    assert ledger.load(memory.project(more).tree)["jwt"].left == "edited"


def test_two_leftovers_go_one_after_the_other() -> None:
    both = memory.add(FLAT, "jwt", "metrics")
    mine = edited(edited(both, "core/auth/authenticator.py"), "core/metrics.py")
    nothing, _ = removed(mine, "jwt", "metrics")
    one, _ = removed(nothing, "jwt", delete_edited=True)
    assert "core/auth/authenticator.py" not in one
    assert one["core/metrics.py"] == mine["core/metrics.py"]
    assert removed(one, "metrics", delete_edited=True)[0] == FLAT


@pytest.mark.parametrize(
    ("shape", "feature", "path", "old", "new"),
    [
        ("flat", "cors", "main.py", "CorsSettings())", "CorsSettings(), x=1)"),
        ("middleware_list", "cors", "service/app.py", "CorsSettings())", "CorsSettings(), x=1)"),
    ],
)
@pytest.mark.parametrize("delete_edited", [False, True])
def test_edited_wiring_refuses(shape: str, feature: str, path: str, old: str, new: str, delete_edited: bool) -> None:
    mine = edited(memory.add(project_files(shape_named(shape)), feature), path, old, new)
    with pytest.raises(Refusing) as refusing:
        removed(mine, feature, delete_edited=delete_edited)
    places = [item.place for item in refusing.value.refusals if item.code == "edited"]
    lines = mine[path].decode().splitlines()
    assert [(item.path, new in lines[item.line - 1]) for item in places if item is not None] == [(path, True)]


PIECES = {
    "a default": (OWN_SETTINGS, "cors", "config.py", "cors_origins: list[str] | str = []", 'cors_origins: list[str] | str = ["https://a.example"]'),
    "a version": (FLAT, "metrics", "requirements.txt", "prometheus-client>=0.22", "prometheus-client==0.23.1"),
    "a constraint": (POETRY, "metrics", "pyproject.toml", 'prometheus-client = ">=0.22"', 'prometheus-client = "^0.23"'),
    "a spelling": (POETRY, "metrics", "pyproject.toml", 'prometheus-client = ">=0.22"', 'Prometheus_Client = "^0.23"'),
    "an item": (PEP_621, "metrics", "pyproject.toml", '"prometheus-client>=0.22"', '"prometheus-client[twisted]>=0.23"'),
    "an example": (OWN_SETTINGS, "cors", ".env.example", "CORS_CREDENTIALS=false", "CORS_CREDENTIALS=true"),
}  # fmt: skip


@pytest.mark.parametrize("case", PIECES)
def test_a_value_that_the_user_changed_is_left_over_too(case: str) -> None:
    files, feature, path, old, new = PIECES[case]
    mine = edited(memory.add(files, feature), path, old, new)
    after, plan = removed(mine, feature)
    assert new in after[path].decode()
    assert path in left(after)[feature]
    assert (path, "edited") in {(target.path, reason) for target, reason in plan.kept}
    assert removed(after, feature)[0] == after
    assert removed(after, feature, delete_edited=True)[0] == files
    assert removed(mine, feature, delete_edited=True)[0] == files


@pytest.mark.parametrize("path", [".env.example", ".gitignore", "requirements-dev.txt", "settings.toml"])
@pytest.mark.parametrize("features", [("cors",), ("coverage", "jwt")])
def test_an_empty_file_of_the_users_stays(path: str, features: tuple[str, ...]) -> None:
    files = {**FLAT, path: b""}
    after: dict[str, bytes] = dict(files)
    for name in features:
        after = memory.add(after, name)
    assert memory.add(files, *features) == after
    for name in features:
        after = memory.remove(after, name)
    assert after == files


STRANGERS = {
    "forbid": ('model_config = SettingsConfigDict(env_file=".env", extra="forbid")', [2, 4]),
    "default": ('model_config = SettingsConfigDict(env_file=".env")', [2, 4]),
    "dictionary": ('model_config = {"env_file": ".env", "extra": "forbid"}', [2, 4]),
    "prefix": ('model_config = SettingsConfigDict(env_file=".env", env_prefix="TITLE_")', [3]),
    "ignore": ('model_config = SettingsConfigDict(env_file=".env", extra="ignore")', []),
    "allow": ('model_config = SettingsConfigDict(env_file=".env", extra="allow")', []),
    "no file": ("model_config = SettingsConfigDict()", []),
}


@pytest.mark.parametrize("case", STRANGERS)
def test_lines_that_keep_the_settings_from_loading_are_named_before_the_write(case: str) -> None:
    config, lines = STRANGERS[case]
    text = OWN_SETTINGS["config.py"].decode().replace("import BaseSettings", "import BaseSettings, SettingsConfigDict")
    files = {**OWN_SETTINGS, "config.py": text.replace("    title", f"    {config}\n    title").encode()}
    env = b"TITLE=x\nCORS_ORIGINS=https://a.example\nTITLE_CORS_CREDENTIALS=1\n  export cors_origin_regex = x\n# CORS_EXPOSE=a\n"
    whole = {**memory.add(files, "cors"), ".env": env}
    after, plan = removed(whole, "cors")
    assert after == {**files, ".env": env}
    told = [item for item in plan.notes if item.level == "warning"]
    assert [item.place.line for item in told if item.place is not None] == lines
    assert all(item.place is not None and item.place.path == ".env" for item in told)
    assert not any("a.example" in item.message for item in told), "values are nobody's business"
    assert len(plan.notes) == 2 * len(told)
