"""Files beside the application, in languages of their own, and a group of dependencies."""

from laterctl.edits.file import File
from laterctl.edits.manifest import DependencyFloor
from laterctl.feature import Feature

feature = Feature(
    name="extra-docker",
    group="Deployment",
    summary="an image, and a load test",
    edits=(
        File("Dockerfile", "extra-docker/Dockerfile.jinja", root=True),
        File("load/entry.sh", "extra-docker/entry.sh.jinja", root=True),
        File("load/schema.sql", "extra-docker/schema.sql.jinja", root=True),
        File("load/report.html", "extra-docker/report.html.jinja", root=True),
        File("load/limits.json", "extra-docker/limits.json.jinja", root=True),
        File("load/locustfile.py", "extra-docker/locustfile.py.jinja", root=True),
        DependencyFloor("locust>=2.30", group="load"),
        DependencyFloor("python-json-logger>=3", group="load", provides=("pythonjsonlogger",)),
    ),
)
