"""Every regular expression of a module can be compiled, and stands in for itself."""

from __future__ import annotations

import importlib
import pkgutil
import re

import laterctl
from laterctl import patterns


def test_every_pattern_is_a_regular_expression() -> None:
    modules = [
        item.name for item in pkgutil.walk_packages(laterctl.__path__, "laterctl.") if "__main__" not in item.name
    ]
    found = [
        value
        for name in modules
        for value in vars(importlib.import_module(name)).values()
        if isinstance(value, patterns._Pattern)
    ]
    assert len(found) > 80
    for item in found:
        assert isinstance(item.match, type(re.compile("").match))


def test_it_is_compiled_once_with_its_flags() -> None:
    found = patterns.pattern("a", re.IGNORECASE)
    assert found.fullmatch("A")
    assert found.fullmatch is found.fullmatch
    assert (found.pattern, found.flags) == (
        re.compile("a", re.IGNORECASE).pattern,
        re.compile("a", re.IGNORECASE).flags,
    )
