"""Whether the operations of an OpenAPI document are what they were.

https://spec.openapis.org/oas/latest.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Document = Mapping[str, Any]

GONE = "it is gone"
"""Where an operation differs that is not there any more."""
_REFERENCE = "#/components/"


def changed(before: Document, after: Document) -> Iterator[tuple[str, str, str]]:
    """Yield the operations of `before` that `after` has otherwise or not at all: path, method, and where they differ.

    An operation may have gained error responses and response headers. What is behind a reference counts, not its
    name: FastAPI renames two models of one name that meet in a document.
    """
    both = _Both(before, after)
    for section in ("paths", "webhooks"):
        now = after.get(section) or {}
        for path, item in (before.get(section) or {}).items():
            for method, operation in item.items():
                other = (now.get(path) or {}).get(method)
                where = GONE if other is None else both.operation(operation, other)
                if where:
                    yield path, method, where


def differing(before: Any, after: Any, at: str) -> str:
    """Return where two JSON values, which are called `at`, differ; `""` when they do not."""
    return _Both({}, {}).same(before, after, at)


def doubled(document: Document) -> dict[str, list[str]]:
    """Return the operation ids that a document gives more than once, with the operations that have them.

    Methods of one path do not count: to those of one route FastAPI gives the same.
    """
    found: dict[str, list[str]] = {}
    for section in ("paths", "webhooks"):
        for path, item in (document.get(section) or {}).items():
            for method, operation in item.items():
                if isinstance(operation, dict) and "operationId" in operation:
                    found.setdefault(operation["operationId"], []).append(f"{method.upper()} {path}")
    return {name: shown for name, shown in found.items() if len({item.partition(" ")[2] for item in shown}) > 1}


class _Both:
    """Two documents side by side; each method returns where two parts of them differ, `""` when they do not."""

    def __init__(self, before: Document, after: Document) -> None:
        self._before = before
        self._after = after
        self._known: dict[tuple[str, str], str] = {}

    def operation(self, before: Any, after: Any) -> str:
        if not isinstance(before, dict) or not isinstance(after, dict):
            return self.same(before, after, "")
        responses = self._responses(before.get("responses", {}), after.get("responses", {}))
        rest = [{key: value for key, value in item.items() if key != "responses"} for item in (before, after)]
        return responses or self.same(rest[0], rest[1], "")

    def _responses(self, before: Document, after: Document) -> str:
        more = [code for code in after if code not in before and not str(code).startswith(("4", "5", "default"))]
        if more:
            return f"responses.{more[0]} is new"
        for code, response in before.items():
            at = f"responses.{code}"
            if code not in after:
                return f"{at} is gone"
            old, new = self._resolved(self._before, response), self._resolved(self._after, after[code])
            if isinstance(old, dict) and isinstance(new, dict):
                headers = {key: value for key, value in new.get("headers", {}).items() if key in old.get("headers", {})}
                new = {key: value for key, value in new.items() if key != "headers"}
                new |= {"headers": headers} if "headers" in old else {}
            if where := self.same(old, new, at):
                return where
        return ""

    def same(self, before: Any, after: Any, at: str) -> str:
        pair = self._reference(before), self._reference(after)
        old, new = self._resolved(self._before, before), self._resolved(self._after, after)
        if not all(pair):
            return self._same(old, new, at)
        if pair not in self._known:
            self._known[pair] = ""  # while it is being compared: models may contain themselves
            self._known[pair] = self._same(old, new, at)
        return self._known[pair]

    def _same(self, before: Any, after: Any, at: str) -> str:
        if isinstance(before, dict) and isinstance(after, dict):
            for key in [*before, *(key for key in after if key not in before)]:
                where = f"{at}.{key}".lstrip(".")
                if key not in before or key not in after:
                    return f"{where} is {'gone' if key in before else 'new'}"
                if found := self.same(before[key], after[key], where):
                    return found
            return ""
        if isinstance(before, list) and isinstance(after, list):
            if len(before) != len(after):
                return f"{at} has {len(after)} entries instead of {len(before)}"
            pairs = enumerate(zip(before, after, strict=True))
            return next(filter(None, (self.same(old, new, f"{at}.{number}") for number, (old, new) in pairs)), "")
        return "" if before == after else f"{at} differs"

    @staticmethod
    def _reference(value: Any) -> str:
        if isinstance(value, dict):
            value = value.get("$ref")
        return value if isinstance(value, str) and value.startswith(_REFERENCE) else ""

    def _resolved(self, document: Document, value: Any) -> Any:
        """Return what a reference leads to; `discriminator` mappings hold references as plain strings."""
        reference = self._reference(value)
        if not reference:
            return value
        target: Any = document
        for key in reference.removeprefix("#/").split("/"):
            name = key.replace("~1", "/").replace("~0", "~")
            if not isinstance(target, dict) or name not in target:
                return value
            target = target[name]
        return target
