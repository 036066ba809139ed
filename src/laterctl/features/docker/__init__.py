"""A container image: dependencies in a layer of their own, one process, no root."""

import re
from collections.abc import Iterator
from contextlib import suppress

from laterctl.dialects.manifest import named
from laterctl.edits.context import Edit, FeatureContext
from laterctl.edits.dropped_test import DroppedTest
from laterctl.edits.file import File
from laterctl.edits.manifest import DependencyFloor
from laterctl.feature import Feature, Group, Option, Stage
from laterctl.patterns import pattern
from laterctl.project.places import Place, is_test_or_docs
from laterctl.project.roots import folders_above
from laterctl.refusal import Refusal

IGNORE_FILE = ".dockerignore"
IMAGE_FILE = pattern(r"(?:^|/)(?:(?:Docker|Container)file(?:\.[\w-]+)?|[\w-]+\.(?:[Dd]ocker|[Cc]ontainer)file)$")


def not_there(context: FeatureContext) -> Refusal | None:
    """Refuse beside an image of the user's that Python runs in, and where a lock is out of an image's reach.

    An image may also be made in a folder above: by a file there that copies what is in the project's.
    """
    tree, manifest = context.project.tree, context.project.manifest
    for path in tree.files():
        if not IMAGE_FILE.search(path) or is_test_or_docs(path) or context.is_from_us(path):
            continue
        if b"python" in (tree.read(path) or b""):
            return _made_already(context, path)
    for depth, folder in enumerate(folders_above(tree.root), 1):
        ours = tree.root.resolve().relative_to(folder).as_posix()
        copies = re.compile(rf"(?m)^\s*(?:COPY|ADD|WORKDIR)\b.*[\s./]{re.escape(ours)}/".encode())
        for item in sorted(folder.glob("*ockerfile*")):
            with suppress(OSError):
                if item.is_file() and b"python" in (text := item.read_bytes()) and copies.search(text):
                    return _made_already(context, f"{'../' * depth}{item.name}")
    above = [item.place.path for item in manifest.brought if item.place.path.startswith("../")] if manifest else []
    if manifest is not None and not manifest.lock:
        above += filter(None, [named(manifest.manager).lock_above(tree.root)])
    if manifest is not None and above:
        return Refusal(
            "outside-of-the-image",
            f"the project needs {above[0]}, which an image of its folder does not get",
            Place(manifest.path, 1),
            expected="a project whose lock and dependencies from this repository are below its folder",
            remedy="write a Dockerfile for the folder above by hand",
            feature=context.feature,
        )
    return None


def _made_already(context: FeatureContext, path: str) -> Refusal:
    return Refusal(
        "already-by-hand",
        f"{path} makes an image already",
        Place(path, 1),
        expected="no file that makes an image of this application",
        remedy="move it away, or keep it",
        feature=context.feature,
    )


def has_no_ignore_file(context: FeatureContext) -> bool:
    """Whether the project has no list of its own of what is no part of an image."""
    return context.project.tree.read(IGNORE_FILE) is None or context.is_from_us(IGNORE_FILE)


def told(context: FeatureContext) -> Iterator[Edit]:
    """Say of the project's own list that it stays, and what has to be on it; and of a lock that it belongs to git."""
    manifest = context.project.manifest
    if manifest is not None and named(manifest.manager).lock:
        context.notice(
            f"commit {named(manifest.manager).lock}: the image installs what it has, and fails where that is old"
        )
    if not has_no_ignore_file(context):
        message = f"{IGNORE_FILE} stays as it is: see that it leaves out .env, .git and environments"
        context.choice(message, Place(IGNORE_FILE, 1))
    return iter(())


feature = Feature(
    name="docker",
    group=Group.OPERATIONS,
    aliases=("dockerfile",),
    summary="a container image that runs without root, and stops when it is told to",
    floors={"python": "3.10", "fastapi": "0.112.2"},
    options=(
        Option(
            "health",
            "path that the health check of the image asks for",
            default="/health/live",
            pattern=r"(/[A-Za-z0-9._~-]+)+",
            follows="health.prefix",
        ),
    ),
    edits=(
        DependencyFloor("uvicorn>=0.22"),
        File("Dockerfile", "docker/Dockerfile.jinja", root=True),
        File(IGNORE_FILE, "docker/dockerignore.jinja", root=True, when=has_no_ignore_file),
        DroppedTest("test_image.py", "docker/tests/test_image.py.jinja", client=False),
    ),
    edits_for=told,
    check=not_there,
    stage=Stage.DELIVERY,
    why="an image is stopped and asked for its health: that is there by now",
    notes=(
        "make it: docker build -t app . ; run it: docker run -p 8000:8000 app",
        "what the application writes belongs elsewhere than in /app; settings come from the environment",
    ),
)
