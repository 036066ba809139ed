"""The `resources` feature: its acceptance list, with a real Redis server and a real uvicorn."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest
import redis

from tests.features.resources_app import FORMS, imported, variable, write_project
from tests.servers import Server, free_port, redis_server, uvicorn_server

pytestmark = pytest.mark.filterwarnings("error")

OUR_NAME = "depot.core.redis"
"""The client name that our connections carry on the server."""

Load = Callable[..., ModuleType]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with redis_server() as running:
        yield running


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def load(tmp_path: Path, form: str) -> Iterator[Load]:
    """Write the project and import its `main`, with settings given as keywords."""
    write_project(tmp_path, form)
    opened = []

    def load_main(**settings: str) -> ModuleType:
        environment = {variable(form, name): value for name, value in settings.items()}
        opened.append(imported(tmp_path, "main", environment))
        return opened[-1].__enter__()

    yield load_main
    for context in reversed(opened):
        context.__exit__(None, None, None)


@contextmanager
def hung_server() -> Iterator[int]:
    """Accept connections on a loopback port and never answer. Gives the port."""
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        yield int(listener.getsockname()[1])


def our_connections(server: Server) -> list[dict[str, str]]:
    """Return what the server lists under our client name."""
    with redis.Redis.from_url(server.url) as observer:
        return [entry for entry in observer.client_list() if entry["name"] == OUR_NAME]


def client_of(main: ModuleType) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=main.app), base_url="http://test")


def package(name: str) -> Any:
    return sys.modules[f"depot.{name}"]


def kept(form: str, name: str) -> Any:
    """Return the client that the application keeps."""
    if form == "container":
        return getattr(package("core.container").container, name)()
    module = {"redis": "core.redis", "http_client": "core.http_client"}[name]
    return getattr(package(module), f"get_{name}")()


def test_every_request_gets_the_same_clients(load: Load, server: Server) -> None:
    """A1: also when the first requests come all at once, from coroutines and from worker threads."""
    main = load(redis_url=server.url)

    async def ids() -> set[str]:
        async with client_of(main) as client:
            answers = await asyncio.gather(*(client.get(f"/clients/{way}") for way in ("sync", "async") * 20))
        return {answer.text for answer in answers}

    async def run() -> None:
        assert len(await ids()) == 1
        async with main.app.router.lifespan_context(main.app):
            assert len(await ids()) == 1

    asyncio.run(run())


def test_threads_of_a_running_application_get_the_one_client(load: Load, form: str, server: Server) -> None:
    """A1: it was built at the start, so that nobody builds a second one."""
    main = load(redis_url=server.url)

    async def run() -> None:
        async with main.app.router.lifespan_context(main.app):
            clients = await asyncio.gather(*(asyncio.to_thread(kept, form, "redis") for _ in range(4)))
            assert {id(client) for client in clients} == {id(kept(form, "redis"))}

    asyncio.run(run())


def test_connections_end_with_the_application(load: Load, form: str, server: Server) -> None:
    """A2: while the process lives on, the HTTP client is closed and the server lists no connection of ours."""
    main = load(redis_url=server.url)

    async def run() -> None:
        async with main.app.router.lifespan_context(main.app):
            async with client_of(main) as client:
                answers = await asyncio.gather(*(client.get("/ping") for _ in range(5)))
            assert {answer.text for answer in answers} == {"true"}
            http = kept(form, "http_client")
            assert our_connections(server)
            assert not http.is_closed
        assert our_connections(server) == []
        assert http.is_closed

    asyncio.run(run())


def test_a_second_cycle_works_on_another_event_loop(load: Load, form: str, server: Server) -> None:
    """A4: each run builds its own clients."""
    main = load(redis_url=server.url)
    seen = []

    async def run() -> None:
        async with main.app.router.lifespan_context(main.app), client_of(main) as client:
            assert (await client.get("/ping")).text == "true"
            seen.append(kept(form, "http_client"))

    for _ in range(3):
        asyncio.run(run())
    assert len({id(client) for client in seen}) == 3


def test_without_a_url_only_what_needs_redis_answers_503(
    load: Load, form: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A5, as decision 1 has it: the application starts, and the setting is named once in the log."""
    main = load()

    async def run() -> list[int]:
        async with main.app.router.lifespan_context(main.app), client_of(main) as client:
            return [(await client.get(path)).status_code for path in ("/unrelated", "/ping", "/ping")]

    assert asyncio.run(run()) == [200, 503, 503]
    said = f"{variable(form, 'redis_url')} is not set: what needs Redis answers 503"
    assert [message for message in caplog.messages if "REDIS_URL" in message] == [
        said,
        *[f"Redis does not answer: {said}"] * 2,
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [("redis_url", "http://:hush@localhost/0"), ("redis_url", "redis://:hush@localhost:hush/0")],
)
def test_a_wrong_url_is_an_error_of_the_start_that_keeps_the_password(load: Load, name: str, value: str) -> None:
    main = load(**{name: value})

    async def run() -> None:
        async with main.app.router.lifespan_context(main.app):
            pytest.fail("started")

    with pytest.raises(ValueError, match=name.upper()) as raised:
        asyncio.run(run())
    assert "hush" not in str(raised.value)
    assert raised.value.__suppress_context__


