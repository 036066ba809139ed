# From laterctl: metrics.
"""What the application has of the metrics."""

import pytest
from fastapi import FastAPI
from starlette.types import Scope

from order_service.core.metrics_middleware import MetricsMiddleware
from order_service.core.routing import route_template
from order_service.main import app


def test_the_application_has_them() -> None:
    """The endpoint is a route of it, out of its schema; requests count."""
    real: object = app
    if not isinstance(real, FastAPI):
        pytest.skip('what is served is wrapped around the application')
    scope: Scope = {
        'type': 'http',
        'method': 'GET',
        'path': '/metrics',
        'app': real,
    }
    assert route_template(scope) == '/metrics'
    assert '/metrics' not in real.openapi()['paths']
    classes: list[object] = [entry.cls for entry in real.user_middleware]
    assert classes.count(MetricsMiddleware) == 1
