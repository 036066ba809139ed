# From laterctl: e2e.
"""Nobody signs in who is not known."""

from uuid import uuid4

from httpx import Client


def test_strangers_are_refused(client: Client) -> None:
    """503 stands for an application to which nobody is known yet."""
    paths = client.get('/openapi.json').json()['paths']
    sign_in = next(path for path in paths if path.endswith('/token'))
    stranger = {'username': uuid4().hex, 'password': uuid4().hex}
    assert client.post(sign_in, data=stranger).status_code in {401, 503}
