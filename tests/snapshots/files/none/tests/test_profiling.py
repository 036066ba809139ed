# From laterctl: profiling.
"""Who sends the token gets a profile, and nobody else."""

import asyncio
import secrets
from pathlib import Path

from httpx import ASGITransport, AsyncClient, Response
from pydantic import SecretStr

from order_service.core.profiling import ProfilingSettings, profiled
from order_service.main import app

TOKEN = secrets.token_urlsafe()

application = app


def ask(folder: Path, token: str) -> Response:
    settings = ProfilingSettings(
        profiling_token=SecretStr(TOKEN),
        profiling_dir=folder,
    )
    transport = ASGITransport(app=profiled(application, settings))

    async def run() -> Response:
        async with AsyncClient(
            transport=transport,
            base_url='http://test',
            headers={'X-Profile-Token': token},
        ) as client:
            return await client.get('/openapi.json')

    return asyncio.run(run())


def test_the_token_gives_a_profile(tmp_path: Path) -> None:
    name = ask(tmp_path, TOKEN).headers['X-Profile-Id']
    assert [path.stem for path in tmp_path.iterdir()] == [name]


def test_another_one_gives_none(tmp_path: Path) -> None:
    assert 'X-Profile-Id' not in ask(tmp_path, 'another').headers
    assert [*tmp_path.iterdir()] == []


def test_without_a_token_it_is_not_there() -> None:
    settings = ProfilingSettings(profiling_token=None)
    assert profiled(application, settings) is application
