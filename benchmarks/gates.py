"""Measures what laterctl costs against what it could cost at best: five ratios, each with a goal and a bound.

A ratio keeps the bound, or something has become slower; the goal is where it should be.

Every variant runs 11 times in a child process, all taking turns, and a ratio is the median of those of the turns: what
is compared ran side by side. CPU seconds decide (user and system, descendants included); wall seconds stand beside. The trees that `add` writes are compared before anything
is timed, and after each run again; a command that ends with another code than 0 aborts.
Exits with 1 when a ratio is above its bound: run it on a quiet machine.
"""

from __future__ import annotations

import argparse
import compileall
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import laterctl
from laterctl.features import catalogue

RUNS = 11
BULK = "app/bulk"
MANY = 5000
FEATURE = "metrics"
ADD = ("-m", "laterctl", "add", FEATURE, "--yes", "--no-install")
FLOOR = "import typer, libcst, tomlkit, jinja2"
PROJECT: Mapping[str, str] = {
    "pyproject.toml": """\
[project]
name = "app"
version = "0.1.0"
requires-python = ">=3.11"
dependencies = [
    "fastapi>=0.115",
    "pydantic-settings>=2.6",
]

[dependency-groups]
dev = ["httpx>=0.27", "pytest>=8"]
""",
    "app/__init__.py": "",
    "app/main.py": """\
from fastapi import FastAPI

from app.api.items import router as items
from app.core.config import settings

app = FastAPI(title=settings.title)
app.include_router(items)


@app.get("/health")
def health() -> dict[str, str]:
    return {"status": "{}".format("ok")}
""",
    "app/core/__init__.py": "",
    "app/core/config.py": """\
from pydantic_settings import BaseSettings


class Settings(BaseSettings):
    title: str = "app"


settings = Settings()
""",
    "app/api/__init__.py": "",
    "app/api/items.py": """\
from fastapi import APIRouter

router = APIRouter()


@router.get("/items")
def items() -> list[str]:
    return []
""",
    "app/services.py": "def total(prices: list[float]) -> float:\n    return sum(prices)\n",
    "tests/__init__.py": "",
    "tests/test_services.py": """\
from app.services import total


def test_total() -> None:
    assert total([1.0, 2.0]) == 3.0
""",
}
"""Ten files; adding the feature edits three of them and creates five Python files and three ledgers."""


@dataclass(frozen=True)
class Cost:
    """What a run, or the median of several, took: seconds of CPU and seconds on the wall."""

    cpu: float
    wall: float


@dataclass(frozen=True)
class Variant:
    """A command that is timed in a project. `before` puts the project's files back, `after` checks what came out."""

    name: str
    arguments: Sequence[str]
    project: Path
    before: Callable[[], None] = lambda: None
    after: Callable[[], None] = lambda: None


