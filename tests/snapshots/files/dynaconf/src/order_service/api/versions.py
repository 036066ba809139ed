# From laterctl: versioning.
"""The versions of the API, the oldest first, and when they end."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import formatdate
from typing import NamedTuple

from fastapi import APIRouter


class Version(NamedTuple):
    """A version, and pairs of a router of the one before and its successor."""

    name: str
    changed: Sequence[tuple[APIRouter, APIRouter]]


@dataclass(frozen=True)
class Lifetime:
    """When something is deprecated, when it ends, and where that is explained.

    ValueError when it ends before it is deprecated.
    """

    deprecated: datetime
    sunset: datetime | None = None
    link: str = ''

    def __post_init__(self) -> None:
        """Check the times."""
        if self.sunset and self.sunset < self.deprecated:
            message = f'{self} ends before it is deprecated'
            raise ValueError(message)

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """What responses say of it: RFC 9745 and RFC 8594."""
        found = {'deprecation': f'@{int(self.deprecated.timestamp())}'}
        if self.sunset:
            found['sunset'] = formatdate(self.sunset.timestamp(), usegmt=True)
        if self.link:
            found['link'] = f'<{self.link}>; rel="deprecation"'
        return [(name.encode(), text.encode()) for name, text in found.items()]


VERSIONS: list[Version] = [Version('v1', [])]

# By version, with times such as that of datetime.now().astimezone().
LIFETIMES: dict[str, Lifetime] = {}

# That of paths without a version: say since when.
LEGACY = Lifetime(datetime.fromisoformat('2026-01-01T00:00:00+00:00'))
