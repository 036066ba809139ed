"""Settings: declared and read in the project's own way of having them."""

from __future__ import annotations

from collections.abc import Iterator

from laterctl.dialects.settings import SettingSpec, settings_of
from laterctl.edits.context import FeatureContext
from laterctl.targets.resolved import Resolved
from laterctl.targets.text_line import TextLine

_EXAMPLES = tuple(f".env.{name}" for name in ("example", "sample", "template", "dist"))


class Setting(SettingSpec, frozen=True):
    """A setting that a feature has, and its line in the example of an environment file where there is one."""

    def resolve(self, context: FeatureContext) -> Iterator[Resolved]:
        settings = settings_of(context.project)
        if message := settings.instead():
            context.choice(message, settings.place)
        declared = list(settings.declare(self, context))
        yield from declared
        line = settings.example(self, declared)
        path = _example_file(context)
        if line and path:
            yield Resolved(TextLine(path, "env", f"# {self.words()}\n{line}" if self.help else line))
        elif line and not declared and not self.secret:
            context.choice(
                "there is no .env.example for the new settings; laterctl info FEATURE lists those of a feature"
            )


def _example_file(context: FeatureContext) -> str:
    """Return the example of an environment file that the project has, `""` without one."""
    manifest = context.project.manifest
    folder = manifest.path.rpartition("/")[0] if manifest is not None else ""
    paths = (f"{folder}/{name}" if folder else name for name in _EXAMPLES)
    return next((path for path in paths if context.project.tree.read(path) is not None), "")


def variable(name: str, context: FeatureContext) -> str:
    """Return the variable that a person sets, for a template."""
    return settings_of(context.project).environment_variable(name)
