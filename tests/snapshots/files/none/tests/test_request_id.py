# From laterctl: request-scope.
"""Request ids: accepted, replaced, kept apart, on every response."""

import asyncio

import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from order_service.core.request_id import (
    HEADER,
    RequestIDMiddleware,
    current_request_id,
    request_ids,
)
from order_service.main import app

application: FastAPI = app


def get(app: ASGIApp, *ids: str) -> list[Response]:
    """Ask for nothing that there is, once for each id, all at a time."""

    async def run() -> list[Response]:
        transport = ASGITransport(app=app, raise_app_exceptions=False)
        async with AsyncClient(
            transport=transport,
            base_url='http://test',
        ) as client:
            headers = [{HEADER: value} if value else {} for value in ids]
            asked = (client.get('/no/such', headers=each) for each in headers)
            return await asyncio.gather(*asked)

    return asyncio.run(run())


async def echo(scope: Scope, _receive: Receive, send: Send) -> None:
    await asyncio.sleep(0)
    seen = [scope['state']['request_id'], current_request_id()]
    await send({'type': 'http.response.start', 'status': 200, 'headers': []})
    await send({'type': 'http.response.body', 'body': ' '.join(seen).encode()})


def test_the_application_has_it() -> None:
    classes: list[object] = [item.cls for item in application.user_middleware]

    assert classes.count(RequestIDMiddleware) == 1


def test_each_response_has_an_id_of_its_own() -> None:
    first, second, own = get(application, '', '', 'caller-1')

    ids = {response.headers[HEADER] for response in (first, second, own)}
    assert len(ids) == 3
    assert own.headers.get_list(HEADER) == ['caller-1']


@pytest.mark.parametrize(
    'value',
    ['a' * 129, 'two words', '"quoted"', '<b>'],
)
def test_an_unfit_id_is_replaced(value: str) -> None:
    [response] = get(application, value)

    assert response.headers[HEADER] not in {'', value}


def test_ids_of_parallel_requests_do_not_mix() -> None:
    ids = [f'caller-{number}' for number in range(50)]

    responses = get(RequestIDMiddleware(echo), *ids)

    assert [item.text for item in responses] == [f'{id_} {id_}' for id_ in ids]


def test_outside_of_a_request_there_is_none() -> None:
    with pytest.raises(LookupError, match='no request is being served'):
        current_request_id()
    assert request_ids() == {}
