"""Manifests for Kubernetes: probes, a stop that drains, limits, and secrets that are only referred to."""

import re
from collections.abc import Iterator

from laterctl.edits.context import Edit, FeatureContext
from laterctl.edits.dropped_test import DroppedTest, has_importable_app
from laterctl.edits.file import File
from laterctl.edits.image import ImageFacts
from laterctl.feature import Feature, Group, Option, Stage
from laterctl.patterns import pattern
from laterctl.project.places import Place
from laterctl.refusal import Refusal

FOLDER = "deploy/k8s"
WORKLOAD = pattern(r"^kind:\s*[\"']?(?:Deployment|StatefulSet|DaemonSet|ReplicaSet|Rollout)\b", re.MULTILINE)
PATH = r"(/[A-Za-z0-9._~-]+)+"


def not_there(context: FeatureContext) -> Refusal | None:
    """Refuse beside manifests, or a chart, of the user's: those of the application before those of others."""
    from laterctl.project.start_files import HEAD, OTHER, start_parts, text_of

    found: list[tuple[bool, Place]] = []
    for path, part in start_parts(context.project.tree, WORKLOAD):
        lines = [number for number, line in part if WORKLOAD.match(line)]
        if lines and not context.is_from_us(path):
            found.append((OTHER.search("\n".join(HEAD.findall(text_of(part)))) is not None, Place(path, lines[0])))
    if not found:
        return None
    place = min(found)[1]
    return Refusal(
        "already-by-hand",
        f"{place.path} tells Kubernetes what to run already",
        place,
        expected="no manifests of this application",
        remedy="move them away, or keep them",
        feature=context.feature,
    )


def told(context: FeatureContext) -> Iterator[Edit]:
    """Say how the image, the secrets and the tables come to the cluster, by the names that they have here."""
    name = ImageFacts(context).name
    context.notice(
        f"push the image, and say which: cd {FOLDER} && kustomize edit set image {name}=REGISTRY/{name}:TAG; "
        f"then kubectl apply -k {FOLDER}"
    )
    context.notice(f"secrets: kubectl create secret generic {name} --from-env-file=FILE, a file that git ignores")
    if context.project.database is not None:
        context.notice("run migrations before new pods come, as a Job with the same image: alembic upgrade head")
    yield from ()


feature = Feature(
    name="k8s",
    group=Group.OPERATIONS,
    aliases=("kubernetes",),
    summary="manifests for Kubernetes, with probes, a stop that drains, limits and no secrets",
    recommends=("docker", "shutdown"),
    without={
        "docker": "the image has to be yours: one process that listens on port 8000 and writes to /tmp alone",
        "shutdown": "streams without an end are cut off when a pod goes",
    },
    floors={"python": "3.10", "fastapi": "0.112.2"},
    options=(
        Option(
            "probes",
            "what tells that a pod serves: the routes of health, your own at k8s.live and k8s.ready, or its port (tcp)",
            default="health",
            choices=("health", "own", "tcp"),
            requires={"health": ("health",)},
            instead="tcp",
        ),
        Option("live", "path of the liveness probe", default="/health/live", pattern=PATH, follows="health.prefix"),
        Option("ready", "path of the readiness probe", default="/health/ready", pattern=PATH, follows="health.prefix"),
        Option("replicas", "how many pods there are", int, default=1, minimum=1),
    ),
    edits=(
        *(
            File(f"{FOLDER}/{name}.yaml", f"k8s/{name}.yaml.jinja", root=True)
            for name in ("deployment", "kustomization", "pdb", "service")
        ),
        DroppedTest(
            "test_manifests.py",
            "k8s/tests/test_manifests.py.jinja",
            when=has_importable_app,
            needs=("kubernetes-validate>=1.30", "pyyaml>=6.0.2"),
        ),
    ),
    edits_for=told,
    check=not_there,
    stage=Stage.DELIVERY,
    after=("docker",),
    why="a cluster starts the image, asks its probes, and waits for it to drain",
    notes=(
        "more pods: laterctl add k8s --set k8s.replicas=2, once Redis has what jwt, rate-limit, cache, tasks or websocket keep in memory",
        "they are for Kubernetes 1.30 or newer",
    ),
)
