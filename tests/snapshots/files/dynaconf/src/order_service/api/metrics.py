# From laterctl: metrics.
"""The endpoint that Prometheus scrapes: GET /metrics.

Without APP_METRICS_TOKEN it is open, so keep it inside:
do not publish the path through the ingress. With it, the scraper sends it as
a bearer token.
"""

import secrets
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import SecretStr

from order_service.core.feature_settings import FeatureSettings
from order_service.core.metrics import APP, scrape

router = APIRouter(tags=['metrics'])
bearer = HTTPBearer(auto_error=False)


class MetricsSettings(FeatureSettings):
    """The token that a scraper has to send, if there is one."""

    metrics_token: SecretStr | None = None


def authorize(
    sent: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
) -> None:
    """Ask for the token, if one is set."""
    expected = MetricsSettings().metrics_token
    token = sent.credentials.encode() if sent else b''
    if expected is not None and not secrets.compare_digest(
        token,
        expected.get_secret_value().encode(),
    ):
        challenge = {'WWW-Authenticate': 'Bearer'}
        raise HTTPException(401, 'A bearer token is required', challenge)


# Not async: reading the files of other workers belongs in a thread.
@router.get(
    '/metrics',
    include_in_schema=False,
    dependencies=[Depends(authorize)],
)
def read_metrics(request: Request) -> Response:
    """Return the metrics in the format that the scraper prefers."""
    APP.labels(request.app.title, request.app.version).set(1)
    body, media_type = scrape(request.headers.get('accept', ''))
    return Response(body, headers={'Content-Type': media_type})
