"""Profiles of single requests, by pyinstrument, for those who have a token."""

from laterctl.edits.app_statements import Middleware
from laterctl.edits.dropped_test import DroppedTest, has_importable_app
from laterctl.edits.file import File
from laterctl.edits.manifest import DependencyFloor, IgnoreLine
from laterctl.edits.setting import Setting
from laterctl.feature import ExistingSigns, Feature, Group, Stage, fresh_token

feature = Feature(
    name="profiling",
    group=Group.PERFORMANCE,
    summary="a profile of one request, for who sends a token with it",
    requires=("settings",),
    floors={"python": "3.10", "fastapi": "0.112.2", "pydantic": "2"},
    edits=(
        DependencyFloor("pyinstrument>=5"),
        Setting(
            "profiling_token",
            "SecretStr | None",
            None,
            secret=True,
            help="what X-Profile-Token has to be; without it nothing is profiled; laterctl secret profiling makes one",
        ),
        Setting("profiling_dir", "str", "profiles", help="folder for the profiles"),
        Setting("profiling_keep", "PositiveInt", 20, help="how many of the newest profiles are kept"),
        File("core/profiling.py", "profiling/core/profiling.py.jinja"),
        Middleware("core.profiling:profiled", rank="profiling", settings="core.profiling:ProfilingSettings"),
        IgnoreLine("profiles/"),
        DroppedTest("test_profiling.py", "profiling/tests/test_profiling.py.jinja", when=has_importable_app),
    ),
    by_hand=ExistingSigns(
        imports=("pyinstrument", "fastapi_profiler"),
        dependencies=("fastapi-profiler",),
        names=("ProfilerMiddleware", "ProfilingMiddleware", "PyInstrumentMiddleware", "PyInstrumentProfilerMiddleware"),
    ),
    changes=("a request with the token in X-Profile-Token is slower, and its answer has X-Profile-Id",),
    stage=Stage.SPEED,
    after=("load",),
    why="where the time of a slow request goes is seen before anything is made faster",
    notes=(
        "set {profiling_token}, send it as X-Profile-Token, and open the file in {profiling_dir} that X-Profile-Id names",
        "a def route runs in a thread, which the profile does not see: put `with profile_block():`, from {core.profiling}, "
        "around what is slow there",
    ),
    secret=fresh_token("profiling_token"),
)
