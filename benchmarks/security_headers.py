"""What the security headers cost: requests per second with the middleware, as a share of those without.

Run `python -m benchmarks.security_headers` from the root of the repository. Three uvicorn servers are loaded in turns
over kept connections, and the median of the rounds counts: without the headers; with the headers, sent by uvicorn
itself (`--header`), which is what their bytes cost; and with the middleware. Target of the middleware: at least 0.95 of
what uvicorn manages with the same bytes.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path

from tests import servers
from tests.features import edge_app

CONNECTIONS = 16
REQUESTS = 250
ROUNDS = 12

MAIN = """\
from fastapi import FastAPI

from edge.core.security_headers import SecurityHeadersMiddleware

bare = FastAPI()
headers = FastAPI()
for app in (bare, headers):

    @app.get("/")
    async def answer() -> dict[str, int]:
        return {"answer": 42}


headers.add_middleware(SecurityHeadersMiddleware)
"""


async def load(url: str) -> float:
    """Return the requests per second of `CONNECTIONS` clients that each send `REQUESTS`, one after the other."""
    host, port = url.removeprefix("http://").split(":")
    request = f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()

    async def client() -> None:
        reader, writer = await asyncio.open_connection(host, int(port))
        for _ in range(REQUESTS):
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
            await reader.readexactly(int(length))
        writer.close()
        await writer.wait_closed()

    start = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(CONNECTIONS)))
    return CONNECTIONS * REQUESTS / (time.perf_counter() - start)


def sent(url: str) -> list[str]:
    """Return the headers that a server adds to those of a bare one, as arguments for uvicorn."""
    with urllib.request.urlopen(url) as response:
        names = {"connection", "content-length", "content-type", "date", "server"}
        pairs = [f"{name}:{value}" for name, value in response.headers.items() if name.lower() not in names]
    return [argument for pair in pairs for argument in ("--header", pair)]


def main() -> None:
    """Print the shares of each round and their medians."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        edge_app.write_app(folder, "pydantic")
        (folder / "edge/bench.py").write_text(MAIN)

        def start(app: str, *arguments: str) -> str:
            command = ("--no-access-log", *arguments)
            return stack.enter_context(servers.uvicorn_server(f"edge.bench:{app}", folder, arguments=command)).url

        middleware = start("headers")
        urls = [start("bare"), start("bare", *sent(middleware)), middleware]
        for url in urls:
            asyncio.run(load(url))
        rounds = []
        for number in range(ROUNDS):
            rates = {url: asyncio.run(load(url)) for url in (urls if number % 2 else urls[::-1])}
            rounds.append([rates[url] for url in urls])
            print("{:6.0f} bare  {:6.0f} same bytes  {:6.0f} middleware".format(*rounds[-1]))
    for name, one, other in (("bare", 2, 0), ("same bytes", 2, 1)):
        share = statistics.median(rates[one] / rates[other] for rates in rounds)
        print(f"middleware / {name}: {share:.3f}")


if __name__ == "__main__":
    main()
