"""Doctor rules of `k8s`: pods that get requests too early, are cut off too soon, or hold what is nobody's business."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import pairwise

from laterctl.doctor.code import Codebase, once
from laterctl.doctor.rule import Found, Rule, Severity
from laterctl.features.k8s import WORKLOAD
from laterctl.patterns import pattern
from laterctl.project.places import Place
from laterctl.project.roots import project_below
from laterctl.project.start_files import HEAD, OTHER, YAML, Lines, indent_of, start_parts, text_of

_READINESS = pattern(r"/(?:ready|readyz|readiness)/?[\"']?$")
_GRACE = pattern(r"terminationGracePeriodSeconds:\s*(?P<seconds>\d+)\s*$")
_SLEEP = pattern(r"\bsleep[\"',\s]+(?P<seconds>\d+)|^\s+seconds:\s*(?P<plain>\d+)\s*$", re.MULTILINE)
_DRAIN = pattern(r"--(?:timeout-graceful-shutdown|graceful-timeout)[\"'\s,=-]+(?P<seconds>\d+)")
_DELAY = pattern(r"\w*SHUTDOWN_DRAIN_SECONDS[\"']?(?:=|\s+value:)[\"'\s]*(?P<seconds>\d+)")
"""The delay of `shutdown`, as a manifest sets it."""

_SECRET = pattern(
    r"^\s*-?\s*name:\s*[\"']?(?P<name>\w*(?:PASSWORD|PASSWD|SECRET|SECRET_KEY|TOKEN|API_?KEY|ACCESS_KEY|PRIVATE_KEY))[\"']?$"
)
_VALUE = pattern(r"^\s*value:\s*[\"']?(?P<value>[^\s\"'{$<][^\"'{]*)[\"']?$")


@once
def pods(codebase: Codebase) -> list[tuple[str, Lines]]:
    """Return the manifests that start pods of the application, with their paths."""
    tree, app = codebase.project.tree, codebase.project.app
    ours = {"", project_below(tree, app.path) if app is not None else ""}
    return [
        (path, part)
        for path, part in start_parts(tree, WORKLOAD)
        if any(WORKLOAD.match(line) for _, line in part)
        and "containerPort:" in text_of(part)
        and project_below(tree, path) in ours
        and OTHER.search("\n".join(HEAD.findall(text_of(part)))) is None
    ]


def block(part: Lines, key: str) -> Lines:
    """Return the line of a key with those below it; nothing when it is not there."""
    for number, (_, line) in enumerate(part):
        if re.match(rf"\s*(?:-\s+)?{key}:", line):
            inside = indent_of(line)
            rest = part[number + 1 :]
            end = next((at for at, (_, other) in enumerate(rest) if indent_of(other) <= inside), len(rest))
            return [part[number], *rest[:end]]
    return []


def without_readiness(codebase: Codebase) -> Iterator[Found]:
    """Look for pods of which nothing says when they can take requests."""
    for path, part in pods(codebase):
        if not block(part, "readinessProbe"):
            number = next(number for number, line in part if "containerPort:" in line)
            yield Found(Place(path, number), "nothing says when it can take requests")


def liveness_of_others(codebase: Codebase) -> Iterator[Found]:
    """Look for liveness probes that ask whether the application is ready."""
    for path, part in pods(codebase):
        for number, line in block(part, "livenessProbe"):
            if line.lstrip().startswith("path:") and _READINESS.search(line):
                yield Found(Place(path, number), f"{line.split()[-1]} answers for what else it depends on, too")


def cut_off(codebase: Codebase) -> Iterator[Found]:
    """Look for pods that are killed before the server, as its image or its command starts it, has drained."""
    tree = codebase.project.tree
    for path, part in pods(codebase):
        beside = sorted({"Dockerfile", *_beside(tree.files(), path)})
        texts = [text_of(part), *(text for _, text in codebase.texts(beside))]
        waits = [match for each in (_DRAIN, _DELAY) if (match := next(filter(None, map(each.search, texts)), None))]
        found = ((number, match) for number, line in part if (match := _GRACE.search(line)))
        number, grace = next(found, (part[0][0], None))
        sleep = _SLEEP.search(text_of(block(part, "preStop")))
        slept = int(sleep["seconds"] or sleep["plain"]) if sleep else 0
        needed = slept + sum(int(match["seconds"]) for match in waits)
        given = int(grace["seconds"]) if grace else 30
        if given <= needed:
            yield Found(Place(path, number), f"it is killed after {given} seconds, and stops in up to {needed}")


def _beside(paths: Iterable[str], path: str) -> Iterator[str]:
    """Yield the manifests in the folder of a path."""
    folder = path.rpartition("/")[0]
    yield from (other for other in paths if other.endswith(YAML) and other.rpartition("/")[0] == folder)


def written_secrets(codebase: Codebase) -> Iterator[Found]:
    """Look for secrets whose values stand in a manifest."""
    for path, part in pods(codebase):
        for (number, line), (_, below) in pairwise(part):
            named = _SECRET.match(line)
            if named is not None and _VALUE.match(below):
                yield Found(Place(path, number), f"the value of {named['name']} is in the repository")


_POD = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: shop
spec:
  template:
    spec:
      containers:
        - name: shop
          image: shop:1
          ports:
            - containerPort: 8000
          env:
            - name: SHOP_TOKEN
              valueFrom:
                secretKeyRef: {name: shop, key: token}
          livenessProbe:
            httpGet:
              path: /health/live
              port: 8000
          readinessProbe:
            httpGet:
              path: /health/ready
              port: 8000
"""
_PROBE = _POD[_POD.index("          readinessProbe") :]
_SLEEPING = (
    f"{_POD}          lifecycle:\n            preStop:\n              exec:\n                command: [sleep, '5']\n"
)
_GRACEFUL = "    spec:\n      terminationGracePeriodSeconds: {seconds}\n      containers"


