# From laterctl: jwt.
"""The caller of a request: ``async def route(user: CurrentUser)``."""

from typing import Annotated

from fastapi import Depends
from fastapi.requests import HTTPConnection
from fastapi.security import OAuth2PasswordBearer
from fastapi.security.utils import get_authorization_scheme_param

from order_service.core.auth.errors import (
    AuthUnavailableError,
    TokenError,
    auth_responses,
    unauthorized,
)
from order_service.core.auth.refresh import RefreshStore
from order_service.core.auth.refresh_store import get_refresh_store
from order_service.core.auth.tokens import Principal, TokenService, get_token_service


class BearerToken(OAuth2PasswordBearer):
    """The token of the Authorization header, on WebSocket routes as well."""

    # Where older FastAPI looks up what the annotations below stand for.
    __globals__ = globals()

    async def __call__(self, request: HTTPConnection) -> str | None:
        """Return the token, '' when it is empty, None without the header."""
        header = request.headers.get('Authorization')
        scheme, token = get_authorization_scheme_param(header)
        return token if scheme.lower() == 'bearer' else None


bearer_token = BearerToken(
    tokenUrl='auth/token',
    scheme_name='OAuth2PasswordBearer',
    auto_error=False,
)


async def token_service() -> TokenService:
    """Return the application's token service."""
    return get_token_service()


async def refresh_store() -> RefreshStore:
    """Return the application's refresh store."""
    return get_refresh_store()


BearerDep = Annotated[str | None, Depends(bearer_token)]
TokenServiceDep = Annotated[TokenService, Depends(token_service)]
RefreshStoreDep = Annotated[RefreshStore, Depends(refresh_store)]


async def get_current_user(
    token: BearerDep,
    tokens: TokenServiceDep,
    store: RefreshStoreDep,
) -> Principal:
    """Return whom the access token stands for.

    401 without a token or with one that is not valid; 503 while no keys are
    configured.
    """
    with auth_responses():
        tokens.ensure_ready()
        if token is None:
            raise unauthorized(detail='Not authenticated')
        user = tokens.verify(token)
        if await _denied(user, tokens.config.denylist, store):
            raise TokenError
        return user


CurrentUser = Annotated[Principal, Depends(get_current_user)]


async def _denied(user: Principal, mode: str, store: RefreshStore) -> bool:
    if mode == 'off':
        return False
    try:
        return await store.denied(user.claims['jti'])
    except AuthUnavailableError:
        if mode == 'fail_closed':
            raise
        return False
