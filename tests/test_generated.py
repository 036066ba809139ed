"""The laws, on applications that nobody wrote: hypothesis makes up `main.py` and what is around it."""

from __future__ import annotations

import ast
import difflib
import io
import os
import subprocess
import tokenize
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from laterctl.changeset import patch
from laterctl.engine.plan import Request
from laterctl.proof.static import prove
from tests import memory
from tests.applications import applications
from tests.test_laws import assert_same

PAIR: Final = ("metrics", "resources")
CHOICES: Final = (("cors",), ("metrics",), ("resources",), ("tracing",), PAIR)
BOM: Final = b"\xef\xbb\xbf"

quick = settings(
    derandomize=True, max_examples=40, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)
long = settings(quick, derandomize=False, max_examples=150)


def hold(before: Mapping[str, bytes], features: tuple[str, ...]) -> None:
    """Hold the laws on one project, for one feature or for two."""
    single = {name: once for name in features if (once := hold_alone(before, name))}
    if len(single) < 2:
        return
    one, other = features
    both = memory.add(single[one], other)
    assert_same(both, memory.add(single[other], one), f"{one};{other} = {other};{one}")
    assert_same(both, memory.add(before, one, other), f"{one};{other} at once")
    assert_same(memory.remove(both, one), single[other], f"{one};{other}; remove {one}")
    assert_same(memory.remove(both, other), single[one], f"{one};{other}; remove {other}")
    survives(before["shop/main.py"], both["shop/main.py"])


def hold_alone(before: Mapping[str, bytes], feature: str) -> dict[str, bytes]:
    """Hold the laws for one feature; return the project with it, or nothing when it was refused with good reason."""
    plan = memory.planned(before, Request(add=(feature,)))
    for item in plan.refusals:
        assert all((item.code, item.message, item.place, item.snippet or item.remedy)), item
    if plan.refusals:
        return {}
    assert prove(memory.project(before), plan) == []
    once = dict(before) | {path: change.after or b"" for path, change in plan.changeset.items()}
    assert_same(memory.add(once, feature), once, f"{feature};{feature} = {feature}")
    assert_same(memory.remove(once, feature), before, f"add {feature}; remove {feature}")
    for path, data in before.items():
        if path.endswith(".py"):
            survives(data, once[path])
    return once


def survives(before: bytes, after: bytes) -> None:
    """Check that a Python file kept all that its author wrote: mark, line ends, lines, and tokens in order."""
    assert before.startswith(BOM) == after.startswith(BOM)
    old, new = (data.removeprefix(BOM).decode() for data in (before, after))
    assert ("\r" in old) == ("\r" in new) or not old
    if "\r" in old:
        assert new.count("\r\n") == new.count("\n") == new.count("\r")
    assert old.endswith("\n") == new.endswith("\n"), "the last line ends otherwise"
    rest = iter(tokens(new))
    for token in tokens(old):
        assert token in rest, f"lost or moved: {token!r}"
    rewritable = rewritten_lines(old)
    lines = [text.splitlines() for text in (old, new)]
    for tag, start, stop, _, _ in difflib.SequenceMatcher(None, *lines, autojunk=False).get_opcodes():
        if tag in {"replace", "delete"}:
            for number in range(start + 1, stop + 1):
                assert number in rewritable, f"line {number} is gone: {lines[0][number - 1]!r}"


def tokens(text: str) -> list[str]:
    """Return tokens and comments, without layout, brackets, and what only fills a block."""
    skip = {tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    found = tokenize.generate_tokens(io.StringIO(text.replace("\r\n", "\n")).readline)
    return [
        token.string for token in found if token.type not in skip and token.string not in {",", "(", ")", "pass", "..."}
    ]


def rewritten_lines(text: str) -> set[int]:
    """Return the numbers of lines that some feature may write anew: imports, the application's call, yields, fillers."""
    numbers: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        called = isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)
        filler = isinstance(node, ast.Pass) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        if called or filler or isinstance(node, ast.ImportFrom | ast.Yield):
            numbers.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return numbers


@given(applications(), st.sampled_from(CHOICES))
@quick
def test_laws_hold(before: dict[str, bytes], features: tuple[str, ...]) -> None:
    hold(before, features)


@pytest.mark.long
@given(applications(), st.sampled_from(CHOICES))
@long
def test_laws_hold_at_length(before: dict[str, bytes], features: tuple[str, ...]) -> None:
    hold(before, features)


@given(before=applications())
@settings(quick, max_examples=10)
def test_patch_is_the_run(before: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> None:
    plan = memory.planned(before, Request(add=PAIR))
    if plan.refusals:
        return
    folder = tmp_path_factory.mktemp("applied")
    for path, data in before.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_bytes(data)
    apply(folder, patch(plan.changeset))
    assert_same(memory.read(folder), memory.add(before, *PAIR), "git apply = run")


def apply(folder: Path, text: bytes) -> None:
    """Let git apply a patch, whatever its user has configured."""
    environment = os.environ | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "GIT_DIR": os.devnull}
    command = ("git", "apply", "--whitespace=nowarn", "-")
    subprocess.run(command, cwd=folder, env=environment, input=text, check=True)
