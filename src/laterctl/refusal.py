"""Why a command did not do something, and what is worth saying beside what it did."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from laterctl.project.places import Place


class Refusal(Struct, frozen=True):
    """Why something was not done, as a value.

    `code` is stable and machine-readable; `seen` and `expected` say what was found and what would have worked;
    `snippet` is what to paste by hand; `remedy` names the flag or key that makes it work next time.
    """

    code: str
    message: str
    place: Place | None = None
    seen: str = ""
    expected: str = ""
    snippet: str = ""
    remedy: str = ""
    feature: str = ""


class Refused(Exception):
    """Carries refusals up to the command, each reason once; nothing has been written when it is raised."""

    def __init__(self, *refusals: Refusal) -> None:
        super().__init__("; ".join(refusal.message for refusal in refusals))
        self.refusals: Sequence[Refusal] = merged(refusals)


def merged(refusals: Iterable[Refusal]) -> tuple[Refusal, ...]:
    """Say each reason once: for all features that it stops, with all that would have to be pasted by hand."""
    found: dict[tuple[object, ...], Refusal] = {}
    for item in refusals:
        key = (item.code, item.message, item.place, item.seen, item.expected, item.remedy)
        found[key] = _joined(found[key], item) if key in found else item
    return tuple(found.values())


def _joined(one: Refusal, other: Refusal) -> Refusal:
    names = dict.fromkeys([*one.feature.split(", "), other.feature])
    lines = dict.fromkeys([*one.snippet.splitlines(), *other.snippet.splitlines()])
    return replace(one, feature=", ".join(names), snippet="\n".join(lines))


class Note(Struct, frozen=True):
    """Something worth saying that stops nothing. `level` is `warning` (beside the diff), `notice` (after) or `choice`.

    A choice is what was decided for this project where another decision was possible; the plan says it.
    """

    level: str
    message: str
    place: Place | None = None
    feature: str = ""
