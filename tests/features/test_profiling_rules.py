"""The doctor rules of `profiling`: what they find, and what they leave alone."""

from __future__ import annotations

import pytest

from tests.ruling import code

HEAD = "import cProfile as measuring\nfrom pyinstrument import Profiler\n\n\n"


@pytest.mark.parametrize(
    ("made", "on", "off"),
    [
        ("measuring.Profile()", "found.enable()", "found.disable()"),
        ("Profiler(async_mode='enabled')", "found.start()", "found.stop()"),
    ],
)
def test_it_is_found_unless_finally_switches_it_off(made: str, on: str, off: str) -> None:
    begin = f"{HEAD}async def run(work):\n    found = {made}\n    {on}\n"
    assert code("PRF001", f"{begin}    await work()\n    {off}\n\n\nrun(print)\n") == [on]
    assert code("PRF001", f"{begin}    try:\n        await work()\n    finally:\n        {off}\n\n\nrun(print)\n") == []


@pytest.mark.parametrize(
    "body",
    [
        "    found = mine.Profile()\n    found.enable()\n    work()\n    found.disable()\n",
        "    found = measuring.Profile()\n    found.enable()\n    return found\n",
        "    with Profiler() as found:\n        work()\n    found.print()\n",
    ],
)
def test_what_is_no_profiler_or_goes_on_elsewhere_is_left_alone(body: str) -> None:
    assert code("PRF001", f"{HEAD}def run(work, mine):\n{body}\n\nrun(print, None)\n") == []
