"""Shows laterctl on a real project, from `laterctl new` to an empty `git diff`; run by `make demo`.

Everything happens in a temporary folder, with the interpreter that runs this script. Each step is checked; the first
one that does not do as promised ends the demo with exit code 1.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAME = "shop"
ROUTES = f"src/{NAME}/api/routes.py"
IMPORT = f"from {NAME}.api.deps import UserServiceDep\n"
IMPORT_WITH_USER = f"from {NAME}.api.deps import CurrentUser, UserServiceDep\n"
ROUTE = """

@router.get('/me')
async def read_me(user: CurrentUser) -> dict[str, str]:
    \"\"\"Show who is signed in.\"\"\"
    return {'subject': user.subject}
"""
ACCOUNT = {"email": "ada@example.com", "password": "correct horse battery staple"}
PATIENCE = 60.0
"""Seconds that the application may take to start."""


class Broken(Exception):
    """A step did not do what it promises."""


def main() -> int:
    """Run the demo and return its exit code."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(line_buffering=True, errors="replace")
    with tempfile.TemporaryDirectory(prefix="laterctl-demo-") as scratch:
        try:
            play(Path(scratch))
        except Broken as error:
            print(f"\nThe demo failed: {error}")
            return 1
    print("\nThe demo is over: every step did what it promises.")
    return 0


def play(scratch: Path) -> None:
    """Play all steps in a folder that is thrown away afterwards."""
    shell = Shell(scratch)
    step("Write a FastAPI project, and commit it")
    shell.laterctl("new", NAME, expect="Created")
    shell.enter(NAME)
    shell.commit("The foundation", first=True)
    original = tree(shell.folder)

    step("Add sign-in with tokens, and CORS")
    shell.laterctl("add", "jwt", "cors", "--yes", "--no-install", expect="Added")
    note("--no-install: this environment has the libraries already.")
    added = tree(shell.folder)
    shell.laterctl("add", "jwt", "cors", "--yes", "--no-install", expect="Nothing to do")
    unchanged(shell.folder, added, "adding the same again changed something")
    shell.commit("Add jwt and cors")

    step("Look at what another feature would do")
    shell.laterctl("add", "metrics", "--dry-run", expect="metrics")
    unchanged(shell.folder, added, "the dry run wrote something")

    step("Ask the doctor")
    shell.laterctl("doctor", expect="nothing wrong")

    step("Protect a route, and sign in over HTTP")
    routes = shell.folder / ROUTES
    before = routes.read_text(encoding="utf-8")
    routes.write_text(before.replace(IMPORT, IMPORT_WITH_USER) + ROUTE, encoding="utf-8")
    print(f"{ROUTES} gets a route by hand:{ROUTE}".replace("\n", "\n    ").rstrip() + "\n")
    with served(shell, signing_key(shell)) as url:
        sign_in(url)

    step("Take both features back")
    shell.laterctl("remove", "jwt", "cors", "--yes", "--no-install", expect="still-used", code=3)
    note("Refused, because the route needs CurrentUser. Taking the route out again.")
    routes.write_text(before, encoding="utf-8")
    shell.laterctl("remove", "jwt", "cors", "--yes", "--no-install", expect="Removed")
    shell.no_difference()
    unchanged(shell.folder, original, "the project is not what it was")
    note(f"Every one of the {len(original)} files is what it was before, byte for byte.")


class Shell:
    """Runs commands in `folder` and prints them with what they print."""

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        self.folder = scratch
        self.git = shutil.which("git") is not None
        self.first = ""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "APP_"))}
        self.environment = kept | {
            "COLUMNS": "100",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONIOENCODING": "utf-8",
            "XDG_STATE_HOME": str(scratch / "state"),
        }

    def enter(self, folder: str) -> None:
        """Go on in a folder below."""
        print(f"$ cd {folder}")
        self.folder /= folder

    def laterctl(self, *arguments: str, expect: str, code: int = 0, quiet: bool = False) -> str:
        """Run laterctl; it has to end with `code` and to print `expect`. Returns what it printed."""
        print(f"$ laterctl {' '.join(arguments)}")
        done = self._run(sys.executable, "-m", "laterctl", *arguments)
        if not quiet:
            print(done.stdout)
        if done.returncode != code or expect not in done.stdout:
            raise Broken(f"laterctl {arguments[0]} ended with {done.returncode}, not with {code} and {expect!r}")
        return done.stdout

    def commit(self, message: str, *, first: bool = False) -> None:
        """Commit everything, in a new repository when it is the `first` time. Without git nothing happens."""
        if not self.git:
            note("git is not installed; the files are compared byte for byte all the same.")
            return
        if first:
            self._git("init", "--quiet")
        self._git("add", "--all")
        self._git("commit", "--quiet", "--message", message)
        if first:
            self.first = self._run("git", "rev-parse", "--short", "HEAD").stdout.strip()
        print()

    def no_difference(self) -> None:
        """Check that git sees no difference to the first commit, in new files neither."""
        if self.git:
            self._git("add", "--all")
            shown = self._git("diff", "--cached", self.first)
            if shown:
                raise Broken("git diff is not empty")
            note(f"(empty: nothing differs from {self.first}, the first commit)")

    def _git(self, *arguments: str) -> str:
        print(f"$ git {' '.join(repr(word) if ' ' in word else word for word in arguments)}")
        author = ("-c", "user.name=demo", "-c", "user.email=demo@example.com", "-c", "commit.gpgsign=false")
        done = self._run("git", *author, *arguments)
        if done.stdout:
            print(done.stdout)
        if done.returncode:
            raise Broken(f"git {arguments[0]} ended with {done.returncode}")
        return done.stdout

    def _run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=300,
            check=False,
        )


