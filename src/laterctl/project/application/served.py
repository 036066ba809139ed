"""What is started in production: `module:attr` references in container files, scripts and manifests."""

from __future__ import annotations

import re

from msgspec import Struct

from laterctl.patterns import pattern
from laterctl.project.places import Place, is_test_or_docs
from laterctl.project.source import Unreadable
from laterctl.project.tree import Outside, Tree

_REFERENCE = pattern(r"(?<![\w./:@-])([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):([A-Za-z_][\w.]*)(?![\w:/@-])")
_OWNER = pattern(  # of files or of a process, as `user:group`
    r"(?:\b(?:chown|chgrp|gosu|su-exec)(?:\s+-\S+)*(?:=|\s+)|^\s*USER\s+|\b(?:user|curl\s.*-u)[:=]?\s*)[\"']?$"
)
_FILE = pattern(r"\bfastapi[\"',\s]+(?:run|dev)[\"',\s]+(?:--[\w-]+[= ]\S+\s+)*[\"']?([\w./-]+\.py)")
_SERVER = pattern(r"uvicorn|gunicorn|hypercorn|granian|daphne|fastapi|asgi|wsgi_app|entrypoint|serverless|handler")
_SCRIPTS = pattern(
    r"^(?:Dockerfile.*|.*\.[Dd]ockerfile|(?:docker-)?compose.*\.ya?ml|Procfile.*|[Mm]akefile|[Jj]ustfile)$"
)
_SUFFIXES = (".sh", ".service", ".bat", ".ps1", ".fish", ".toml", ".cfg", ".ini", ".conf")
_SECRET = pattern(r"secret|^\.env", re.IGNORECASE)  # never read: what is not known cannot be told
_WEAK = pattern(r"^README(?:\.\w+)?$", re.IGNORECASE)


class Served(Struct, frozen=True):
    """A reference to an application object: module and attribute as written, or `path` for `fastapi run FILE`.

    `strength` is 3 for what starts the application in production, 2 for a Python script, 1 for what tests it or merely
    tells people how to.
    """

    module: str
    attr: str
    place: Place
    strength: int
    path: str = ""

    @property
    def ending(self) -> str:
        """How the path of the file that is meant ends, without `.py`; what comes before is the import root."""
        return self.path.removesuffix(".py") if self.path else self.module.replace(".", "/")

    def root_for(self, path: str) -> str | None:
        """Return the import root under which this means file `path`, `None` when it does not."""
        stem = path.removesuffix(".py").removesuffix("/__init__")
        if self.path or not f"/{stem}".endswith(f"/{self.ending}"):
            return None
        return stem[: -len(self.ending)].rstrip("/")


def find_served(tree: Tree) -> list[Served]:
    """Return every reference to an application in the files that start one, in the order of paths and lines."""
    found: list[Served] = []
    for path in tree.files():
        if path.endswith(".py"):
            continue
        name = path.rpartition("/")[2]
        if is_secret(path):
            continue
        if _WEAK.match(name) and path.count("/") <= 1:
            found += _references(tree, path, 1)
        elif starts(path):
            found += _references(tree, path, 3)
    for path in tree.files_containing_any((b"icorn", b"sgi")):  # uvicorn, gunicorn, wsgi_app, asgi
        found += _references(tree, path, 1 if is_test_or_docs(path) else 2)
    return found


def starts(path: str) -> bool:
    """Whether a file is of a kind that starts applications: a container file, a script, a manifest. Python is not."""
    name = path.rpartition("/")[2]
    return path.count("/") <= 3 and (_SCRIPTS.match(name) is not None or name.endswith(_SUFFIXES))


def is_secret(path: str) -> bool:
    """Whether a file is never read, by what its name says of it."""
    return _SECRET.search(path.rpartition("/")[2]) is not None


def _references(tree: Tree, path: str, strength: int) -> list[Served]:
    try:
        data = tree.read(path)
    except (Outside, Unreadable):
        return []
    text = (data or b"")[:200_000].decode("utf-8", "replace")
    if not _SERVER.search(text):
        return []
    found: list[Served] = []
    python = path.endswith(".py")
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.lstrip()
        if stripped.startswith("#") or (":" not in line and "fastapi" not in line):
            continue
        place = Place(path, number)
        files = [match[1].removeprefix("./") for match in _FILE.finditer(line)]
        found += [Served("", "", place, strength, file) for file in files]
        for match in _REFERENCE.finditer(line):
            quoted = line[match.start() - 1 : match.start()] in {'"', "'"}
            if quoted if python else not _OWNER.search(line[: match.start()]):
                found.append(Served(match[1], match[2], place, strength))
    return found
