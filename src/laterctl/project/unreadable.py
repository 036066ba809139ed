"""Files that may hold what discovery looks for and that nobody can read: a reason to refuse, not to guess."""

from __future__ import annotations

import re
from collections.abc import Iterable

from laterctl.project.configuration import Misconfigured
from laterctl.project.facts import Undecided
from laterctl.project.places import Place, is_test_or_docs
from laterctl.project.source import Unreadable
from laterctl.project.tree import Outside, Tree

_WIDE = ("utf-16-le", "utf-16-be")


def unread(tree: Tree, words: Iterable[str], *, called: str = "", wide: bool = False) -> tuple[Undecided, ...]:
    """Return what is wrong with the Python files that mention one of `words` and cannot be read.

    Args:
        tree: the project's files.
        words: a file that holds one of them counts.
        called: a pattern; files whose bytes may not even be read count when their path matches it.
        wide: look for the words in UTF-16 too.
    """
    needles = [word.encode(encoding) for word in words for encoding in ("utf-8", *(_WIDE if wide else ()))]
    paths = set(tree.files_containing_any(needles))
    paths |= {path for path in tree.refused if called and re.search(called, path)}
    found = (_undecided(tree, path) for path in sorted(paths) if not is_test_or_docs(path))
    return tuple(item for item in found if item is not None)


def _undecided(tree: Tree, path: str) -> Undecided | None:
    try:
        _ = tree.python(path).tree
    except Unreadable as error:
        return as_undecided(error)
    except Outside as error:
        return as_undecided(error)
    return None


def as_undecided(error: Unreadable | Outside) -> Undecided:
    """Return a file that cannot be read as something that could not be decided."""
    if isinstance(error, Outside):
        return Undecided("outside", f"{error}, and is left alone", LINK, (Place(error.path, 1),))
    message = error.reason if isinstance(error, Misconfigured) else f"{error.path} cannot be read: {error.reason}"
    return Undecided(error.code, message, error.hint, (Place(error.path, error.line),))


LINK = "put a real file or folder in the place of the symbolic link"
"""What to do about a symbolic link that leads out of the project."""
