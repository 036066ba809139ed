"""Credentials that stand in texts: in URLs, tokens of well-known make, and values of names that say so."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from laterctl.patterns import pattern

if TYPE_CHECKING:
    import ast

_USERINFO = pattern(r"(?<=://)(?!git@)[^\s/?#'\"<>]+@")
_TOKENS = pattern(
    r"\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|pypi-[\w-]{16,}|AKIA[0-9A-Z]{16})"
)
_SECRET = pattern(
    r"(?i)(?:passw|passphrase|secret|credential|api_?key|private_?key)"
    r"|(?:^|[_.-]|(?<=[a-z])(?-i:(?=[A-Z])))(?:pass|pwd|salt|pepper|auth|authorization|tokens?|keys)$"
    r"|(?:[_.-]|(?<=[a-z])(?-i:(?=[A-Z])))key$"
)
_HARMLESS = pattern(
    r"(?i)public_?keys?$|(?:url|uri|ttl|seconds|minutes|hours|days|path|name|type|length|algorithms?|enabled|header|prefix)$"
)
_PAIR = pattern(  # a name and its value, somewhere in a line
    r"(?P<head>(?P<mark>[\"']?)(?P<name>[A-Za-z_][\w.-]*)(?P=mark)\s*(?:=>|:(?:[^=\"'\n]{1,80}=)?|=(?!=))\s*)"
    r"(?P<value>[\"'](?:[^\"'\\]|\\.)*[\"']|[^\s\"'\[\]{},]+)"
)
_LINE = pattern(  # a name, and what follows it to the end of the line
    r"(?P<head>[\s#;]*(?:[-*]\s+)?(?:(?:export|set)\s+|(?P<docker>(?:ENV|ARG)\s+))?"
    r"[\"']?(?P<name>[A-Za-z_][\w.-]*)[\"']?(?(docker)[\s=]\s*|\s*(?::|=(?!=))\s*))"
    r"(?P<value>.*?)(?P<end>,?\s*)"
)
_SECTION = pattern(r"\s*\[+\s*([^\[\]]+?)\s*\]+\s*(?:[#;].*)?")
_OPENERS = ("[", "{", "(", "|", ">", "|-", ">-", "|+", ">+")
_REFERENCE = pattern(r"\$\{?\w+\}?|\{\{.*\}\}|[\"']{2}|\[\s*\]|\{\s*\}|null|none|true|false", re.IGNORECASE)
_KEY_BLOCK = pattern(r"-----(BEGIN|END) [A-Z ]*PRIVATE KEY-----")
_KEY_LINE = pattern(r"(-----BEGIN [A-Z ]*PRIVATE KEY-----).+?(-----END )")
_HIDDEN = "***"


def masked(text: str) -> str:
    """Return `text` with user information in URLs, and tokens of well-known make, replaced by `***`.

    Names and program code stay as they are, so that a diff can be read.
    """
    return _KEY_LINE.sub(rf"\1{_HIDDEN}\2", _TOKENS.sub(_HIDDEN, _USERINFO.sub(f"{_HIDDEN}@", text)))


def is_secret(name: str) -> bool:
    """Whether a name, such as that of a setting, says that its value is a secret."""
    return bool(_SECRET.search(name)) and not _HARMLESS.search(name)


def masked_file(path: str, data: bytes) -> bytes:
    """Return the text of a file, line for line, in which `***` stands for the values of secret names.

    In Python these are literals alone. What is no text stays as it is.
    """
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return data
    made = _masked_python(text) if path.endswith(".py") else _masked_lines(text, whole="secret" in path.lower())
    return masked(made).encode()


def masked_value(line: str) -> str:
    """Return a line of a file, whatever its kind, in which `***` stands for literals of secret names."""
    return _PAIR.sub(lambda found: _hidden(found) if found["value"][0] in "\"'" else found[0], masked(line))


def _masked_lines(text: str, *, whole: bool) -> str:
    """Mask a configuration file. A secret name hides all that is indented below it; `whole`, every name does."""
    out: list[str] = []
    secret_section = whole
    deeper: int | None = None  # lines that are indented more than this belong to a secret name
    closing = ""  # what ends the text that is being hidden
    for line in text.splitlines(keepends=True):
        body = line.rstrip("\r\n")
        ending = line[len(body) :]
        indent = len(body) - len(body.lstrip())
        if closing:
            _, end, rest = body.partition(closing)
            out.append(_HIDDEN + end + rest + ending)
            closing = "" if end else closing
            continue
        if (block := _KEY_BLOCK.search(body)) and block[1] == "BEGIN" and "END" not in body[block.end() :]:
            closing = "PRIVATE KEY-----"
            out.append(line)
            continue
        if deeper is not None and body.strip():
            if indent > deeper:
                out.append(body[:indent] + _HIDDEN + ending)
                continue
            deeper = None
        if section := _SECTION.fullmatch(body):
            secret_section = whole or is_secret(section[1].rpartition(".")[2].strip("\"' "))
            out.append(line)
            continue
        found = _LINE.fullmatch(body)
        if found is None or not (secret_section or any(map(is_secret, found["name"].split(".")))):
            out.append(_PAIR.sub(_masked_pair, body) + ending)
            continue
        value = found["value"]
        quotes = next((mark for mark in ('"""', "'''") if value.startswith(mark) and value.count(mark) == 1), "")
        if quotes:
            closing = quotes
            out.append(found["head"] + quotes + _HIDDEN + ending)
        elif not value or value in _OPENERS:
            deeper = indent
            out.append(line)
        elif _REFERENCE.fullmatch(value):
            out.append(line)
        else:
            out.append(found["head"] + _quoted(value) + found["end"] + ending)
    return "".join(out)


