"""Places in a project, and which of its files are beside the application: tests, documentation, examples."""

from __future__ import annotations

from dataclasses import dataclass

ALTERNATIVE = "app_"
"""What the name of a module or folder of ours begins with where the user has its usual name."""

_ASIDE = frozenset(
    {
        *("test", "tests", "testing", "unit_tests", "integration_tests", "e2e"),
        *("doc", "docs", "docs_src", "documentation"),
        *("example", "examples", "sample", "samples", "demo", "demos", "tutorial", "tutorials"),
        *("bench", "benchmark", "benchmarks", "notebooks", "migrations", "alembic", "templates"),
    }
)


@dataclass(frozen=True, order=True)
class Place:
    """A line of a file; `path` is relative to the project root, with forward slashes; lines count from 1."""

    path: str
    line: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}"


def is_test_or_docs(path: str) -> bool:
    """Whether a file is no part of the running application, judged by its path below the project root."""
    *folders, name = path.lower().split("/")
    if folders[:1] == ["src"]:
        folders = folders[2:]  # a package below src/ is the application, whatever it is called
    if "{{" in path or "{%" in path or any(folder in _ASIDE for folder in folders):
        return True
    return name.startswith("test_") or name.endswith("_test.py") or name == "conftest.py"
