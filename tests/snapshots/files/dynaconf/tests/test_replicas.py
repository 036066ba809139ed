# From laterctl: replicas.
"""Positions are believed in one form alone, and nothing needs a replica."""

import asyncio

import pytest
from fastapi.requests import HTTPConnection

from order_service.core.read_your_writes import position_of
from order_service.core.replicas import Replica, ReplicaSettings


@pytest.mark.parametrize(
    ('cookie', 'position'),
    [
        ('db_position=16-B374D848', '16/B374D848'),
        ('db_position=FFFFFFFFF-0', '0/0'),
        ("db_position=0'--", '0/0'),
        ('other=16-B374D848', '0/0'),
    ],
)
def test_a_position_has_one_form(cookie: str, position: str) -> None:
    headers = [(b'cookie', cookie.encode())]
    scope = {'type': 'http', 'headers': headers}

    assert position_of(HTTPConnection(scope)) == position


def test_without_a_replica_there_is_no_session_on_it() -> None:
    replica = Replica(ReplicaSettings.model_construct())

    async def run() -> bool:
        session = await replica.session('0/0')
        await replica.aclose()
        return session is None

    assert asyncio.run(run())
