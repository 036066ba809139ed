"""Writes the pages of the documentation that follow from the code; a hook of MkDocs, run by `make docs`."""

from __future__ import annotations

import json
import posixpath
import re
import tempfile
from collections.abc import Iterable, Iterator
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

from laterctl import cli
from laterctl.changeset import Changeset, patch
from laterctl.codemods import newer
from laterctl.commands.new import foundation
from laterctl.commands.read import notes
from laterctl.dialects.settings import Settings, settings_of
from laterctl.doctor import rules
from laterctl.doctor.rule import Example, Rule
from laterctl.edits.setting import Setting
from laterctl.engine import plan
from laterctl.feature import Feature, Group, Option
from laterctl.features import catalogue
from laterctl.project.configuration import TABLE
from laterctl.project.discover import Project
from laterctl.project.tree import Tree

ROOT: Final = Path(__file__).parents[1]
SCHEMA: Final = Path(cli.__file__).with_name("schema.json")

PAGES: Final = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "writing-a-feature.md",
    "CHANGELOG.md": "changelog.md",
    "docs/acceptance.md": "acceptance.md",
}
"""Pages of the site, by the files of the repository that they are made of."""


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the pages that no file below `docs/` holds, and those whose links have to fit the site."""
    for path, text in pages():
        if there := files.get_file_from_path(path):
            files.remove(there)
        files.append(File.generated(config, path, content=text))
    files.append(File.generated(config, SCHEMA.name, abs_src_path=str(SCHEMA)))
    return files


def pages() -> Iterator[tuple[str, str]]:
    """Yield the path of each generated page and its Markdown."""
    for source, path in PAGES.items():
        yield path, fitted((ROOT / source).read_text(encoding="utf-8"), source)
    order = [*Group]
    features = sorted(
        (item for item in catalogue.every() if not item.hidden), key=lambda item: (order.index(item.group), item.name)
    )
    yield "features/index.md", feature_index(features)
    with tempfile.TemporaryDirectory() as folder:
        project = Project(Tree(Path(folder), foundation("shop"), repair=newer.repaired), "")
        for item in features:
            yield f"features/{item.name}.md", feature_page(item, project)
    yield "rules/index.md", rule_index(rules.every())
    for rule in rules.every():
        yield f"rules/{rule.id}.md", rule_page(rule)
    yield "guide.md", guide_page()
    yield "json.md", json_page()


def fitted(text: str, source: str) -> str:
    """Return a page of the repository with its links leading to pages of the site; others become code."""

    def link(found: re.Match[str]) -> str:
        words, target, anchor = found.groups()
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        page = PAGES.get(path) or (path.removeprefix("docs/") if path.startswith("docs/") else "")
        return f"[{words}]({page}{anchor or ''})" if page else f"`{words.strip('`')}`"

    parts = re.split(r"(^```.*?^```$)", text, flags=re.DOTALL | re.MULTILINE)
    parts[::2] = [re.sub(r"\[([^\]]+)\]\(([^):#]+)(#[^)]*)?\)", link, part) for part in parts[::2]]
    return "".join(parts)


def feature_index(features: Iterable[Feature]) -> str:
    """Return the list of features, in the groups of `laterctl list`."""
    blocks = ["# Features", "What `laterctl add` takes. `laterctl list` shows the same list for your project."]
    for group, items in groupby(features, key=lambda item: item.group):
        blocks += [
            f"## {group}",
            table(("feature", "what you get"), ((f"[{i.name}]({i.name}.md)", prose(i.summary)) for i in items)),
        ]
    return document(blocks)


def feature_page(feature: Feature, project: Project) -> str:
    """Return the page of a feature, with what it changes in the foundation."""
    dialect = settings_of(project)
    aliases = f" Also called {', '.join(f'`{name}`' for name in feature.aliases)}." if feature.aliases else ""
    blocks = [
        f"# {feature.name}",
        f"{sentence(feature.summary)}{aliases}",
        fence("console", f"laterctl add {feature.name}"),
    ]
    blocks += section("Needs", bullets(needs(feature)))
    blocks += section("Options", options_table(feature))
    blocks += section("Settings", settings_table(feature, dialect))
    blocks += section("What behaves differently", bullets(prose(item) for item in feature.changes))
    blocks += section("How to use it", bullets(map(prose, notes(feature, project))))
    found = [rule for rule in rules.every() if rule.feature == feature.name]
    blocks += section("What the doctor looks for", rule_table(found, "../rules/") if found else "")
    return document([*blocks, *changes(feature, project)])


def needs(feature: Feature) -> Iterator[str]:
    """Yield what has to be there, and what comes along."""
    yield from (f"{name} {floor} or newer" for name, floor in feature.floors.items())
    if feature.requires:
        yield f"{', '.join(map(feature_link, feature.requires))}: added with it"
    for name in feature.recommends:
        reason = feature.without.get(name, "")
        yield f"{feature_link(name)}: added too, unless you say `--without {name}`" + (
            f"; then {prose(reason)}" if reason else ""
        )


def feature_link(name: str) -> str:
    """Return a link to the page of a feature, the name alone for a capability without one."""
    return f"`{name}`" if catalogue.feature(name).hidden else f"[{name}]({name}.md)"


def options_table(feature: Feature) -> str:
    """Return the options, and which features their values bring."""

    def about(option: Option) -> str:
        brings = [
            f"`{value}` adds {', '.join(map(feature_link, names))}" for value, names in option.requires.items() if names
        ]
        return "; ".join([prose(option.help), *brings])

    rows = [
        (
            f"`--set {feature.name}.{item.name}=...`",
            prose(item.range),
            "" if item.default is None else f"`{item.default}`",
            about(item),
        )
        for item in feature.options
    ]
    return table(("option", "value", "default", "what it does"), rows) if rows else ""


def settings_table(feature: Feature, dialect: Settings) -> str:
    """Return the settings, called as a person writes them in the environment of the foundation."""
    rows = [
        (
            f"`{dialect.environment_variable(item.name)}`",
            "secret" if item.secret else f"`{json.dumps(item.default)}`",
            prose(item.words()),
        )
        for item in catalogue.edits_of(feature.name)
        if isinstance(item, Setting)
    ]
    return table(("variable", "default", "what it is"), rows) if rows else ""


def changes(feature: Feature, project: Project) -> Iterator[str]:
    """Yield what adding a feature does to the foundation.

    Raises:
        PluginError: the foundation refuses it.
    """
    made = plan.make(project, {}, plan.Request(add=(feature.name,)))
    if made.refusals:
        raise PluginError(f"{feature.name}: {'; '.join(item.message for item in made.refusals)}")
    files = {path: change for path, change in made.changeset.items() if not path.startswith(".laterctl/")}
    edited = Changeset({path: change for path, change in files.items() if change.before is not None})
    created = [
        (f"`{path}`", str((change.after or b"").count(b"\n")))
        for path, change in files.items()
        if change.before is None
    ]
    pulled = f"; it brings {', '.join(map(feature_link, made.pulled))} too" if made.pulled else ""
    yield "## What it changes"
    yield f"In a project from `laterctl new shop`, `laterctl add {feature.name}` does this{pulled}."
    if edited:
        yield "It edits:"
        yield fence("diff", patch(edited).decode())
    if created:
        yield "It creates:"
        yield table(("file", "lines"), created)
    yield "What laterctl knows of it is recorded in `.laterctl/`."


def rule_index(known: Iterable[Rule]) -> str:
    """Return the list of rules, by the feature that they belong to."""
    blocks = [
        "# Rules of the doctor",
        "Mistakes that `laterctl doctor` finds in code, whether laterctl wrote it or you did. "
        "`laterctl explain RULE` shows these pages in a terminal.",
    ]
    for feature, items in groupby(
        sorted(known, key=lambda rule: (rule.feature, rule.id)), key=lambda rule: rule.feature
    ):
        blocks += [f"## {feature or 'What is installed'}", rule_table(items)]
    return document(blocks)


def rule_table(known: Iterable[Rule], folder: str = "") -> str:
    """Return a table of rules, with links to their pages."""
    rows = ((f"[{rule.id}]({folder}{rule.id}.md)", rule.severity.value, prose(rule.title)) for rule in known)
    return table(("rule", "severity", "what is wrong"), rows)


def rule_page(rule: Rule) -> str:
    """Return the page of a rule: what `laterctl explain` says."""
    owner = ""
    if rule.feature:
        name = (
            f"`{rule.feature}`"
            if catalogue.feature(rule.feature).hidden
            else f"[{rule.feature}](../features/{rule.feature}.md)"
        )
        owner = f", of {name}"
    blocks = [f"# {rule.id}", f"**{prose(rule.title)}**", f"Severity: {rule.severity.value}{owner}."]
    blocks += section("Why", linked(rule.why))
    blocks += section("Reported, in the marked lines", document(map(example, rule.bad)))
    blocks += section("Left alone", document(map(example, rule.good)))
    blocks += section("Fix", sentence(rule.fix))
    blocks += section("Silence it", fence("console", f"laterctl doctor --skip {rule.id}"))
    return document([*blocks, "Or in `pyproject.toml`:", fence("toml", f'{TABLE}\ndoctor.skip = ["{rule.id}"]')])


def example(found: Example) -> str:
    """Return the code of an example, below the names of its files where there are several."""
    if isinstance(found, str):
        return fence("python", found)
    return document(
        f"`{path}`\n\n{fence('python' if path.endswith('.py') else 'text', text)}" for path, text in found.items()
    )


def guide_page() -> str:
    """Return the page about the order of additions, with the order that the features declare."""
    blocks: list[str] = []
    for stage, items in groupby(catalogue.in_order(), key=lambda item: item.stage):
        rows = (
            (
                f"[{item.name}](features/{item.name}.md)",
                sentence(item.why),
                "<br>".join(map(sentence, item.changes)) or "Nothing that is there.",
            )
            for item in items
        )
        blocks += [f"### {stage}", table(("feature", "why here", "what it changes"), rows)]
    return (ROOT / "docs" / "guide.md").read_text(encoding="utf-8").replace("<!-- stages -->", document(blocks))


def json_page() -> str:
    """Return what there is to say of the JSON that commands print."""
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    return document(
        [
            "# JSON",
            f"With `--json` a command prints one JSON document and nothing else. [{SCHEMA.name}]({SCHEMA.name}) is its JSON Schema.",
            prose(schema["description"]),
            "The kinds are:",
            bullets(f"`{kind}`" for kind in schema["properties"]["kind"]["enum"]),
        ]
    )


def document(blocks: Iterable[str]) -> str:
    """Join blocks of Markdown."""
    return "\n\n".join(blocks)


def section(title: str, body: str) -> list[str]:
    """Return a heading and what stands below it; nothing without a body."""
    return [f"## {title}", body] if body else []


def bullets(items: Iterable[str]) -> str:
    """Return a list."""
    return "\n".join(f"- {item}" for item in items)


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table; its cells are Markdown."""
    heads = [*heads]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, ["---"] * len(heads), *rows))


def fence(language: str, text: str) -> str:
    """Return a block of code, which may hold fences of backticks."""
    return f"~~~~{language}\n{text.rstrip()}\n~~~~"


def prose(text: str) -> str:
    """Return words for a terminal as Markdown; what stands between backticks is code there too."""
    parts = re.split(r"(`[^`]+`)", text)
    parts[::2] = [re.sub(r"([\\`*_\[\]|])", r"\\\1", escape(part, quote=False)) for part in parts[::2]]
    return "".join(parts)


def linked(text: str) -> str:
    """Return prose whose addresses are links."""
    parts = re.split(r"(https?://\S*[^\s.,;:)])", text)
    return "".join(f"<{part}>" if number % 2 else prose(part) for number, part in enumerate(parts))


def sentence(text: str) -> str:
    """Return prose as one sentence, with its capital letter and its full stop."""
    return prose(text[:1].upper() + text[1:].removesuffix(".") + ".")
