"""Doctor rules of `docker`: images that do not stop when they are told to, run as root, or hold what is nobody's business."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from laterctl.doctor.code import Codebase, once
from laterctl.doctor.rule import Found, Rule, Severity
from laterctl.features.docker import IMAGE_FILE
from laterctl.patterns import pattern
from laterctl.project.places import Place, is_test_or_docs

_SERVER = pattern(r"(?<![\w.-])(?:uvicorn|gunicorn|hypercorn|granian|fastapi)(?![\w.-])")
_SECRETS = pattern(r"(?:^|/)(?:\.env(?!\.(?:example|sample|template|dist)$)(?:\.[\w-]+)?|\.?secrets?\.\w+)$")
_ROOT = ("root", "0")


class Instruction(NamedTuple):
    """An instruction with the line on which it starts, its first word in capitals, and the rest on one line."""

    line: int
    word: str
    rest: str


@once
def images(codebase: Codebase) -> dict[str, list[Instruction]]:
    """Return the files that make an image which serves an application, by path."""
    paths = [path for path in codebase.project.tree.files() if IMAGE_FILE.search(path) and not is_test_or_docs(path)]
    found = {path: list(instructions(text)) for path, text in codebase.texts(paths)}
    return {path: every for path, every in found.items() if started(every) is not None}


def instructions(text: str) -> Iterator[Instruction]:
    """Yield the instructions of a Dockerfile."""
    start, parts = 0, list[str]()
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("#") or not line.strip():
            continue
        start = start or number
        parts.append(line.strip().removesuffix("\\").strip())
        if not line.rstrip().endswith("\\"):
            word, _, rest = " ".join(parts).partition(" ")
            yield Instruction(start, word.upper(), rest.strip())
            start, parts = 0, []


def last_stage(every: list[Instruction]) -> list[Instruction]:
    """Return the instructions of the stage that becomes the image, `FROM` first; none without one."""
    starts = [number for number, item in enumerate(every) if item.word == "FROM"]
    return every[starts[-1] :] if starts else []


def started(every: list[Instruction]) -> Instruction | None:
    """Return the instruction that starts a server, `None` without one."""
    commands = [item for item in last_stage(every) if item.word in {"CMD", "ENTRYPOINT"} and _SERVER.search(item.rest)]
    return commands[-1] if commands else None


def below_a_shell(codebase: Codebase) -> Iterator[Found]:
    """Look for servers that a shell starts."""
    for path, every in images(codebase).items():
        command = started(every)
        if command is not None and not command.rest.startswith("[") and not re.search(r"\bexec\s", command.rest):
            yield Found(Place(path, command.line), f"{command.word} starts a shell, which does not hand SIGTERM on")


def as_root(codebase: Codebase) -> Iterator[Found]:
    """Look for images that name no user, or root, on a base that names none either."""
    for path, every in images(codebase).items():
        stage = last_stage(every)
        users = [item for item in stage if item.word == "USER"]
        base = stage[0].rest.split()[0].lower()
        of_python = re.fullmatch(r"(?:[\w.-]+/)*python(?::\S+)?", base) is not None
        if users and users[-1].rest.partition(":")[0] in _ROOT:
            yield Found(Place(path, users[-1].line), f"USER is {users[-1].rest}")
        elif not users and of_python:
            yield Found(Place(path, stage[0].line), "no USER is named, so that it is root")


def copied_secrets(codebase: Codebase) -> Iterator[Found]:
    """Look for files of secrets that are copied into the image."""
    for path, every in images(codebase).items():
        for item in every:
            sources = [word for word in re.findall(r'[^\s",\[\]]+', item.rest) if not word.startswith("--")][:-1]
            secret = next(filter(_SECRETS.search, sources), None)
            if item.word in {"COPY", "ADD"} and secret is not None:
                yield Found(Place(path, item.line), f"{secret} is a part of the image")


def copied_whole(codebase: Codebase) -> Iterator[Found]:
    """Look for the whole folder copied, where nothing says what to leave out."""
    tree = codebase.project.tree
    for path, every in images(codebase).items():
        folder = path.rpartition("/")[0]
        beside = ".dockerignore" if not folder else f"{folder}/.dockerignore"
        if any(tree.exists(name) for name in (".dockerignore", beside, f"{path}.dockerignore")):
            continue
        for item in every:
            if item.word == "COPY" and re.match(r"\.\s", item.rest):
                yield Found(Place(path, item.line), "everything in the folder is copied, .git and .env too")


_STAGE = """\
FROM python:3.13-slim
COPY app ./app
USER 10001
CMD ["uvicorn", "app.main:app"]
"""


def _made(text: str) -> dict[str, str]:
    return {"app/main.py": "from fastapi import FastAPI\n\napp = FastAPI()\n", "Dockerfile": text}


DKR001 = Rule(
    id="DKR001",
    title="A shell is the first process of the container, and the server below it is not told to stop",
    why="The signal reaches the shell alone, and after ten seconds the server is killed amid its requests. "
    "https://docs.docker.com/reference/dockerfile/#shell-form-entrypoint-example",
    fix='write it as a list, ["uvicorn", ...], or put exec in front of the server',
    checks={Codebase: below_a_shell},
    bad=(_made(_STAGE.replace('["uvicorn", "app.main:app"]', "uvicorn app.main:app  # DKR001")),),
    good=(_made(_STAGE), _made(_STAGE.replace('["uvicorn", "app.main:app"]', "exec uvicorn app.main:app"))),
)
DKR002 = Rule(
    id="DKR002",
    title="The application runs as root in its container",
    why="Who breaks into it can change its code and what is mounted. "
    "https://docs.docker.com/build/building/best-practices/#user",
    fix="make a user, and name it in USER by its number",
    checks={Codebase: as_root},
    bad=(
        _made(_STAGE.replace("USER 10001\n", "").replace("slim\n", "slim  # DKR002\n")),
        _made(_STAGE.replace("USER 10001", "USER root  # DKR002")),
    ),
    good=(_made(_STAGE),),
)
DKR003 = Rule(
    id="DKR003",
    title="A file of secrets is copied into the image",
    why="Everybody who can pull the image can read it, also when a later instruction deletes it. "
    "https://docs.docker.com/build/building/secrets/",
    fix="give secrets to the container when it is started",
    severity=Severity.ERROR,
    checks={Codebase: copied_secrets},
    bad=(_made(_STAGE.replace("COPY app", "COPY .env ./  # DKR003\nCOPY app")),),
    good=(_made(_STAGE.replace("COPY app", "COPY .env.example ./\nCOPY app")),),
)
DKR004 = Rule(
    id="DKR004",
    title="The whole folder is copied into the image, and there is no .dockerignore",
    why="The history of git, local settings with their secrets, and an environment of another machine become a part of it. "
    "https://docs.docker.com/build/concepts/context/#dockerignore-files",
    fix="name what to leave out in .dockerignore",
    checks={Codebase: copied_whole},
    bad=(_made(_STAGE.replace("COPY app ./app", "COPY . .  # DKR004")),),
    good=({**_made(_STAGE.replace("COPY app ./app", "COPY . .")), ".dockerignore": ".git\n.env\n"},),
)
