"""What a feature is: one declaration that every command follows from."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum

from msgspec import Struct, field

from laterctl.edits.context import Edit, FeatureContext
from laterctl.refusal import Refusal

Value = str | int | float | bool
"""The value of an option."""


class Group(StrEnum):
    """The sections of the list of features, in order."""

    NONE = ""
    TESTING = "Testing"
    INJECTION = "Dependency injection"
    SCALING = "API scaling"
    SECURITY = "Security hardening"
    DATABASE = "Database"
    PERFORMANCE = "Performance"
    OPERATIONS = "Operations"
    MONITORING = "Monitoring"


class Stage(StrEnum):
    """The way from an application that works to one that others rely on, in the order in which it is best gone."""

    NONE = ""
    NET = "A safety net"
    LOGS = "Logs"
    LIFE = "Start and stop"
    DATABASE = "Database"
    EDGE = "Who may call"
    MEASURES = "Measures"
    DELIVERY = "Delivery"
    SPEED = "Speed"
    MORE = "As needed"


class ExistingSigns(Struct, frozen=True):
    """Signs that a project does the feature's job already, in another way.

    `imports` are modules, `middleware` dotted classes, `routes` paths (`{option}` in them is the value of an option of
    the feature), `names` definitions that would collide, `dependencies` canonical distribution names, `calls` dotted
    functions that a file calls which the application imports, `headers` names of response headers of which a module
    that does the job sets at least two, or the one that is named.
    """

    imports: tuple[str, ...] = ()
    middleware: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    dependencies: tuple[str, ...] = ()
    calls: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()


class Option(Struct, frozen=True):
    """A choice that `--set FEATURE.NAME=VALUE` makes.

    Attributes:
        name, help: what users type, and what it means.
        type: `str`, `int`, `float` or `bool`; what `parse` returns.
        default: the value that holds when nobody chose one; `None` for none.
        choices: the values there are; any when empty.
        pattern: what a text has to match.
        examples: further values than the default of a text that has no `choices`: what people are shown, and tests try.
        minimum, maximum: the range of a number, both included.
        requires: names of features that a value needs, by the value.
        follows: the default begins as that of another feature's option (`health.prefix`), and has the value of it in that
            place while that feature is there.
        below_routers: the default is a path, and begins with the one that all routers of the project are below.
        by_hand, instead: signs that the project does by itself what the default brings, and the value that it then has
            unless the user chose one. Without signs they are those of the features that the default requires.
    """

    name: str
    help: str
    type: type[Value] = str
    default: Value | None = None
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    pattern: str = ""
    examples: tuple[str, ...] = ()
    requires: Mapping[Value, tuple[str, ...]] = field(default_factory=dict)
    follows: str = ""
    below_routers: bool = False
    by_hand: ExistingSigns = ExistingSigns()
    instead: Value | None = None

    def parse(self, text: str) -> Value:
        """Read a value as a person types it.

        Raises:
            ValueError: it is no such value, or outside the range.
        """
        if (self.choices and text not in self.choices) or (self.pattern and not re.fullmatch(self.pattern, text)):
            raise ValueError(f"{text!r} is not {self.range}")
        if self.type is bool:
            if text.lower() not in _BOOLEANS:
                raise ValueError(f"{text!r} is not {self.range}")
            return _BOOLEANS[text.lower()]
        try:
            value = self.type(text)
        except ValueError:
            raise ValueError(f"{text!r} is not {self.range}") from None
        if not isinstance(value, str) and not self._within(value):
            raise ValueError(f"{text} is not {self.range}")
        return value

    def recorded(self, value: Value) -> Value | None:
        """Return a value that a ledger has, as one of today's type; `None` when it is none any more."""
        try:
            return self.parse(str(value))
        except ValueError:
            return None

    def _within(self, value: float) -> bool:
        low = -math.inf if self.minimum is None else self.minimum
        high = math.inf if self.maximum is None else self.maximum
        return math.isfinite(value) and low <= value <= high

    @property
    def range(self) -> str:
        """The values there are, in words."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        if self.type is bool:
            return "true or false"
        if self.pattern:
            return f"text such as {' or '.join(map(str, (self.default, *self.examples)))}"
        kind = {int: "a whole number", float: "a number"}.get(self.type, "text")
        low, high = (None if bound is None else f"{bound:g}" for bound in (self.minimum, self.maximum))
        if low is not None and high is not None:
            return f"{kind} from {low} to {high}"
        if low is not None:
            return f"{kind}, at least {low}"
        return f"{kind}, at most {high}" if high is not None else kind


_BOOLEANS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


class Feature(Struct, frozen=True):
    """A desired state of a project.

    Attributes:
        name, aliases: what users type.
        group: section of the list; `hidden` capabilities are pulled in by others and not listed.
        summary: one line.
        requires: names of features that must be there; pulled in automatically. Values of options may need more.
        recommends: names of features that are pulled in too, unless the user does without them.
        without: what to know without a recommended feature, by its name; said in the plan.
        conflicts: names of features that exclude this one.
        floors: lowest versions, by canonical name (`python`, `fastapi`, `pydantic`).
        edits: what should be there. `edits_for` gives more of them that depend on facts of the project.
        by_hand: signs of the same job done differently: the feature refuses instead of doubling it.
        check: gives the reason why the feature does not fit a project, or nothing.
        answers: statuses of which its middleware makes the bodies: the proof lets these differ from what they were.
        moves: whether it puts the user's routes at other paths: the proof lets those go from the document, or altogether,
            whose function answers elsewhere.
        changes: what behaves differently afterwards; shown in the plan.
        stage, after, why: where it stands in `laterctl guide`: the stage, the features of that stage that come before
            it, and the reason for that place.
        notes: what to do next; shown after success, with `{setting_name}` as the variable that sets it in the project, and
            `{core.module}` as the path that a module of ours is imported from. `laterctl add NAME --set NAME.OPTION=VALUE`
            in one says that it is for other values of that option.
        secret: makes fresh key material for `laterctl secret`: name of a setting to value.
    """

    name: str
    summary: str
    group: Group = Group.NONE
    aliases: tuple[str, ...] = ()
    hidden: bool = False
    requires: tuple[str, ...] = ()
    recommends: tuple[str, ...] = ()
    without: Mapping[str, str] = field(default_factory=dict)
    conflicts: tuple[str, ...] = ()
    floors: Mapping[str, str] = field(default_factory=dict)
    options: tuple[Option, ...] = ()
    edits: tuple[Edit, ...] = ()
    edits_for: Callable[[FeatureContext], Iterable[Edit]] | None = None
    by_hand: ExistingSigns = ExistingSigns()
    check: Callable[[FeatureContext], Refusal | None] | None = None
    answers: tuple[int, ...] = ()
    moves: bool = False
    changes: tuple[str, ...] = ()
    stage: Stage = Stage.NONE
    after: tuple[str, ...] = ()
    why: str = ""
    notes: tuple[str, ...] = ()
    secret: Callable[[], Mapping[str, str]] | None = None

    def values(self, given: Mapping[str, Value]) -> dict[str, Value]:
        """Return the values of the options: those that are given, and the defaults."""
        return {item.name: item.default for item in self.options if item.default is not None} | dict(given)

    def required(self, given: Mapping[str, Value]) -> tuple[str, ...]:
        """Return the features that must be there, with these values of options."""
        values = self.values(given)
        chosen = (item.requires.get(values[item.name], ()) for item in self.options if item.name in values)
        return (*self.requires, *(name for names in chosen for name in names))


def fresh_token(setting: str) -> Callable[[], Mapping[str, str]]:
    """Return what makes a token that cannot be guessed, as the value of a setting: the `secret` of a feature."""

    def make() -> Mapping[str, str]:
        import secrets

        return {setting: secrets.token_urlsafe(32)}

    return make
