# From laterctl: metrics.
"""The endpoint that Prometheus scrapes: GET /metrics.

Without APP_METRICS_TOKEN it is open, so keep it inside:
do not publish the path through the ingress. With it, the scraper sends it as
a bearer token.
"""

import secrets
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Request, Response

from order_service.core.metrics import (
    Metrics,
    MetricsConfig,
    get_metrics,
    metrics_config,
)
from order_service.core.routing import add_probe_path

router = APIRouter(tags=['metrics'])
add_probe_path('/metrics')


def current_metrics() -> Metrics:
    """Return the metrics to show."""
    return get_metrics()


def authorize_scrape(
    request: Request,
    config: Annotated[MetricsConfig, Depends(metrics_config)],
) -> None:
    """Ask for the token, if one is set."""
    if not config.token:
        return
    sent = request.headers.get('authorization', '')
    scheme, _, token = sent.partition(' ')
    known = secrets.compare_digest(
        token.strip().encode(),
        config.token.encode(),
    )
    if scheme.lower() != 'bearer' or not known:
        raise HTTPException(
            status_code=401,
            detail='A bearer token is required',
            headers={'WWW-Authenticate': 'Bearer'},
        )


# Not async: reading the files of other workers belongs in a thread.
@router.get(
    '/metrics',
    include_in_schema=False,
    dependencies=[Depends(authorize_scrape)],
)
def read_metrics(
    request: Request,
    metrics: Annotated[Metrics, Depends(current_metrics)],
) -> Response:
    """Return the metrics in the format that the scraper prefers."""
    metrics.show_app(request.app.title, request.app.version)
    body, media_type = metrics.scrape(request.headers.get('accept', ''))
    return Response(body, headers={'Content-Type': media_type})
