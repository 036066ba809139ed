"""Questions to a person at a terminal; without one nothing is asked and nothing is guessed."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

import typer

from laterctl.cli.exits import Exit
from laterctl.cli.screen import columns, faint, say, show_diff, shown, strong, tell
from laterctl.proof.levels import Level

if TYPE_CHECKING:
    from questionary import Question

    from laterctl.commands.change import Prepared
    from laterctl.commands.read import Listed
    from laterctl.feature import Option, Value


def interactive() -> bool:
    """Whether there is a person at a terminal to ask."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def yes_no(question: str) -> bool:
    """Ask a question whose default is no."""
    with _on_its_own_line():
        return typer.confirm(shown(question), default=False)


@contextmanager
def _on_its_own_line() -> Iterator[None]:
    """End the line of a question that is interrupted, so that what is said next begins one."""
    try:
        yield
    except (typer.Abort, KeyboardInterrupt):
        tell("")
        raise


def accept(prepared: Prepared, *, prove: Level, install: bool) -> Level | None:
    """Ask the one question of a run: it names the dirty files, the install step and the proof.

    The plan may be looked at more closely first: the diff, one file, a patch to keep.

    Returns:
        The proof that goes with the answer; `None` when nothing is to be written.
    """
    from laterctl.cli import show_plan

    _warn(prepared)
    keys = {"y": "yes", "n": "no", "d": "the diff", "v": "view a file", "p": "patch to a file"}
    if prove is not Level.NONE:
        keys["w"] = "write without starting the app"
    say(faint(", ".join(f"{key} {what}" for key, what in keys.items())))
    question = f"{_question(prepared, prove=prove, install=install)}? [{'/'.join(keys).replace('n', 'N')}]"
    while True:
        answer = _answer(question, "n").lower()
        if answer in {"y", "yes"}:
            return prove
        if answer in {"n", "no"}:
            return None
        if answer == "w" and "w" in keys:
            return Level.NONE
        if answer == "d":
            show_diff(show_plan.read_patch(prepared), pager=True)
        elif answer == "v":
            _view(prepared)
        elif answer == "p":
            _save(prepared)
        else:
            say(f"{shown(answer)} is none of {', '.join(keys)}")


def _warn(prepared: Prepared) -> None:
    if prepared.dirty:
        say(f"Uncommitted changes in {', '.join(prepared.dirty)}: a reset would lose them together with this.")
    elif prepared.dirty is None:
        say("The project is not in git: `laterctl undo` is the only way back.")


def _question(prepared: Prepared, *, prove: Level, install: bool) -> str:
    parts = ["Write this"]
    if install and prepared.dependencies.runs:
        parts.append("install the dependencies" if prepared.plan.requirements else "bring the lock file up to date")
    if prove is Level.APP:
        parts.append("start the app in a scratch copy to prove it")
    elif prove is Level.TESTS:
        parts.append("start the app and run the tests in a scratch copy to prove it")
    return ", ".join(parts[:-1]) + f" and {parts[-1]}" if len(parts) > 1 else parts[0]


def _answer(question: str, default: str) -> str:
    with _on_its_own_line():
        answer: str = typer.prompt(shown(question), default=default, show_default=False)
    return answer.strip()


def _view(prepared: Prepared) -> None:
    """Show what becomes of one file."""
    from laterctl.cli import show_plan

    asked = _answer("Which file", "")
    fitting = [path for path in prepared.plan.changeset if asked and f"/{path}".endswith(f"/{asked}")]
    for path in fitting:
        show_diff(show_plan.read_patch(prepared, path), pager=True)
    if asked and not fitting:
        say(f"this plan has no file {asked}")


def _save(prepared: Prepared) -> None:
    """Write the patch to a file, as `-o` does."""
    from laterctl.cli import show_plan

    if asked := _answer("Write the patch to", ""):
        try:
            show_plan.patch_file(prepared, Path(asked))
        except OSError as error:
            say(f"{asked}: {error.strerror}")


def pick(directory: Path, app: str | None, *, as_json: bool) -> list[str]:
    """Let a person choose features to add; what is installed and what does not fit is shown with its reason.

    Raises:
        typer.Exit: there is nobody to ask, or nothing was chosen.
    """
    from laterctl.cli import show
    from laterctl.commands import read

    _ask_somebody(as_json=as_json)
    found = read.listing(directory)
    if all(item.installed for item in found.features):
        show.progress("every feature is installed")
        raise typer.Exit(Exit.DONE)
    items = read.with_reasons(found, directory, app).features
    return _chosen("Add", [(item, "installed" if item.installed else item.refused) for item in items])