@pytest.mark.parametrize("form", ["container"])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("redis_timeout_seconds", "0"),
        ("redis_timeout_seconds", "soon"),
        ("redis_max_connections", "-1"),
        ("http_timeout_seconds", "inf"),
        ("http_connect_timeout_seconds", "nan"),
        ("http_max_connections", "many"),
    ],
)
def test_a_wrong_number_is_an_error_of_the_start_that_names_it(load: Load, name: str, value: str) -> None:
    """Dynaconf hands on whatever the variable holds; pydantic refuses it by itself."""
    main = load(**{"redis_url": "redis://localhost:1/0", name: value})

    async def run() -> None:
        async with main.app.router.lifespan_context(main.app):
            pytest.fail("started")

    with pytest.raises(ValueError, match=name.upper()):
        asyncio.run(run())


def test_values_may_be_numbers_in_strings(load: Load) -> None:
    load(redis_timeout_seconds="2", redis_max_connections="7", http_timeout_seconds="3.5")
    settings = package("core.redis").RedisSettings()
    assert (settings.redis_timeout_seconds, settings.redis_max_connections) == (2.0, 7)
    assert package("core.http_client").HttpClientSettings().http_timeout_seconds == 3.5


def test_providers_of_the_project_still_give_plain_objects(tmp_path: Path, server: Server) -> None:
    """A6: nothing turned into a Future, before, during and after a run."""
    write_project(tmp_path, "container")
    with imported(tmp_path, "main", {"APP_REDIS_URL": server.url}) as main:
        container = package("core.container").container
        plain = package("core.container").Greeter

        def check() -> None:
            assert type(container.greeter()) is plain
            assert type(container.greeters()) is plain
            assert container.greeter().name == "someone"
            assert container.greeter() is container.greeter()

        async def run() -> None:
            check()
            async with main.app.router.lifespan_context(main.app):
                check()
                assert type(container.redis()).__name__ == "Redis"
                assert isinstance(container.http_client(), httpx.AsyncClient)
            check()

        asyncio.run(run())
        asyncio.run(run())


def test_a_fake_in_the_container_reaches_requests(tmp_path: Path) -> None:
    write_project(tmp_path, "container")

    class Fake:
        async def ping(self) -> bool:
            return True

    with imported(tmp_path, "main") as main:
        container = package("core.container").container

        async def ping() -> httpx.Response:
            async with client_of(main) as client:
                return await client.get("/ping")

        with container.redis.override(Fake()):
            assert asyncio.run(ping()).text == "true"
        assert asyncio.run(ping()).status_code == 503
        client = container.redis()
        container.redis.reset()
        assert container.redis() is not client


