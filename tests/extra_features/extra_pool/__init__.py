"""A pool of database connections with a limit, wherever the application makes an engine."""

from laterctl.edits.file import File
from laterctl.edits.rewritten_call import RewrittenCall
from laterctl.feature import Feature, Group

feature = Feature(
    name="extra-pool",
    group=Group.DATABASE,
    summary="a pool of connections with a limit",
    edits=(
        File("core/pool.py", "pool/core/pool.py.jinja"),
        RewrittenCall("core.pool:limited", ("sqlalchemy.ext.asyncio.create_async_engine",)),
    ),
)
