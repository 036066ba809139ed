"""What goes into the configuration of pytest, wherever the project has it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from laterctl.edits.context import FeatureContext
from laterctl.edits.manifest import pyproject_of
from laterctl.project.places import Place
from laterctl.project.tomlfile import load_toml, table
from laterctl.refusal import Refusal, Refused
from laterctl.targets.resolved import Resolved
from laterctl.targets.toml_item import TomlItem

_OWN = {"pytest.toml": ("pytest",), ".pytest.toml": ("pytest",)}
_INI = {"pytest.ini": "pytest", ".pytest.ini": "pytest", "tox.ini": "pytest", "setup.cfg": "tool:pytest"}


class PytestMarker(Struct, frozen=True):
    """The marker `name` among those that pytest knows, with `help`; a marker of the user's of that name does as well.

    It goes into TOML. A table in pyproject.toml would put an end to what tox.ini or setup.cfg configure, so a project
    that configures pytest in such a file is refused.
    """

    name: str
    help: str

    def resolve(self, context: FeatureContext) -> Iterator[Resolved]:
        text = f"{self.name}: {self.help}"
        path, keys = self._home(context, text)
        found = _table(context, path, keys).get("markers", [])
        names = [str(item).partition(":")[0].partition("(")[0].strip() for item in found if item != text]
        if self.name not in names:
            yield Resolved(TomlItem(path, keys, "markers", text))

    def _home(self, context: FeatureContext, text: str) -> tuple[str, tuple[str, ...]]:
        tree = context.project.tree
        for path, keys in _OWN.items():
            if tree.read(path) is not None:
                return path, keys
        path = pyproject_of(context, f"markers = [{text!r}]")
        ini = [name for name in _INI if _line(context, name)]
        if any(name.endswith("pytest.ini") for name in ini):
            raise self._refused(context, ini[0], text)
        native = _table(context, path, ("tool", "pytest"))
        if native.keys() - {"ini_options"}:
            return path, ("tool", "pytest")
        if not native and ini:
            raise self._refused(context, ini[0], text)
        return path, ("tool", "pytest", "ini_options")

    def _refused(self, context: FeatureContext, path: str, text: str) -> Refused:
        return Refused(
            Refusal(
                "pytest-configured-elsewhere",
                f"pytest is configured in {path}, which is edited by hand only",
                Place(path, _line(context, path)),
                expected=f"the marker {self.name} in TOML, or no other configuration of pytest",
                snippet=f"markers =\n    {text}",
                remedy="move the section to [tool.pytest.ini_options] in pyproject.toml",
                feature=context.feature,
            )
        )


def _table(context: FeatureContext, path: str, keys: tuple[str, ...]) -> Mapping[str, Any]:
    return table(load_toml(context.project.tree, path), *keys)


def _line(context: FeatureContext, path: str) -> int:
    """Return the line where an INI file begins to configure pytest, 0 when it does not. `pytest.ini` always does."""
    data = context.project.tree.read(path)
    if data is None:
        return 0
    text = data.decode("utf-8", "replace")
    header = f"[{_INI[path]}]"
    lines = [number for number, line in enumerate(text.splitlines(), 1) if line.startswith(header)]
    return lines[0] if lines else int(path.endswith("pytest.ini"))
