"""Credentials that stand in texts: in URLs, and tokens of well-known make."""

from __future__ import annotations

import re

_USERINFO = re.compile(r"(?<=://)(?!git@)[^\s/?#'\"<>]+@")
_TOKENS = re.compile(
    r"\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|pypi-[\w-]{16,}|AKIA[0-9A-Z]{16})"
)


def masked(text: str) -> str:
    """Return `text` with user information in URLs, and tokens of well-known make, replaced by `***`.

    Names and program code stay as they are, so that a diff can be read.
    """
    return _TOKENS.sub("***", _USERINFO.sub("***@", text))