def test_a_dropped_connection_is_replaced_without_an_error(load: Load, server: Server) -> None:
    """An idle connection that the server closed costs nobody a failed request."""
    main = load(redis_url=server.url)

    async def run() -> None:
        async with main.app.router.lifespan_context(main.app), client_of(main) as client:
            assert (await client.get("/ping")).text == "true"
            with redis.Redis.from_url(server.url) as other:
                for entry in our_connections(server):
                    other.client_kill_filter(_id=entry["id"])
            assert (await client.get("/ping")).text == "true"

    asyncio.run(run())


def test_blocking_commands_of_the_application_starve_no_other_client(load: Load, form: str, server: Server) -> None:
    """Decision 19: a full pool is a 503 after a wait with an end, and another client has connections of its own."""
    main = load(redis_url=server.url, redis_max_connections="2", redis_timeout_seconds="0.5")

    async def run() -> None:
        async with main.app.router.lifespan_context(main.app), client_of(main) as client:
            other = package("core.redis").build_redis("other")
            pool = kept(form, "redis").connection_pool
            held = [await pool.get_connection() for _ in range(2)]  # as a blocking command holds it
            assert await other.ping()
            assert (await client.get("/ping")).status_code == 503
            assert (await client.get("/unrelated")).status_code == 200
            for connection in held:
                await pool.release(connection)
            assert (await client.get("/ping")).text == "true"
            await other.aclose()

    asyncio.run(run())


def test_an_error_of_a_command_is_no_503(load: Load, server: Server) -> None:
    main = load(redis_url=server.url)

    @main.app.get("/wrong")
    async def wrong(client: package("api.clients").RedisDep) -> None:  # type: ignore[valid-type]
        await client.execute_command("NOTHING")

    async def run() -> None:
        async with main.app.router.lifespan_context(main.app), client_of(main) as client:
            with pytest.raises(redis.ResponseError):
                await client.get("/wrong")

    asyncio.run(run())


URLS = (
    "redis_url: str = 'ADDRESS'",
    "REDIS_URL: str = 'ADDRESS'",
    "redis_url: SecretStr = SecretStr('ADDRESS')",
    "redis_url: RedisDsn | None = RedisDsn('ADDRESS')",
    "@computed_field\n    @property\n    def redis_url(self) -> str:\n        return 'ADDRESS'",
    "redis_url: str | None = None",
)


@pytest.mark.parametrize("field", URLS)
def test_a_url_of_the_users_own_is_read_whatever_its_type(tmp_path: Path, server: Server, field: str) -> None:
    settings = (
        "from pydantic import RedisDsn, SecretStr, computed_field\n"
        "from pydantic_settings import BaseSettings\n\n\n"
        f"class Settings(BaseSettings):\n    {field.replace('ADDRESS', server.url)}\n\n\nsettings = Settings()\n"
    )
    write_project(tmp_path, "functions", more={"depot/core/config.py": settings})
    with imported(tmp_path, "main") as main:

        async def run() -> httpx.Response:
            async with main.app.router.lifespan_context(main.app), client_of(main) as client:
                return await client.get("/ping")

        assert asyncio.run(run()).status_code == (503 if field.endswith("None") else 200)


def test_a_hung_redis_costs_the_timeout_and_stalls_nobody_else(load: Load) -> None:
    """The cost follows the setting; a route that does not use Redis answers while another waits for it."""

    async def cost(timeout: float) -> float:
        module = package("core.redis")
        settings = module.RedisSettings(redis_url=url, redis_timeout_seconds=timeout)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "RedisSettings", lambda: settings)
            client = module.build_redis()
        begun = time.perf_counter()
        with pytest.raises(redis.TimeoutError):
            await client.ping()
        await client.aclose()
        return time.perf_counter() - begun

    async def run() -> None:
        short, long = await cost(0.1), await cost(1.0)
        assert short >= 0.09
        assert long >= 0.9
        assert short < long / 2
        transport = httpx.ASGITransport(app=main.app, raise_app_exceptions=False)
        async with (
            main.app.router.lifespan_context(main.app),
            httpx.AsyncClient(transport=transport, base_url="http://test") as client,
        ):
            waiting = asyncio.create_task(client.get("/ping"))
            for _ in range(5):
                assert (await client.get("/unrelated")).status_code == 200
            assert not waiting.done()
            assert (await waiting).status_code == 503

    with hung_server() as port:
        url = f"redis://127.0.0.1:{port}/0"
        main = load(redis_url=url, redis_timeout_seconds="1.5")
        asyncio.run(run())


