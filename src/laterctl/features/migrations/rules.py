"""Doctor rules of `migrations`: what makes the next upgrade, or the way back, fail."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

from laterctl.doctor.code import Code, Codebase, argument_of, constant, method_of, once
from laterctl.doctor.rule import Found, Rule, Severity
from laterctl.patterns import pattern
from laterctl.project.names import dotted_path
from laterctl.project.places import Place
from laterctl.project.statements import assigned_value, bound_targets, nodes, wrapped_function

# `alembic init` writes driver://user:pass@localhost/dbname, which is nobody's password.
_CREDENTIALS = pattern(r"\s*sqlalchemy\.url\s*=\s*(?!driver:)[\w+]+://[^:@/\s]+:(?!%\()[^@\s]+@")


@once
def revisions(codebase: Codebase) -> list[Code]:
    """Return the files that are revisions of Alembic."""
    paths = codebase.project.tree.files_containing(b"down_revision")
    codes = (codebase.readable(path) for path in paths if path.endswith(".py"))
    return [code for code in codes if code is not None and "revision" in _values(code)]


def _values(code: Code) -> Mapping[str, ast.expr | None]:
    """Return what a file binds its names to, outside of functions."""
    return {dotted_path(target): assigned_value(node) for node in code.tree.body for target in bound_targets(node)}


@once
def _ini_files(codebase: Codebase) -> list[str]:
    return [path for path in codebase.project.tree.files() if path.rpartition("/")[2] == "alembic.ini"]


def tables_without_migrations(codebase: Codebase) -> Iterator[Found]:
    """Look for an application that makes tables itself, beside migrations."""
    project = codebase.project
    if project.database is not None and (_ini_files(codebase) or project.tree.files_containing(b"[tool.alembic]")):
        for item in project.database.create_all:
            name = item.scope.rpartition(".")[2]
            if not (name and any(_is_wrapped(code, name) for code in codebase.containing(name.encode()))):
                yield Found(item.place, "what starts before the upgrade makes the tables, and the upgrade fails")


def _is_wrapped(code: Code, name: str) -> bool:
    """Whether a file calls what something made of a function, not the function: `only_in_memory(create_tables)()`."""
    called = (call.node.func for call in code.calls if isinstance(call.node.func, ast.Call))
    return any(dotted_path(wrapped_function(func)).rpartition(".")[2] == name for func in called)


def dropped_without_a_name(codebase: Codebase) -> Iterator[Found]:
    """Look for constraints that a revision drops without a name."""
    for code in revisions(codebase):
        for call in code.calls:
            name = argument_of(call.node, 0, "constraint_name")
            if method_of(call.node) == "drop_constraint" and isinstance(name, ast.Constant) and name.value is None:
                yield Found(Place(code.path, call.line), "there is no constraint without a name to be dropped")


def credentials_in_ini(codebase: Codebase) -> Iterator[Found]:
    """Look for a password in alembic.ini."""
    for path, text in codebase.texts(_ini_files(codebase)):
        for number, line in enumerate(text.splitlines(), 1):
            if _CREDENTIALS.match(line):
                yield Found(Place(path, number), "the password is in the repository")


def models_in_revisions(codebase: Codebase) -> Iterator[Found]:
    """Look for revisions that import models of the application."""
    for code in revisions(codebase):
        for visit in code.visits(ast.ImportFrom):
            module = visit.node.module or ""
            if "models" in module.split(".") and codebase.project.file_of(module) is not None:
                reason = f"{module} is what it will be then, not what it was when this revision was written"
                yield Found(Place(code.path, visit.line), reason)


def several_heads(codebase: Codebase) -> Iterator[Found]:
    """Look for revisions that nothing follows, beside each other in one folder: other folders are other branches."""
    named: dict[str, dict[str, Code]] = {}
    before: set[object] = set()
    for code in revisions(codebase):
        values = _values(code)
        named.setdefault(code.path.rpartition("/")[0], {})[str(constant(values["revision"]))] = code
        value = values.get("down_revision")
        before |= {constant(node) for node in nodes(value)} if value is not None else set()
    for codes in named.values():
        heads = sorted(codes.keys() - before)
        for name in heads if len(heads) > 1 else ():
            node = _values(codes[name])["revision"]
            yield Found(Place(codes[name].path, node.lineno if node else 1), f"heads: {', '.join(heads)}")


_ENV = {"alembic.ini": "[alembic]\nscript_location = migrations\n"}
_APP = {
    "app/__init__.py": "",
    "app/models.py": "from sqlalchemy.orm import DeclarativeBase\n\n\nclass Base(DeclarativeBase):\n    pass\n",
}
_MAIN = """\
from fastapi import FastAPI
from sqlalchemy import create_engine

