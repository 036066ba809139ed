"""Load on a running application, by locust: a program of its own, with what it needs in a group of its own."""

from laterctl.edits.file import File
from laterctl.edits.manifest import DependencyFloor
from laterctl.feature import ExistingSigns, Feature, Group, Stage

feature = Feature(
    name="load",
    group=Group.TESTING,
    aliases=("locust",),
    summary="load on a running application, which fails by errors and by the 95th percentile",
    floors={"python": "3.10"},
    edits=(
        DependencyFloor("locust>=2.40", group="load"),
        File("load/__init__.py", "load/root/package.py.jinja", root=True),
        File("load/locustfile.py", "load/root/locustfile.py.jinja", root=True),
    ),
    by_hand=ExistingSigns(imports=("locust",), dependencies=("locust",)),
    stage=Stage.SPEED,
    after=("bench",),
    why="one request says little about many at a time",
    notes=(
        "run it: locust -f load/locustfile.py --headless -u 20 -r 5 -t 60s --host http://127.0.0.1:8000",
        "it asks for the paths of /openapi.json that need nothing; LOAD_PATHS names others",
        "LOAD_P95_MS=500 and LOAD_FAILURES=0.01, a share, are what it lets pass; LOAD_ALLOW_REMOTE=1 lets it at other machines",
    ),
)
