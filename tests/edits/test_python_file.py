"""Pieces of Python files, before and after: what goes in, what comes back, and where there is no place."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from laterctl.codemods.placement import TextEditError
from laterctl.project.facts import Layout
from laterctl.targets.argument import Argument
from laterctl.targets.base import Anchor, Record, Target
from laterctl.targets.block import Block
from laterctl.targets.import_name import ImportName
from laterctl.targets.python_file import Converged, converge
from laterctl.targets.statement import Statement

PATH = "shop/main.py"
LAYOUT = Layout("shop", "shop", ".", "tests", first_party=frozenset({"shop"}))
LIFESPAN = Argument(PATH, "create_app", "app", "lifespan", "managed")
BLOCK = Block(PATH, "f", "async with managed(app):")
NAME = Statement(PATH, "Settings", "name: str = 'a'", (20, "name"))
SIZE = Statement(PATH, "Settings", "size: int = 1", (20, "size"))
FIRST = Anchor(((0, "body"),), -1)


def put(
    text: str, *pieces: Target, anchor: Anchor = FIRST, had: tuple[Record, ...] = ()
) -> tuple[str, tuple[Record, ...]]:
    """Put pieces into a document; return it and the records of all that is ours in it."""
    fresh = [Record(target) for target in pieces]
    done = converge(text.encode(), had, [*had, *fresh], dict.fromkeys(pieces, anchor), LAYOUT)
    return done.data.decode(), (*had, *(replace(item, replaced=done.replaced.get(item.target)) for item in fresh))


def take(text: str, records: tuple[Record, ...], *, keep: tuple[Record, ...] = ()) -> Converged:
    """Take all pieces but those of `keep` out of a document."""
    return converge(text.encode(), records, keep, {}, LAYOUT)


def test_a_string_over_several_lines_keeps_its_content() -> None:
    text = 'def create_app():\n    app = FastAPI(\n        title="""\n    a\n  b\n        """,\n    )\n    return app\n'
    after, records = put(text, LIFESPAN)
    assert after == text.replace("    )\n", "        lifespan=managed,\n    )\n")
    assert take(after, records).data.decode() == text


def test_lines_left_of_the_block_and_blank_ones_stay_as_they_are() -> None:
    text = 'def create_app():\n    app = FastAPI(\n        title="a",\n\n  version="1"\n)\n    return app\n'
    after, records = put(text, LIFESPAN)
    assert after == text.replace('"1"\n', '"1",\n        lifespan=managed\n')
    assert take(after, records).data.decode() == text


def test_a_line_that_is_too_long_with_its_comment_is_wrapped_at_its_depth() -> None:
    text = f'def create_app():\n    app = FastAPI(title="{"x" * 45}")  # its title\n    return app\n'
    after, _ = put(text, LIFESPAN)
    assert after.splitlines()[1:5] == [
        "    app = FastAPI(",
        f'        title="{"x" * 45}",',
        "        lifespan=managed,",
        "    )  # its title",
    ]


def test_a_line_that_was_too_long_already_comes_back_unwrapped() -> None:
    text = f'def create_app():\n    app = FastAPI(title="{"x" * 90}")\n    return app\n'
    after, records = put(text, LIFESPAN)
    assert take(after, records).data.decode() == text


@pytest.mark.parametrize("filler", ["pass", "..."])
def test_a_filler_belongs_to_all_that_stand_in_its_place(filler: str) -> None:
    text = f"class Settings:\n    {filler}\n"
    after, one = put(text, NAME)
    assert after == "class Settings:\n    name: str = 'a'\n"
    after, both = put(after, SIZE, had=one)
    assert [record.replaced for record in both] == [filler, filler]
    without = take(after, both, keep=both[1:]).data.decode()
    assert without == "class Settings:\n    size: int = 1\n"
    assert take(without, both[1:]).data.decode() == text


def test_what_stands_behind_a_semicolon_belongs_to_the_line_above() -> None:
    text = "app = FastAPI(); ready = True\nother = 1\n"
    last, first = (Statement(PATH, "", f"app.{name}()", (rank, name)) for name, rank in (("b", 2), ("a", 1)))
    after, records = put(text, last, anchor=Anchor((), 0))
    both, records = put(after, first, anchor=Anchor((), 0), had=records)
    assert both == "app = FastAPI(); ready = True\napp.a()\napp.b()\nother = 1\n"
    assert take(both, records).data.decode() == text


def test_nothing_goes_behind_a_return_on_the_same_line() -> None:
    with pytest.raises(TextEditError, match="shares its line"):
        put(
            "def create_app():\n    app = FastAPI(); return app\n",
            Statement(PATH, "create_app", "app.a()"),
            anchor=Anchor(((0, "body"),), 0),
        )


def test_an_edited_argument_is_left() -> None:
    after, records = put("def create_app():\n    app = FastAPI()\n    return app\n", LIFESPAN)
    mine = after.replace("managed", "mine")
    done = take(mine, records)
    assert done.data.decode() == mine
    assert done.left == {LIFESPAN: "edited"}


def test_an_import_that_is_used_is_left() -> None:
    target = ImportName(PATH, "shop.core.cors", "Cors", "", "shop.core.cors.Cors")
    after, records = put("import os\n\nx = os\n", target)
    used = f"{after}y = Cors\n"
    done = take(used, records)
    assert done.data.decode() == used
    assert done.left == {target: "used"}


@pytest.mark.parametrize(
    "text",
    [
        "def create_app():\n    app = FastAPI(); x = 1\n    return app\n",
        "def create_app():\n    x = 1; app = FastAPI() ;\n    return app\n",
        "def create_app(): app = FastAPI(); return app\n",
    ],
)
def test_a_statement_that_shares_its_line_is_extended_in_its_place(text: str) -> None:
    after, records = put(text, LIFESPAN)
    assert after == text.replace("FastAPI()", "FastAPI(lifespan=managed)")
    assert take(after, records).data.decode() == text


def test_a_line_that_is_too_long_is_wrapped_at_the_depth_of_the_line() -> None:
    text = f'def create_app():\n    x = 1; app = FastAPI(title="{"x" * 45}")\n    return app\n'
    after, records = put(text, LIFESPAN)
    assert after.splitlines()[1:5] == [
        "    x = 1; app = FastAPI(",
        f'        title="{"x" * 45}",',
        "        lifespan=managed,",
        "    )",
    ]
    assert take(after, records).data.decode() == text


def test_an_edit_beside_our_argument_survives() -> None:
    text = "def create_app():\n    app = FastAPI(\n        title='a',  # its name\n    )\n    return app\n"
    after, records = put(text, LIFESPAN)
    edited = after.replace("'a'", '"a"').replace("its name", "still its name")
    assert take(edited, records).data.decode() == text.replace("'a'", '"a"').replace("its name", "still its name")


def test_what_a_formatter_did_for_our_argument_goes_with_it() -> None:
    text = "def create_app():\n    app = FastAPI(\n        title='a', docs_url=None\n    )\n    return app\n"
    after, records = put(text, LIFESPAN)
    formatted = after.replace("'a', ", "'a',\n        ").replace("managed\n", "managed,\n")
    assert take(formatted, records).data.decode() == text
    other_quotes = formatted.replace("'a'", '"a"')
    assert take(other_quotes, records).data.decode() == other_quotes.replace("        lifespan=managed,\n", "")


def test_line_ends_that_were_changed_stay_changed() -> None:
    text = "def create_app():\r\n    app = FastAPI(\r\n        title='a',\r\n    )\r\n    return app\r\n"
    after, records = put(text, LIFESPAN)
    assert after == text.replace("'a',\r\n", "'a',\r\n        lifespan=managed,\r\n")
    assert take(after.replace("\r\n", "\n"), records).data.decode() == text.replace("\r\n", "\n")


def test_a_comment_behind_our_block_stays_and_a_block_on_one_line_is_refused() -> None:
    text = "async def f(app):\n    yield\n        # deeper\n    close()\n"
    after, records = put(text, BLOCK)
    assert after == text.replace("    yield\n", "    async with managed(app):\n        yield\n")
    assert take(after, records).data.decode() == text
    commented = after.replace("managed(app):", "managed(app):  # opens all")
    assert take(commented, records).data.decode() == text.replace("    yield", "    # opens all\n    yield")
    with pytest.raises(TextEditError, match="one line"):
        take(after.replace(":\n        yield", ": yield"), records)


def test_a_comment_beside_our_argument_stays() -> None:
    text = "def create_app():\n    app = FastAPI(\n        title='a',\n    )\n    return app\n"
    after, records = put(text, LIFESPAN)
    commented = after.replace("managed,", "managed,  # opens what is needed")
    assert take(commented, records).data.decode() == text.replace("'a',\n", "'a',\n        # opens what is needed\n")


@pytest.mark.parametrize("above", ['"""Settings."""\n\n', ""])
def test_imports_above_all_others_are_set_apart_by_section(above: str) -> None:
    text = f"{above}from pydantic_settings import BaseSettings\n\n\nclass Settings(BaseSettings):\n    pass\n"
    literal, number = (ImportName(PATH, module, name) for module, name in (("typing", "Literal"), ("pydantic", "Json")))
    top = Anchor((), 0 if above else -1)
    after, records = put(text, literal, number, anchor=top)
    begins = f"{above}from typing import Literal\n\nfrom pydantic import Json\nfrom pydantic_settings import"
    assert after.startswith(begins)
    assert take(after, records).data.decode() == text
    for kept in records:
        assert take(after, records, keep=(kept,)).data.decode() == put(text, kept.target, anchor=top)[0]