def _made(text: str) -> dict[str, str]:
    return {
        "app/main.py": "from fastapi import FastAPI\n\napp = FastAPI()\n",
        "Dockerfile": 'FROM python:3.13-slim\nUSER 10001\nCMD ["uvicorn", "app.main:app", "--timeout-graceful-shutdown", "25"]\n',
        "k8s/deployment.yaml": text,
    }


def _graceful(seconds: str) -> dict[str, str]:
    return _made(_SLEEPING.replace("    spec:\n      containers", _GRACEFUL.replace("{seconds}", seconds)))


KUB001 = Rule(
    id="KUB001",
    title="Pods get requests before they can answer",
    why="Without a readiness probe a container counts as ready as soon as it is started: each rollout loses requests. "
    "https://kubernetes.io/docs/concepts/workloads/pods/probes/",
    fix="add a readinessProbe",
    checks={Codebase: without_readiness},
    bad=(_made(_POD.replace(_PROBE, "").replace("containerPort: 8000", "containerPort: 8000  # KUB001")),),
    good=(_made(_POD),),
)
KUB002 = Rule(
    id="KUB002",
    title="The liveness probe asks whether the application is ready",
    why="While the database is away no pod is ready; when that is asked for its life, all of them are restarted at once. "
    "https://kubernetes.io/docs/concepts/workloads/pods/probes/",
    fix="ask for a route that answers without asking anything else",
    severity=Severity.ERROR,
    checks={Codebase: liveness_of_others},
    bad=(_made(_POD.replace("/health/live", "/health/ready  # KUB002")),),
    good=(_made(_POD), _made(_POD.replace("/health/ready", "/health").replace("/health/live", "/health"))),
)
KUB003 = Rule(
    id="KUB003",
    title="Pods are killed before the server has drained",
    why="terminationGracePeriodSeconds, 30 where it is not written, begins with preStop: its sleep and the time that the "
    "server waits for requests under way have to be less, or these are cut off. "
    "https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination",
    fix="raise terminationGracePeriodSeconds, or have the server wait for less",
    checks={Codebase: cut_off},
    bad=(_graceful("30  # KUB003"), _made(_SLEEPING.replace("apiVersion: apps/v1", "apiVersion: apps/v1  # KUB003"))),
    good=(_graceful("40"), _made(_POD)),
)
KUB004 = Rule(
    id="KUB004",
    title="A manifest holds the value of a secret",
    why="Everybody who can read the repository, or the Deployment in the cluster, can read it: CWE-312.",
    fix="keep it in a Secret that is made outside of the repository, and refer to it by secretKeyRef or secretRef",
    severity=Severity.ERROR,
    checks={Codebase: written_secrets},
    bad=(
        _made(
            _POD.replace(
                "SHOP_TOKEN\n              valueFrom:\n                secretKeyRef: {name: shop, key: token}\n",
                "SHOP_TOKEN  # KUB004\n              value: 1f6a0c\n",
            )
        ),
    ),
    good=(_made(_POD), _made(_POD.replace("SHOP_TOKEN", "SHOP_TOKEN_URL"))),
)