def _masked_pair(found: re.Match[str]) -> str:
    return _hidden(found) if not _REFERENCE.fullmatch(found["value"]) else found[0]


def _hidden(found: re.Match[str]) -> str:
    known = is_secret(found["name"].rpartition(".")[2]) and len(found["value"].strip("\"'"))
    return found["head"] + _quoted(found["value"]) if known else found[0]


def _quoted(value: str) -> str:
    mark = value[0] if value[0] in "\"'" else ""
    return f"{mark}{_HIDDEN}{mark}"


def _masked_python(text: str) -> str:
    """Mask the literals that a secret name is given; pairs in each line where the text does not parse."""
    import ast
    import warnings

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return "".join(map(masked_value, text.splitlines(keepends=True)))
    lines = [line.encode() for line in text.splitlines(keepends=True)]
    if len(lines) != max(len(text.split("\n")) - text.endswith("\n"), 0):  # other separators than those of Python
        return "".join(map(masked_value, text.splitlines(keepends=True)))
    for value in sorted(set(_secret_literals(tree)), key=lambda node: (node.lineno, node.col_offset), reverse=True):
        last, until = value.end_lineno or value.lineno, value.end_col_offset or 0
        start = lines[value.lineno - 1][: value.col_offset]
        rest = lines[last - 1][until:]
        inner = (
            [b'"***"'] if value.lineno == last else [b'"""***\n', *[b"***\n"] * (last - value.lineno - 1), b'***"""']
        )
        lines[value.lineno - 1 : last] = [start + inner[0], *inner[1:]]
        lines[last - 1] += rest
    return b"".join(lines).decode()


def _secret_literals(tree: ast.Module) -> Iterator[ast.expr]:
    import ast

    for value in (value for node in ast.walk(tree) for value in _secret_values(node)):
        if isinstance(value, ast.JoinedStr):
            yield value
            continue
        for inner in ast.walk(value):
            match inner:
                case ast.Constant(value=str() | bytes() as text) if text and not is_secret(str(text)):
                    yield inner


def _secret_values(node: ast.AST) -> list[ast.expr]:
    """Return the expressions that a node gives to secret names."""
    import ast

    match node:
        case ast.Assign(targets=targets, value=value) if any(map(_is_secret_target, targets)):
            return [value]
        case ast.AnnAssign(target=target, value=ast.expr() as value) if _is_secret_target(target):
            return [value]
        case ast.keyword(arg=str(name), value=value) if is_secret(name):
            return [value]
        case ast.Dict(keys=keys, values=values):
            return [
                value for key, value in zip(keys, values, strict=True) if key is not None and _is_secret_target(key)
            ]
        case ast.Call(args=[ast.Constant(value=str(name)), *rest], keywords=keywords) if is_secret(name):
            return [*rest, *(item.value for item in keywords)]
        case ast.Compare(left=left, comparators=others) if any(map(_is_secret_target, [left, *others])):
            return [left, *others]
        case ast.arguments(args=args, defaults=defaults):
            return [
                value
                for arg, value in zip(args[len(args) - len(defaults) :], defaults, strict=True)
                if is_secret(arg.arg)
            ]
    return []


def _is_secret_target(node: ast.expr) -> bool:
    import ast

    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return is_secret(name)
        case ast.Constant(value=str(name)) | ast.Subscript(slice=ast.Constant(value=str(name))):
            return name.isidentifier() and is_secret(name)
    return False
