"""The guide: what is there, the next step in full, the later ones in short, and what does not fit."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from laterctl.cli.screen import careful, faint, good, group, say, strong
from laterctl.cli.show import document, place_of
from laterctl.commands.guide import State

if TYPE_CHECKING:
    from laterctl.commands.guide import Guide, Step
    from laterctl.project.places import Place

UNCHANGED = "nothing that is there behaves differently"


def guide(found: Guide, start: Sequence[str], *, as_json: bool) -> None:
    """Show what a project has and what comes next; commands begin with the words `start`."""
    if as_json:
        document(
            "guide", app=found.app, place=place_of(found.place), steps=[_plain(item, start) for item in found.steps]
        )
        return
    say(f"{found.app} {faint(f'({found.place})')}")
    there, ahead = found.of(State.INSTALLED, State.YOURS), found.of(State.OPEN)
    width = max((len(item.feature.name) for item in found.steps), default=0)
    group("What is there", (_there(item, width) for item in there), hang=width + 4)
    stage = ""
    for number, item in enumerate(ahead):
        if number < 2:
            say()
            say(strong("Then, one by one" if number else "What comes next"))
        if item.feature.stage != stage:
            stage = item.feature.stage
            say(f"  {stage}")
        say(f"    {strong(item.feature.name)}  {item.feature.summary}", hang=6)
        for line in (f"why: {item.feature.why}", *_changes(item), *_notes(item), command(item, start)):
            say(f"      {line}", hang=8)
    unfit: dict[tuple[Place | None, str], list[Step]] = {}
    for item in found.of(State.UNFIT):
        unfit.setdefault((item.place, item.reason), []).append(item)
    if not ahead:
        say()
        say("Nothing is left that fits." if unfit else "Nothing is left to add.")
    group("What does not fit", (_unfit(items, width) for items in unfit.values()), hang=width + 4)


def command(step: Step, start: Sequence[str]) -> str:
    """Return the command that takes a step."""
    without = (word for name in step.without for word in ("--without", name))
    return shlex.join([*start, "add", step.feature.name, *without])


def _changes(step: Step) -> Iterator[str]:
    yield from (f"changes: {line}" for line in step.feature.changes or (UNCHANGED,))


def _notes(step: Step) -> Iterator[str]:
    yield from (f"here: {note.message}{f' ({note.place})' if note.place else ''}" for note in step.notes)


def _there(step: Step, width: int) -> str:
    whose = careful("by hand ") if step.state is State.YOURS else good("laterctl")
    reason = f" {faint(f'({step.reason})')}" if step.reason else ""
    return f"{step.feature.name:<{width}}  {whose}  {step.place}{reason}"


def _unfit(steps: Sequence[Step], width: int) -> str:
    """Return the line about features that one reason keeps out."""
    first, *others = steps
    place = f"{first.place}: " if first.place else ""
    also = f"; nor do {', '.join(item.feature.name for item in others)}" if others else ""
    return f"{first.feature.name:<{width}}  {place}{first.reason}{also}"


def _plain(step: Step, start: Sequence[str]) -> dict[str, object]:
    return {
        "name": step.feature.name,
        "stage": step.feature.stage,
        "state": step.state,
        "place": place_of(step.place),
        "reason": step.reason,
        "summary": step.feature.summary,
        "why": step.feature.why,
        "changes": list(step.feature.changes),
        "notes": [{"message": note.message, "place": place_of(note.place)} for note in step.notes],
        "command": command(step, start) if step.state is State.OPEN else "",
    }
