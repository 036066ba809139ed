"""Which cases are run every time, and whose turn it is of those that are not.

What a law says of one feature alone, and of all of them together, is tested on every shape. Of cases that multiply
(every feature but one, every pair) all are run on `DIALECTS`, where pairs are all run on the first and a third of them on
the rest; on other shapes it is a tenth each time, another one with each commit. `LATERCTL_TURN=...` chooses those that a
failed run printed.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from random import Random
from typing import Final, TypeVar

from tests.shapes import SHAPES, Shape, shape_named

Case = TypeVar("Case")

VARIABLE: Final = "LATERCTL_TURN"
DIALECTS: Final = tuple(
    shape_named(name)
    for name in ("foundation", "middleware_list", "factory", "poetry", "cached_getter", "starlette_config")
)
"""Shapes that have each dialect of settings, providers, manifests and applications between them."""
OTHERS: Final = tuple(shape for shape in SHAPES if shape not in DIALECTS)


@cache
def turn() -> str:
    """Return what decides whose turn it is: the variable, or the commit that is checked out."""
    if VARIABLE not in os.environ:
        command = ("git", "rev-parse", "--short=12", "HEAD")
        try:
            done = subprocess.run(
                command,
                cwd=Path(__file__).parent,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
        except FileNotFoundError:
            return "0"
        return done.stdout.strip() or "0"
    return os.environ[VARIABLE]


def tenth(cases: Sequence[Case], of: str, parts: int = 10) -> list[Case]:
    """Return a tenth of the cases, or another part, at least one, in their order; `of` tells sets of cases apart."""
    drawn = Random(f"{turn()} {of}").sample(range(len(cases)), -(-len(cases) // parts))
    return [cases[number] for number in sorted(drawn)]


def due(shape: Shape, cases: Sequence[Case], of: str) -> Sequence[Case]:
    """Return the cases to run on a shape: all of them on one of `DIALECTS`, else a tenth."""
    return cases if shape in DIALECTS else tenth(cases, f"{of} {shape.name}")
