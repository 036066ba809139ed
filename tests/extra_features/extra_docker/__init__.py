"""Files beside the application, in languages of their own, and a group of dependencies."""

from laterctl.edits.file import File
from laterctl.edits.manifest import DependencyFloor
from laterctl.feature import Feature

feature = Feature(
    name="extra-docker",
    group="Deployment",
    summary="an image, and a load test",
    edits=(
        File("Dockerfile", "docker/Dockerfile.jinja", root=True),
        File("load/entry.sh", "docker/entry.sh.jinja", root=True),
        File("load/schema.sql", "docker/schema.sql.jinja", root=True),
        File("load/report.html", "docker/report.html.jinja", root=True),
        File("load/limits.json", "docker/limits.json.jinja", root=True),
        File("load/locustfile.py", "docker/locustfile.py.jinja", root=True),
        DependencyFloor("locust>=2.30", group="load"),
        DependencyFloor("python-json-logger>=3", group="load", provides=("pythonjsonlogger",)),
    ),
)
