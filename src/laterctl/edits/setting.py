"""Settings: declared and read in the project's own way of having them."""

from __future__ import annotations

from collections.abc import Iterator

from laterctl.dialects.settings import Settings, SettingSpec, env_literal, settings_of
from laterctl.edits.context import FeatureContext
from laterctl.render import Expr
from laterctl.targets.resolved import Resolved
from laterctl.targets.text_line import TextLine


class Setting(SettingSpec, frozen=True):
    """A setting that a feature has, and its line in the example of an environment file where there is one."""

    def resolve(self, context: FeatureContext) -> Iterator[Resolved]:
        settings = settings_of(context.project)
        yield from settings.declare(self, context)
        yield from self._example(context, settings)

    def _example(self, context: FeatureContext, settings: Settings) -> Iterator[Resolved]:
        folder = context.project.manifest.path.rpartition("/")[0] if context.project.manifest else ""
        path = f"{folder}/.env.example" if folder else ".env.example"
        if context.project.tree.read(path) is None:
            return
        value = self.example or ("" if self.secret or self.default is None else env_literal(self.default))
        yield Resolved(TextLine(path, "env", f"{settings.environment_variable(self.name)}={value}"))


def read(setting: SettingSpec, context: FeatureContext) -> Expr:
    """Return the expression that reads a setting, for a template."""
    return settings_of(context.project).read(setting)


def variable(name: str, context: FeatureContext) -> str:
    """Return the variable that a person sets, for a template."""
    return settings_of(context.project).environment_variable(name)