from app.models import Base

engine = create_engine("sqlite:///app.db")
app = FastAPI()
"""
_REVISION = '"""One."""\n\nfrom alembic import op\n{imports}\nrevision = "{name}"{mark}\ndown_revision = {before}\n\n\n'
_BACK = _REVISION.format(imports="", name="a", mark="", before=None) + "def downgrade():\n"
_PATH = "migrations/versions/a.py"
_TWO = {"migrations/versions/b.py": _REVISION.format(imports="", name="b", mark="", before='"a"')}

MIG001 = Rule(
    id="MIG001",
    title="The application makes its tables beside Alembic",
    why="create_all makes what is missing and records nothing: the revision that makes the same table then fails. "
    "https://alembic.sqlalchemy.org/en/latest/cookbook.html",
    fix="take create_all out, and run alembic upgrade head before the application starts",
    needles=(b"create_all",),
    checks={Codebase: tables_without_migrations},
    bad=({**_ENV, **_APP, "app/main.py": f"{_MAIN}Base.metadata.create_all(engine)  # MIG001\n"},),
    good=(
        {**_ENV, **_APP, "app/main.py": _MAIN},
        {**_APP, "app/main.py": f"{_MAIN}Base.metadata.create_all(engine)\n"},
        {
            **_ENV,
            **_APP,
            "app/main.py": f"{_MAIN}\n\ndef make():\n    Base.metadata.create_all(engine)\n\n\nin_memory(make)()\n",
        },
    ),
)
MIG002 = Rule(
    id="MIG002",
    title="A revision drops a constraint without a name",
    why="Alembic writes None for a constraint that the model gives no name, and dropping that raises an error: "
    "https://alembic.sqlalchemy.org/en/latest/naming.html",
    fix="write the name that the database gave it, or let laterctl add migrations give names",
    severity=Severity.ERROR,
    needles=(b"drop_constraint",),
    checks={Codebase: dropped_without_a_name},
    scripts=True,
    bad=({_PATH: f'{_BACK}    op.drop_constraint(None, "users", type_="unique")  # MIG002\n'},),
    good=({_PATH: f'{_BACK}    op.drop_constraint("users_email_key", "users", type_="unique")\n'},),
)
MIG003 = Rule(
    id="MIG003",
    title="alembic.ini has the password of the database",
    why="It is kept with the code, by whoever can read that: CWE-260. A % in it breaks the file besides.",
    fix="leave sqlalchemy.url out, and take the application's engine in env.py",
    severity=Severity.ERROR,
    checks={Codebase: credentials_in_ini},
    scripts=True,
    bad=({"alembic.ini": "[alembic]\nsqlalchemy.url = postgresql://me:hush@db/app # MIG003\n"},),
    good=(
        {"alembic.ini": "[alembic]\nsqlalchemy.url = sqlite:///app.db\n"},
        {"alembic.ini": "[alembic]\nsqlalchemy.url = postgresql://me:%(PASSWORD)s@db/app\n"},
        {"alembic.ini": "[alembic]\nsqlalchemy.url = driver://user:pass@localhost/dbname\n"},
    ),
)
MIG004 = Rule(
    id="MIG004",
    title="A revision imports models of the application",
    why="The models go on, the revision stays: one day it asks for a column that its database does not have yet.",
    fix="write down in the revision the columns that it needs, with sa.table and sa.column",
    severity=Severity.ERROR,
    needles=(b"down_revision",),
    checks={Codebase: models_in_revisions},
    scripts=True,
    bad=(
        {
            **_APP,
            "app/main.py": _MAIN,
            _PATH: _REVISION.format(imports="from app.models import Base  # MIG004\n", name="a", mark="", before=None),
        },
    ),
    good=({**_APP, "app/main.py": _MAIN, _PATH: _BACK + "    pass\n"},),
)
MIG005 = Rule(
    id="MIG005",
    title="Several revisions have nothing after them",
    why="`alembic upgrade head` does not know which one is meant, and fails. "
    "https://alembic.sqlalchemy.org/en/latest/branches.html",
    fix="alembic merge heads",
    severity=Severity.ERROR,
    needles=(b"down_revision",),
    checks={Codebase: several_heads},
    scripts=True,
    bad=(
        {
            _PATH: _BACK + "    pass\n",
            "migrations/versions/b.py": _REVISION.format(imports="", name="b", mark="  # MIG005", before='"a"'),
            "migrations/versions/c.py": _REVISION.format(imports="", name="c", mark="  # MIG005", before='"a"'),
        },
    ),
    good=({_PATH: _BACK + "    pass\n", **_TWO},),
)