def pick_installed(directory: Path, *, as_json: bool) -> list[str]:
    """Let a person choose features to remove; raises as `pick` does."""
    from laterctl.cli import show
    from laterctl.commands import read

    _ask_somebody(as_json=as_json)
    items = [item for item in read.listing(directory).features if item.installed]
    if not items:
        show.progress("no feature is installed")
        raise typer.Exit(Exit.DONE)
    return _chosen("Remove", [(item, "") for item in items])


def _ask_somebody(*, as_json: bool) -> None:
    from laterctl.cli import show

    if as_json or not interactive():
        show.failure("usage", "name at least one feature; `laterctl list` shows them", as_json=as_json)
        raise typer.Exit(Exit.USAGE)


def _chosen(verb: str, items: Sequence[tuple[Listed, str]]) -> list[str]:
    """Ask for features, grouped: arrows move, space chooses, letters search; those with a reason cannot be chosen."""
    import questionary

    from laterctl.cli import show

    width = max(len(item.name) for item, _ in items)
    choices: list[questionary.Choice | questionary.Separator] = []
    group = ""
    for item, reason in items:
        if item.group != group:
            group = item.group
            choices.append(questionary.Separator(group))
        room = max(columns() - width - 8, 20)  # behind the marks and the name, on one line
        said = shorten(shown(reason or item.summary), room, placeholder="...")
        title = f"{item.name:<{width}}" + ("" if reason else f"  {said}")
        choices.append(questionary.Choice(title, item.name, disabled=said if reason else None))
    question = questionary.checkbox(
        f"{verb} which features?",
        choices,
        instruction="(arrows, space, letters to search, enter)",
        use_search_filter=True,
        use_jk_keys=False,
    )
    chosen: list[str] | None = _answered(question)
    if not chosen:
        show.progress("nothing was written")
        raise typer.Exit(Exit.DONE)
    return chosen


def _answered(question: Question) -> Any:
    """Ask a question of questionary, which Ctrl-D ends as Ctrl-C does."""
    from prompt_toolkit.key_binding import KeyBindings, merge_key_bindings

    ends = KeyBindings()
    ends.add("c-d")(lambda event: event.app.exit(exception=KeyboardInterrupt))
    known = question.application.key_bindings
    question.application.key_bindings = merge_key_bindings([ends, *([known] if known else [])])
    with _on_its_own_line():
        return question.unsafe_ask()


def options(chosen: Iterable[str], given: Iterable[str]) -> list[str]:
    """Ask for the options of features that were picked, but for those that are `given`; enter takes the default.

    Returns:
        What is not as by default, as `FEATURE.NAME=VALUE`.
    """
    from laterctl.features import catalogue

    known = {item.partition("=")[0] for item in given}
    found = []
    for feature in map(catalogue.feature, chosen):
        for option in feature.options:
            name = f"{feature.name}.{option.name}"
            answer = None if name in known else _option(name, option)
            if answer is not None and answer != _written(option.default):
                found.append(f"{name}={answer}")
    return found


def _option(name: str, option: Option) -> str | None:
    """Ask for the value of an option; `None` when it has no default and gets no value."""
    import questionary

    say(f"{strong(name)}  {option.help} {faint(f'({option.range})')}", hang=4)
    values = option.choices or (("true", "false") if option.type is bool else ())
    if not values:
        text = questionary.text(name, _written(option.default) or "", validate=lambda text: _wrong(option, text))
        answer: str = _answered(text).strip()
        return answer or None
    choices = [questionary.Choice(value, value) for value in values]
    if option.default is None:
        choices.insert(0, questionary.Choice("no value", ""))
    question = questionary.select(
        name, choices, default=_written(option.default) or "", instruction="(arrows, enter)", use_jk_keys=False
    )
    return _answered(question) or None


def _written(value: Value | None) -> str | None:
    """Return a value as it is written behind `--set`."""
    return None if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _wrong(option: Option, text: str) -> bool | str:
    """Say what is wrong with what was typed; `True` when nothing is."""
    if not text.strip():
        return option.default is None or f"it is {option.range}"
    try:
        option.parse(text.strip())
    except ValueError as error:
        return shown(str(error))
    return True
