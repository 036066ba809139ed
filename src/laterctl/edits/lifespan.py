"""Resources that are open while the app runs."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from laterctl.dialects.lifespan import lifespan_dialect
from laterctl.edits.app_statements import after_routers
from laterctl.edits.context import FeatureContext
from laterctl.targets.resolved import Resolved


class ManagedLifespan(Struct, frozen=True):
    """Enter the async context manager `source` (`core.lifespan:managed_resources`) while the app runs."""

    source: str

    def resolve(self, context: FeatureContext) -> Iterator[Resolved]:
        app = context.app(f"app = FastAPI(lifespan={self.source.partition(':')[2]})")
        dialect = lifespan_dialect(self.source, app, context)
        yield from dialect.declare(self.source, app, context, lambda code: after_routers(context, app, code))
