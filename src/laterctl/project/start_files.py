"""The files that start and configure an application, in parts: services of a compose file, documents of other YAML."""

from __future__ import annotations

import re
from collections.abc import Iterator

from laterctl.patterns import pattern
from laterctl.project.application.served import is_secret, starts
from laterctl.project.places import is_test_or_docs
from laterctl.project.source import Unreadable
from laterctl.project.tree import Outside, Tree

Lines = list[tuple[int, str]]

YAML = (".yaml", ".yml")
COMMENT = pattern(r"(?:^|\s)#.*|^\s*(?:;|//|::|REM\s).*")
HEAD = pattern(r"^(?:\s*(?:-\s+)?(?:image|build|context|dockerfile)|  name):.*|\A\s*[\w-]+:", re.MULTILINE)
OTHER = pattern(  # what is not the application, by its image, its name or its command
    r"\b(?:celery|dramatiq|rq|arq|taskiq|huey|flower|beat|workers?|consumer|scheduler|cron|postgres\w*|mysql|mariadb"
    r"|mongo\w*|redis|valkey|rabbitmq|kafka|nginx|traefik|caddy|haproxy|node|npm|puma|rails|front-?end|client|ui)\b"
)
_MORE = pattern(r"\.(?:ya?ml|tf)$|(?:^|/)(?:app|railway|[\w.-]*(?:settings|config)[\w.-]*)\.json$")


def start_parts(tree: Tree, wanted: re.Pattern[str]) -> Iterator[tuple[str, Lines]]:
    """Yield the parts, without comments, of the files that match `wanted` and start or configure applications.

    A compose file comes in services, other YAML in documents, any other file whole.
    """
    for path in tree.files():
        if path.endswith(".py") or not (starts(path) or _MORE.search(path)) or "lock" in path or is_secret(path):
            continue
        if is_test_or_docs(path.replace("templates/", "")):  # where Helm has what it deploys
            continue
        try:
            text = (tree.read(path) or b"")[:200_000].decode("utf-8", "replace")
        except (Outside, Unreadable):
            continue
        if wanted.search(text):
            yield from ((path, part) for part in _cut(path, text) if part)


def _cut(path: str, text: str) -> list[Lines]:
    lines = [(number, COMMENT.sub("", line).rstrip()) for number, line in enumerate(text.splitlines(), 1)]
    service = min((indent_of(line) for _, line in lines if indent_of(line)), default=0)
    found: list[Lines] = [[]]
    for number, line in lines:
        heads = starts(path) and line and indent_of(line) in {0, service}
        if path.endswith(YAML) and (line == "---" or heads):
            found.append([])
        if line:
            found[-1].append((number, line))
    return found


def text_of(lines: Lines) -> str:
    """Return the lines of a part as one text."""
    return "\n".join(line for _, line in lines)


def indent_of(line: str) -> int:
    """Return how many characters of white space a line starts with."""
    return len(line) - len(line.lstrip())
