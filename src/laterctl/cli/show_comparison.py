"""Shows what `diff` found: the user's changes, then what an update would bring."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from laterctl.cli import show, show_plan
from laterctl.cli.screen import careful, faint, say, show_diff, strong
from laterctl.masking import masked_value

if TYPE_CHECKING:
    from laterctl.changeset import Changeset
    from laterctl.commands.compare import Comparison, Difference


def comparison(made: Comparison, *, as_json: bool) -> None:
    """Show what the user changed in features, and what an update would bring."""
    from laterctl.commands.compare import patch_of

    if as_json:
        _document(made)
        return
    if not made.differences:
        say("You changed nothing that laterctl wrote.")
    for item in made.differences:
        seen = f": {masked_value(item.seen)}" if item.seen else ""
        say(f"{careful(item.state)} {item.place} {item.what}{seen} {faint(item.feature)}")
    show_diff(_text(patch_of(made.differences)))
    if made.refusals:
        say("An update would be refused:")
        show.refused(made.refusals, as_json=False, looks=True)
    elif made.update is not None:
        _update(made)


def _update(made: Comparison) -> None:
    assert made.update is not None
    plan = made.update.plan
    if not plan.changeset:
        say("An update would bring nothing: all is as this version writes it.")
        return
    say(f"An update would change {strong(', '.join(plan.updated))}:")
    show_plan.files(plan.changeset)
    for item in made.conflicts:
        say(f"  {careful('!')} {item.place}: {item.message} (--conflicts)")
    show_plan.patch_to_read(made.update)


def _document(made: Comparison) -> None:
    update = made.update
    show.document(
        "diff",
        differences=[_difference(item) for item in made.differences],
        update=show_plan.planned(update) if update is not None else None,
        refusals=[show.plain(item) for item in made.refusals],
        conflicts=[show.plain(item) for item in made.conflicts],
    )


def _difference(item: Difference) -> dict[str, Any]:
    from laterctl.commands.compare import patch_of

    place = {"path": item.place.path, "line": item.place.line}
    return {
        "feature": item.feature,
        "state": item.state,
        "place": place,
        "what": item.what,
        "seen": masked_value(item.seen),
        "patch": _text(patch_of([item])),
    }


def _text(changes: Changeset) -> str:
    from laterctl.changeset import patch

    return patch(show_plan.to_read(changes)).decode("utf-8", errors="replace")
