"""Route templates and probe paths: what metrics, logs and limits call a request."""

from laterctl.edits.file import File
from laterctl.feature import Feature

feature = Feature(
    name="routing",
    hidden=True,
    summary="route templates and probe paths",
    floors={"python": "3.10", "fastapi": "0.112.2"},
    edits=(File("core/routing.py", "routing/core/routing.py.jinja", open=True),),
)
