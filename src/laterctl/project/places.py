"""Which files are beside the application: tests, documentation, examples, templates of other tools."""

from __future__ import annotations

_ASIDE = frozenset(
    {
        *("test", "tests", "testing", "unit_tests", "integration_tests", "e2e"),
        *("doc", "docs", "docs_src", "documentation"),
        *("example", "examples", "sample", "samples", "demo", "demos", "tutorial", "tutorials"),
        *("bench", "benchmark", "benchmarks", "notebooks", "migrations", "alembic", "templates"),
    }
)


def is_aside(path: str) -> bool:
    """Whether a file is no part of the running application, judged by its path below the project root."""
    *folders, name = path.lower().split("/")
    if folders[:1] == ["src"]:
        folders = folders[2:]  # a package below src/ is the application, whatever it is called
    if "{{" in path or "{%" in path or any(folder in _ASIDE for folder in folders):
        return True
    return name.startswith("test_") or name.endswith("_test.py") or name == "conftest.py"
