"""Whether a project gives itself an environment variable, as far as what may be read can tell."""

from __future__ import annotations

import re

from laterctl.patterns import pattern
from laterctl.project.origin import is_signed
from laterctl.project.places import is_test_or_docs
from laterctl.project.roots import repository_of
from laterctl.project.start_files import COMMENT, HEAD, OTHER, start_parts, text_of
from laterctl.project.tree import Tree

_ELSEWHERE = pattern(
    r"\benv_file\s*:|\benvFrom\s*:|\bEnvironmentFile\s*=|\benvfile\s*=|--env-file|\bdotenv-load\b"
    r"|(?:^|[\s;&])(?:source|\.|-?include)\s+\S*\.env\b|\b(?:doppler|infisical|chamber|dotenv|op)\s+(?:run|exec)\b"
)
_DOTENV = pattern(r"\.env(?:rc)?(?:\.|$)(?!.*(?:example|sample|template|dist))")


def is_set(tree: Tree, variable: str) -> bool:
    """Whether something in the repository gives an environment variable a value, or may: from what is never read.

    Python files of ours do not count; in others it is enough to name the variable.
    """
    tree = _repository(tree)
    name = re.compile(variable, re.IGNORECASE)
    empty = re.compile(rf"{variable}[\"']?\s*[:=]\s*(?:\"\"|''|null|~)?[\"']?\s*,?\s*\\?\s*$", re.IGNORECASE)
    for _, part in start_parts(tree, re.compile(f"{variable}|{_ELSEWHERE.pattern}", re.IGNORECASE | re.MULTILINE)):
        if any(name.search(line) and not empty.search(line) for _, line in part):
            return True
        if _ELSEWHERE.search(text := text_of(part)) and not OTHER.search("\n".join(HEAD.findall(text))):
            return True
    default = rf"\s*\w*{variable}\w*\s*(?::[^=]*)?=\s*(?:.*[(,=]\s*)?(?:\"\"|''|None)\s*\)*\s*$"
    empty = re.compile(default, re.IGNORECASE)
    for path in tree.files_containing_any((variable.upper().encode(), variable.lower().encode())):
        data = tree.read(path) or b""
        code = (COMMENT.sub("", line) for line in data.decode("utf-8", "replace").splitlines())
        named = any(name.search(line) and not empty.match(line) for line in code)
        if named and not is_test_or_docs(path) and not is_signed(tree, path):
            return True
    return has_dotenv(tree) and any(not is_test_or_docs(path) for path in tree.files_containing(b"load_dotenv"))


def has_dotenv(tree: Tree) -> bool:
    """Whether there is a `.env` at the top of the project or of its repository: it is not read, and may set anything."""
    return any(_DOTENV.match(name) for name in [*tree.names(), *_repository(tree).names()])


def _repository(tree: Tree) -> Tree:
    top = repository_of(tree.root)
    return tree if top == tree.root else Tree(top)