def test_a_hung_http_server_costs_the_timeout(load: Load) -> None:
    load()
    module = package("core.http_client")

    async def cost(url: str, timeout: float) -> float:
        settings = module.HttpClientSettings(http_timeout_seconds=timeout)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "HttpClientSettings", lambda: settings)
            made = module.build_http_client()
        async with made as client:
            begun = time.perf_counter()
            with pytest.raises(httpx.ReadTimeout):
                await client.get(url)
            return time.perf_counter() - begun

    async def run(url: str) -> None:
        short, long = await cost(url, 0.1), await cost(url, 1.0)
        assert short >= 0.09
        assert long >= 0.9
        assert short < long / 2

    with hung_server() as port:
        asyncio.run(run(f"http://127.0.0.1:{port}/"))


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
def test_the_client_is_of_the_projects_own_library(tmp_path: Path, library: str) -> None:
    write_project(tmp_path, "functions", http_client=library)
    with imported(tmp_path, "main"):
        client = kept("functions", "http_client")
        assert type(client).__module__.partition(".")[0] == library
        assert client.timeout.read == 10.0
        assert client.timeout.connect == 3.0
        asyncio.run(client.aclose())


def test_under_uvicorn_redis_may_be_down_and_come_back(tmp_path: Path, form: str, server: Server) -> None:
    """A3 and A2 from outside: start, unrelated routes and the stop do not need the server."""
    write_project(tmp_path, form)
    nobody = f"redis://:hush@127.0.0.1:{free_port()}/0"
    with uvicorn_server("depot.main:app", tmp_path, {variable(form, "redis_url"): nobody}) as running:
        assert httpx.get(f"{running.url}/unrelated").status_code == 200
        assert httpx.get(f"{running.url}/ping").status_code == 503
        assert httpx.get(f"{running.url}/unrelated").status_code == 200
        assert httpx.get(f"{running.url}/fetch", params={"url": f"{running.url}/unrelated"}).text == "200"
        running.stop()
        assert "Application shutdown complete" in running.output()
        assert "hush" not in running.output()
    with uvicorn_server("depot.main:app", tmp_path, {variable(form, "redis_url"): server.url}) as running:
        assert httpx.get(f"{running.url}/ping").text == "true"
        assert our_connections(server)
        running.stop()
        assert "Application shutdown complete" in running.output()
    assert our_connections(server) == []


@pytest.mark.parametrize(("form", "mode"), [("container", "strict"), ("functions", "auto")])
def test_the_dropped_tests_pass_in_the_project(tmp_path: Path, form: str, mode: str, server: Server) -> None:
    """With a server for tests nothing is skipped; without one the parts that need it say why."""
    write_project(tmp_path, form, http_client="httpx" if form == "container" else "httpx2")
    assert dropped(tmp_path, mode, server.url) == "7 passed"
    assert dropped(tmp_path, mode, "") == "6 passed, 1 skipped"


def dropped(project: Path, mode: str, url: str) -> str:
    """Run the project's own tests, every warning an error, and return pytest's summary."""
    options = ["-o", f"asyncio_mode={mode}", "-o", "asyncio_default_fixture_loop_scope=function"]
    result = subprocess.run(
        [sys.executable, "-W", "error", "-m", "pytest", "-q", "-W", "error", "-rs", "-p", "no:cacheprovider", *options],
        cwd=project,
        env={**os.environ, "TEST_REDIS_URL": url},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert bool(url) or "TEST_REDIS_URL is not set" in result.stdout
    return result.stdout.strip().splitlines()[-1].partition(" in ")[0]