def main() -> int:
    """Measure, print a table, and return 1 when a ratio is above its bound."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=RUNS, help="runs of each variant")
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory(prefix="laterctl-gates-") as scratch:
        turns = measured(prepared(Path(scratch)), runs, Path(scratch) / "state")
    print(f"median of {runs} runs{'':24}CPU s   wall s")
    for name in turns[0]:
        cpu, wall = median(turn[name].cpu for turn in turns), median(turn[name].wall for turn in turns)
        print(f"{name:38}{cpu:8.3f} {wall:8.3f}")
    return 0 if all(report(turns)) else 1


def report(turns: Sequence[Mapping[str, Cost]]) -> list[bool]:
    """Print the five gates and return which of them hold."""
    gates: Mapping[tuple[str, float, float], Callable[[Mapping[str, Cost]], tuple[Cost, Cost]]] = {
        ("add / import floor", 1.15, 1.55): lambda turn: (turn["add, 10 files"], turn["import floor"]),
        ("nothing to do / import typer", 1.5, 1.5): lambda turn: (turn["add again"], turn["import typer"]),
        ("add, 5,000 files / add, 10 files", 1.4, 1.4): lambda turn: (turn["add, 5,000 files"], turn["add, 10 files"]),
        ("doctor, all features / import typer", 3.0, 6.2): lambda turn: (turn["doctor"], turn["import typer"]),
        ("add / libcst.tool codemod", 0.75, 0.75): lambda turn: (turn["add, 10 files"], turn["libcst.tool codemod"]),
    }
    print(f"\n{'median of the ratios':42}CPU     wall     goal   bound")
    held = []
    for (name, goal, bound), pair in gates.items():
        pairs = [pair(turn) for turn in turns]
        cpu, wall = median(one.cpu / two.cpu for one, two in pairs), median(one.wall / two.wall for one, two in pairs)
        held.append(cpu <= bound)
        print(f"{name:40}{cpu:6.2f}  {wall:6.2f}  {goal:6.2f}  {bound:6.2f}  {'ok' if held[-1] else 'MISSED'}")
    return held


def prepared(scratch: Path) -> list[Variant]:
    """Write the projects, add the feature to each once to see that the trees agree, and return what is to be timed."""
    # What is installed has its bytecode, also where the environment keeps Python from writing it.
    compileall.compile_dir(Path(laterctl.__file__).parent, quiet=1)
    state = scratch / "state"
    small, large, done, one = (scratch / name for name in ("small", "large", "done", "one"))
    for folder in (small, large, done, one):
        restore(folder)
    for number in range(MANY - len(PROJECT)):
        path = large / BULK / f"part_{number // 100}" / f"module_{number}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"def value_{number}(number: int) -> int:\n    return number * {number}\n" * 20)
    for folder in (small, large, done):
        run((sys.executable, *ADD), folder, state)
    expected = tree(small)
    if expected == tree(one) or expected != tree(large) or expected != tree(done):
        raise SystemExit("the projects differ after `add`: nothing was timed")

    def same(folder: Path) -> Callable[[], None]:
        def check() -> None:
            if tree(folder) != expected:
                raise SystemExit(f"{folder.name}: not the tree that was expected")

        return check

    command = "convert_format_to_fstring.ConvertFormatStringCommand"
    codemod = ("-m", "libcst.tool", "codemod", command, "--jobs", "1", "--no-format", "--hide-progress", "app/main.py")
    return [
        Variant("import typer", ("-c", "import typer"), small),
        Variant("import floor", ("-c", FLOOR), small),
        Variant("add, 10 files", ADD, small, lambda: restore(small), same(small)),
        Variant("add again", ADD, done, after=same(done)),
        Variant("doctor", ("-m", "laterctl", "doctor"), founded(scratch, state)),
        Variant("add, 5,000 files", ADD, large, lambda: restore(large), same(large)),
        Variant("libcst.tool codemod", codemod, one, lambda: restore(one), lambda: codded(one)),
    ]


def founded(scratch: Path, state: Path) -> Path:
    """Write a new project with every feature there is, and return its folder."""
    command = (sys.executable, "-m", "laterctl")
    run((*command, "new", "shop"), scratch, state)
    names = [feature.name for feature in catalogue.every() if not feature.hidden]
    run((*command, "add", *names, "--yes", "--no-install"), scratch / "shop", state)
    return scratch / "shop"


def codded(folder: Path) -> None:
    """Check that LibCST's own codemod did its work."""
    if ".format(" in (folder / "app/main.py").read_text():
        raise SystemExit("libcst.tool codemod changed nothing")


def measured(variants: Sequence[Variant], runs: int, state: Path) -> list[dict[str, Cost]]:
    """Run all variants in turns and return what each took in each turn; one turn before that warms the caches."""
    turns: list[dict[str, Cost]] = []
    for turn in range(runs + 1):
        costs: dict[str, Cost] = {}
        first = turn % len(variants)
        for variant in (*variants[first:], *variants[:first]):
            variant.before()
            costs[variant.name] = run((sys.executable, *variant.arguments), variant.project, state)
            variant.after()
        turns.append({variant.name: costs[variant.name] for variant in variants})
    return turns[1:]


def run(command: Sequence[str], folder: Path, state: Path) -> Cost:
    """Run a command and return what it took. Raises `SystemExit` with its output when it fails."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COVERAGE"))}
    environment |= {"XDG_STATE_HOME": str(state), "GIT_CEILING_DIRECTORIES": str(folder.parent)}
    with tempfile.TemporaryFile() as sink:
        start = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            sink.seek(0)
            raise SystemExit(f"{' '.join(command)} ended with {process.returncode}:\n{sink.read().decode()}")
    return Cost(usage.ru_utime + usage.ru_stime, wall)


def restore(folder: Path) -> None:
    """Make the files of a project the ten that it started with; the bulk is left alone."""
    for name in tree(folder).keys() - PROJECT.keys():
        (folder / name).unlink()
    shutil.rmtree(folder / ".laterctl", ignore_errors=True)
    for name, text in PROJECT.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def tree(folder: Path) -> dict[str, bytes]:
    """Return the files of a project, without the bulk."""
    found = {}
    for base, folders, names in os.walk(folder):
        inner = Path(base).relative_to(folder)
        folders[:] = [name for name in folders if (inner / name).as_posix() != BULK and name != "__pycache__"]
        found.update({(inner / name).as_posix(): (Path(base) / name).read_bytes() for name in names})
    return found


if __name__ == "__main__":
    sys.exit(main())