def signing_key(shell: Shell) -> dict[str, str]:
    """Return fresh key material as variables of the application's environment: the first of the lines printed."""
    printed = shell.laterctl("secret", "jwt", expect="APP_JWT_KEYS=", quiet=True)
    name, _, value = printed.splitlines()[1].partition("=")
    print(f"{name}={value[:4]}... ({len(value)} characters; into the server's environment)\n")
    return {name: value}


@contextmanager
def served(shell: Shell, secrets: Mapping[str, str]) -> Iterator[str]:
    """Serve the project with uvicorn, on a free port and an SQLite file of its own; gives the URL."""
    database = {"APP_DATABASE_URL": f"sqlite+aiosqlite:///{(shell.scratch / 'demo.db').as_posix()}"}
    environment = {**shell.environment, **database, **secrets, "PYTHONPATH": str(shell.folder / "src")}
    command = [sys.executable, "-m", "uvicorn", f"{NAME}.main:app", "--port", "0"]
    print(f"$ uvicorn {NAME}.main:app --port 0")
    log = shell.scratch / "uvicorn.log"
    with log.open("wb") as sink:
        process = subprocess.Popen(command, cwd=shell.folder, env=environment, stdout=sink, stderr=sink)
    try:
        url = started(process, log)
        print(f"  serving on {url}\n")
        yield url
    except Broken:
        print(log.read_text(encoding="utf-8", errors="replace"))
        raise
    finally:
        stop(process)


def started(process: subprocess.Popen[bytes], log: Path) -> str:
    """Wait until uvicorn says where it serves, and return that URL."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        found = re.search(r"running on (http://[\d.]+:\d+)", log.read_text(encoding="utf-8", errors="replace"))
        if found:
            return found[1]
        time.sleep(0.05)
    raise Broken("the application did not start")


def stop(process: subprocess.Popen[bytes]) -> None:
    """End the server, politely at first."""
    process.terminate()
    try:
        process.wait(timeout=15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(timeout=15)


def sign_in(url: str) -> None:
    """Register, fetch a token, and show what the protected route answers with it and without it."""
    request(url, "POST", "/api/users", 201, body=json.dumps(ACCOUNT), kind="application/json")
    request(url, "GET", "/api/me", 401)
    form = urllib.parse.urlencode({"username": ACCOUNT["email"], "password": ACCOUNT["password"]})
    token = request(url, "POST", "/auth/token", 200, body=form, kind="application/x-www-form-urlencoded")
    request(url, "GET", "/api/me", 200, token=token["access_token"])
    request(url, "GET", "/api/me", 401, token=forged(token["access_token"]))


def forged(token: str) -> str:
    """Return a token whose signature does not fit."""
    head, body, signature = token.split(".")
    return f"{head}.{body}.{signature[::-1]}"


def request(url: str, method: str, path: str, status: int, *, body: str = "", kind: str = "", token: str = "") -> Any:
    """Send a request, print it with its answer, and return the answer, which has to have the `status`."""
    headers = {"Content-Type": kind} if kind else {}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    asked = urllib.request.Request(  # noqa: S310 - the address is our own server's
        url + path, data=body.encode() or None, headers=headers, method=method
    )
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(asked, timeout=30) as response:
            code, answer = response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            code, answer = error.code, json.load(error)
    with_token = f"  (Authorization: Bearer {token[:8]}...{token[-4:]})" if token else ""
    print(f"{method} {path}{with_token}\n  {code} {shortened(answer)}")
    if code != status:
        raise Broken(f"{method} {path} answered {code} instead of {status}")
    return answer


def shortened(answer: Mapping[str, object]) -> str:
    """Return an answer as JSON on one line, with tokens cut short."""
    shown = {name: f"{str(value)[:8]}..." if name.endswith("_token") else value for name, value in answer.items()}
    return json.dumps(shown)


def tree(folder: Path) -> dict[str, bytes]:
    """Return the content of all files of a project by their paths, those of git itself left out."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and ".git" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def unchanged(folder: Path, before: Mapping[str, bytes], otherwise: str) -> None:
    """Check that a project has the same files with the same bytes as `before`."""
    now = tree(folder)
    different = sorted(path for path in {*before, *now} if before.get(path) != now.get(path))
    if different:
        raise Broken(f"{otherwise}: {', '.join(different)}")


def step(title: str) -> None:
    """Print the headline of a step."""
    print(f"\n== {title}\n")


def note(text: str) -> None:
    """Print a remark about what was just shown."""
    print(f"  {text}\n")


if __name__ == "__main__":
    sys.exit(main())
