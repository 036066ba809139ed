"""What the dialects of providers answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from msgspec import Struct

from laterctl.dialects.ground import Ground
from laterctl.project.places import Place
from laterctl.render import Expr
from laterctl.targets.resolved import Resolved


class ProviderSpec(Struct, frozen=True):
    """The object `name`, made and kept by the function `source` (`core.tokens:get_tokens`).

    With `closed_by`, a coroutine method of the object, the function only makes it (`core.redis:build_redis`): the
    project keeps one until the application stops. When it is `only_made`, the project keeps one, too.
    """

    name: str
    source: str
    closed_by: str = ""
    only_made: bool = False

    @property
    def is_kept(self) -> bool:
        """Whether the project keeps the object, and not its function."""
        return bool(self.closed_by) or self.only_made


class Providers(Protocol):
    """How request code gets its long-lived objects."""

    def has(self, name: str) -> bool:
        """Whether the project itself provides an object of that name."""
        ...

    def declare(self, spec: ProviderSpec, arguments: Sequence[str], ground: Ground) -> Iterator[Resolved]:
        """Yield the targets that make an object available; `arguments` are providers that its function takes.

        Raises:
            laterctl.refusal.Refused: the project has something else of that name.
        """
        ...

    def instead(self) -> tuple[str, Place] | None:
        """Return why the project's own container gets no providers, and what is done; where it is. `None` where it does."""
        ...

    def read(self, spec: ProviderSpec, module: str) -> Expr:
        """Return the expression that gives the object; `module` is where its function is."""
        ...

    def keep(self, spec: ProviderSpec) -> Expr:
        """Return the statement of the function's own file that keeps the object, empty where the container does."""
        ...

    def forget(self, spec: ProviderSpec, module: str) -> Expr:
        """Return the callable after which another object is made, of a provider that the project keeps."""
        ...
