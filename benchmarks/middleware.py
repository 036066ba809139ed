"""What the middleware of features costs a request: requests per second of server CPU.

Run `make bench`, or `python -m benchmarks.middleware` from the root of the repository. Three applications
with one route are served by a process each: bare; with what laterctl adds (request id, metrics, security headers, CORS
and errors together); and with the same jobs the way that tutorials do them (`BaseHTTPMiddleware`, functions under
`@app.middleware("http")`, the path as a label). They are loaded in turns over kept connections; what counts is the CPU
time of the server, so that a busy machine changes the figures less. Where the machine lets us choose, all servers run
on one core and the clients on another.

A fourth and a fifth show what a service costs with every feature there is, whose log has a line for each request: it is
held against the bare application, and against that one with uvicorn's own access log.

Exits with 1 when a ratio is below its bound: run it on a quiet machine.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from tests import memory, servers
from tests.features import edge_app

from laterctl.engine.plan import Request
from laterctl.features import catalogue

CONNECTIONS = 16
REQUESTS = 200
ROUNDS = 9
ORIGIN = "https://app.example.com"
FEATURES = ("metrics", "security-headers", "cors")
ROUTE = """

@app.get("/items/{item_id}")
async def read_item(item_id: int) -> dict[str, int]:
    return {"item": item_id}
"""
BARE = f"""\
from fastapi import FastAPI

from edge.core.config import settings

app = FastAPI()
app.state.settings = settings
{ROUTE}"""
OURS = BARE.replace("\n\napp = ", "\nfrom edge.core.request_id import RequestIDMiddleware\n\napp = ") + (
    "\n\napp.add_middleware(RequestIDMiddleware)\n"
)
TUTORIAL = f'''\
import time
import uuid
from contextvars import ContextVar

from fastapi import FastAPI, Request
from fastapi.middleware.cors import CORSMiddleware
from prometheus_client import Counter, Histogram
from starlette.middleware.base import BaseHTTPMiddleware

COUNT = Counter("requests_total", "Requests.", ["method", "path", "status"])
SECONDS = Histogram("request_seconds", "Seconds of a request.", ["method", "path"])
request_id: ContextVar[str] = ContextVar("request_id", default="")

app = FastAPI()
{ROUTE}

class SecurityHeaders(BaseHTTPMiddleware):
    async def dispatch(self, request: Request, call_next):
        response = await call_next(request)
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["X-Frame-Options"] = "DENY"
        response.headers["Strict-Transport-Security"] = "max-age=31536000"
        return response


app.add_middleware(SecurityHeaders)


@app.middleware("http")
async def identify(request: Request, call_next):
    request_id.set(str(uuid.uuid4()))
    response = await call_next(request)
    response.headers["X-Request-ID"] = request_id.get()
    return response


@app.middleware("http")
async def measure(request: Request, call_next):
    began = time.time()
    response = await call_next(request)
    COUNT.labels(request.method, request.url.path, response.status_code).inc()
    SECONDS.labels(request.method, request.url.path).observe(time.time() - began)
    return response


app.add_middleware(CORSMiddleware, allow_origins=["{ORIGIN}"], allow_methods=["*"])
'''
LOGGED = ("everything", "logged")
"""The applications whose servers write a line for each request."""

ASKED: Mapping[str, str] = {"": "", " with an Origin": f"Origin: {ORIGIN}\r\n"}
"""Ways to ask, and the header that makes the difference."""
BOUNDS: Mapping[str, float] = {
    "ours / bare": 0.75,
    "ours / bare with an Origin": 0.73,
    "ours / tutorial": 4.0,
    "ours / tutorial with an Origin": 4.0,
    "everything / bare": 0.45,
    "everything / logged": 0.60,
}


def main() -> int:
    """Measure, print the figures, and return 1 when a ratio is below its bound."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="rounds of each application")
    rounds = parser.parse_args().rounds
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    with tempfile.TemporaryDirectory(prefix="laterctl-middleware-") as name, ExitStack() as stack:
        running = {}
        for kind, files in applications().items():
            folder = Path(name) / kind
            edge_app.write(folder, files)
            pin(cores[:1])  # children inherit it
            environment = {"APP_CORS_ORIGINS": ORIGIN}
            quiet = [] if kind in LOGGED else ["--no-access-log"]
            server = servers.uvicorn_server("edge.main:app", folder, environment, arguments=quiet)
            running[kind] = stack.enter_context(server)
        pin(cores[1:] or cores)
        rates: list[dict[str, float]] = []
        for number in range(rounds + 1):
            order = list(running) if number % 2 else list(running)[::-1]
            measured = {kind + asked: rate(running[kind], header) for asked, header in ASKED.items() for kind in order}
            rates.append(measured)
        pin(cores)
    return report(rates[1:])  # the first round warms up


def applications() -> dict[str, dict[str, bytes]]:
    """Return the files of each application."""
    ours = memory.add(edge_app.project("pydantic", main=OURS), *FEATURES, app="edge.main:app")
    bare = edge_app.project("pydantic", main=BARE)
    return {
        "bare": bare,
        "ours": ours,
        "tutorial": edge_app.project("pydantic", main=TUTORIAL),
        "everything": memory.add(bare, *fitting(bare), app="edge.main:app"),
        "logged": bare,
    }


def fitting(files: Mapping[str, bytes]) -> list[str]:
    """Return all features that a project takes."""
    names = [feature.name for feature in catalogue.every() if not feature.hidden]
    return [name for name in names if not memory.planned(files, Request(add=(name,)), "edge.main:app").refusals]


def pin(cores: list[int]) -> None:
    """Keep this process, and those that it starts from now on, to some cores."""
    if cores:
        os.sched_setaffinity(0, cores)


def rate(server: servers.Server, header: str) -> float:
    """Load a server and return its requests per second of CPU."""
    before = cpu(server)
    asyncio.run(load(server.url, header))
    return CONNECTIONS * REQUESTS / (cpu(server) - before)


def cpu(server: servers.Server) -> float:
    """Return the seconds of CPU that a server has used."""
    return int(Path(f"/proc/{server.process.pid}/schedstat").read_text().split()[0]) / 1e9


async def load(url: str, header: str) -> None:
    """Send `REQUESTS` from each of `CONNECTIONS` clients, one after the other."""
    host, port = url.removeprefix("http://").split(":")
    request = f"GET /items/7 HTTP/1.1\r\nHost: {host}\r\n{header}\r\n".encode()

    async def client() -> None:
        reader, writer = await asyncio.open_connection(host, int(port))
        for _ in range(REQUESTS):
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            if not head.startswith(b"http/1.1 200"):
                raise SystemExit(f"{url}: {head.decode()}")
            await reader.readexactly(int(head.partition(b"content-length:")[2].partition(b"\r\n")[0]))
        writer.close()
        await writer.wait_closed()

    await asyncio.gather(*(client() for _ in range(CONNECTIONS)))


def report(rates: list[dict[str, float]]) -> int:
    """Print medians and ratios, and return 1 when a ratio is below its bound."""
    for name in rates[0]:
        print(f"{name:32}{median(turn[name] for turn in rates):8.0f} requests per CPU second")
    missed = 0
    for name, bound in BOUNDS.items():
        one, _, other = name.partition(" / ")
        kind, space, asked = other.partition(" ")
        found = median(turn[f"{one}{space}{asked}"] / turn[f"{kind}{space}{asked}"] for turn in rates)
        missed += found < bound
        print(f"{name:32}{found:8.2f} of at least {bound:.2f}  {'MISSED' if found < bound else 'ok'}")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
