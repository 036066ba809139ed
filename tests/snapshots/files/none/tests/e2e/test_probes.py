# From laterctl: e2e.
"""What orchestrators and scrapers ask for answers."""

from httpx import Client

from order_service.core.routing import PROBE_PATHS


def test_probes_do_not_fail(client: Client) -> None:
    found = {path: client.get(path).status_code for path in PROBE_PATHS}
    assert {path: code for path, code in found.items() if code >= 500} == {}
