"""The doctor rules of `migrations`: what they find, and what they leave alone."""

from __future__ import annotations

import pytest

from tests import memory
from tests.ruling import found
from tests.shapes import shape_named
from tests.test_laws import project_files


def revision(name: str, before: str, *lines: str) -> str:
    body = "".join(f"    {line}\n" for line in lines or ["pass"])
    head = (
        f"from alembic import op\nimport app.models\n\nrevision: str = '{name}'\ndown_revision: object = {before}\n\n\n"
    )
    return f"{head}def downgrade():\n{body}"


@pytest.mark.parametrize("before", ["('b', 'c')", "['b', 'c']"])
def test_a_merge_is_one_head(before: str) -> None:
    files = {"v/a.py": revision("a", "None"), "v/b.py": revision("b", "'a'"), "v/c.py": revision("c", "'a'")}
    assert [str(item.place) for item in found(files, {"MIG005"})] == ["v/b.py:4", "v/c.py:4"]
    assert found({**files, "v/d.py": revision("d", before)}, {"MIG005"}) == []


def test_a_folder_of_its_own_is_another_branch() -> None:
    files = {"v/a.py": revision("a", "None"), "v/b.py": revision("b", "'a'"), "plugin/v/c.py": revision("c", "'a'")}
    assert found(files, {"MIG005"}) == []
    apart = {**files, "plugin/v/d.py": revision("d", "'a'")}
    assert [str(item.place) for item in found(apart, {"MIG005"})] == ["plugin/v/c.py:4", "plugin/v/d.py:4"]


@pytest.mark.parametrize(
    ("line", "is_found"),
    [
        ("op.drop_constraint(constraint_name=None, table_name='t')", True),
        ("batch_op.drop_constraint(None, type_='unique')", True),
        ("op.drop_constraint(op.f('t_x_key'), 't')", False),
        ("op.create_unique_constraint(None, 't', ['x'])", False),
    ],
)
def test_mig002_in_other_forms(line: str, is_found: bool) -> None:
    assert bool(found({"v/a.py": revision("a", "None", line)}, {"MIG002"})) is is_found


def test_mig001_knows_that_the_foundation_does_it_in_memory_alone() -> None:
    after = memory.add(project_files(shape_named("foundation")), "migrations")
    files = {path: data.decode() for path, data in after.items()}
    assert found(files, {"MIG001"}) == []
    bare = {
        **files,
        "src/order_service/main.py": files["src/order_service/main.py"].replace(
            "only_in_memory(create_tables)", "create_tables"
        ),
    }
    assert [item.rule for item in found(bare, {"MIG001"})] == ["MIG001"]
