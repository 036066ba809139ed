"""Several kinds of part in one statement of the user's: they come and go in any order, and the statement comes back."""

from __future__ import annotations

from itertools import permutations

import pytest

from laterctl.project.facts import Layout
from laterctl.render import Style
from laterctl.targets.argument import Argument
from laterctl.targets.base import Record, State
from laterctl.targets.call_name import CallName
from laterctl.targets.document import inspect
from laterctl.targets.list_entry import ListEntry
from laterctl.targets.python_file import converge

PATH = "main.py"
PARTS = (
    Argument(PATH, "", "app", "lifespan", "managed"),
    ListEntry(PATH, "", "app", "Ours(1)", "plugins", 1, (5, "Ours")),
    ListEntry(PATH, "", "app", "Others", "plugins", 1, (3, "Others")),
    CallName(PATH, "", "app", "make", "build"),
    CallName(PATH, "", "app", "make", "check"),
    CallName(PATH, "", "app", "lib.plug", "join"),
)
TEXTS = [
    "app = make(plugins=[lib.plug(1), 2])\n",
    "app = make(lib.plug, plugins=[\n    1,  # one\n    2,\n], debug=True)  # behind\n",
    "app = make(\r\n\tlib.plug(a=1),\r\n\tplugins=[1],\r\n)\r\n",
    "x = 1; app = make(plugins=[lib.plug]); y = 2\n",
    "app: App = (make(plugins=[(1), lib . plug]))\n",
]


@pytest.mark.parametrize("text", TEXTS)
def test_they_come_and_go_in_any_order(text: str) -> None:
    layout = Layout("", "", "", "tests", style=Style(line_length=60))
    original = text.encode()

    def step(data: bytes, before: list[Record], after: list[Record]) -> tuple[bytes, list[Record]]:
        done = converge(data, before, after, {}, layout)
        assert not done.left
        return done.data, [Record(item.target, True, done.replaced.get(item.target, item.replaced)) for item in after]

    every, _ = step(original, [], [Record(part) for part in PARTS])
    assert all(inspect(part, every).state is State.PRESENT for part in PARTS)
    assert b"build(check(make))(" in every
    for coming in list(permutations(PARTS))[::41]:
        data, records = original, []
        for part in coming:
            data, records = step(data, records, [*records, Record(part)])
        assert data == every
        for part in coming[::-1] if coming[0] is PARTS[0] else coming:
            data, records = step(data, records, [item for item in records if item.target != part])
        assert data == original
