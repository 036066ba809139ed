# From laterctl: health.
"""What orchestrators and load balancers ask.

Alive says that the process answers: restart it when it does not. Ready says
that requests may come: it depends on others, which a restart does not mend.
"""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from order_service.core.health import readiness

NO_STORE = {'Cache-Control': 'no-store'}


async def health_live(_request: Request) -> JSONResponse:
    """Say that the process answers."""
    return JSONResponse({'status': 'alive'}, headers=NO_STORE)


async def health_ready(_request: Request) -> JSONResponse:
    """Say whether requests may come, with a status for each check."""
    status, checks = await readiness()
    body = {'status': status, 'checks': checks}
    return JSONResponse(body, 200 if status == 'ready' else 503, NO_STORE)


# Plain routes: dependencies of the application, such as a login, do not apply.
router = APIRouter()
router.add_route('/health/live', health_live, include_in_schema=False)
router.add_route('/health/ready', health_ready, include_in_schema=False)
