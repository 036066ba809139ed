# From laterctl: jwt.
"""The routes of authentication; a token says all that its subject may do."""

import logging
import uuid
from collections.abc import AsyncGenerator, Collection
from contextlib import asynccontextmanager, suppress
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Response
from fastapi.security import OAuth2PasswordRequestForm
from pydantic import BaseModel

from order_service.core.auth import tokens
from order_service.core.auth.authenticator import (
    UserAuthenticator,
    get_user_authenticator,
)
from order_service.core.auth.sessions import RefreshToken, milliseconds
from order_service.core.feature_settings import is_production

BEARER = 'bearer'

logger = logging.getLogger(__name__)

UsersDep = Annotated[UserAuthenticator, Depends(get_user_authenticator)]


class RefreshRequest(BaseModel):
    """A refresh token, as it was given out."""

    refresh_token: str


class TokenResponse(BaseModel):
    """RFC 6749, 5.1; ``expires_in`` is in seconds."""

    access_token: str
    refresh_token: str
    token_type: str
    expires_in: int
    scope: str


@asynccontextmanager
async def check_settings(app: FastAPI) -> AsyncGenerator[None]:
    """Refuse a start with wrong settings, and in production without keys."""
    if not tokens.auth_settings().jwt_keys and is_production():
        message = 'JWT_KEYS is not set'
        raise ValueError(message)
    logger.warning('Sessions are kept in this process, and end with it')
    # Where the routes are, behind whatever prefix they were included with.
    path = app.url_path_for(auth_sign_in.__name__).removeprefix('/')
    tokens.bearer.model = tokens.Bearer(tokenUrl=path).model
    yield


async def prepare(response: Response) -> None:
    """Keep tokens out of caches; a 503 while there are no keys."""
    tokens.signing_keys()
    response.headers['Cache-Control'] = 'no-store'


router = APIRouter(
    prefix='/auth',
    tags=['auth'],
    dependencies=[Depends(prepare)],
    responses=tokens.AUTH_RESPONSES,
    lifespan=check_settings,
)


@router.post('/token')
async def auth_sign_in(
    form: Annotated[OAuth2PasswordRequestForm, Depends()],
    users: UsersDep,
) -> TokenResponse:
    """Give tokens for a username and a password."""
    subject = await users.authenticate(form.username, form.password)
    scopes = None if subject is None else await users.scopes(subject)
    if subject is None or scopes is None:
        raise tokens.refusal(401, 'Incorrect username or password')
    token = RefreshToken(subject, uuid.uuid4().hex, milliseconds())
    await tokens.get_sessions().start(token)
    return _answer(token, scopes)


@router.post('/refresh')
async def auth_refresh(body: RefreshRequest, users: UsersDep) -> TokenResponse:
    """Give new tokens for a refresh token, which is then used up."""
    used = tokens.verify_refresh(body.refresh_token)
    sessions = tokens.get_sessions()
    scopes = await users.scopes(used.subject)
    if scopes is None:
        await sessions.end_all(used.subject)
    token = await sessions.rotate(used)
    if scopes is None or token is None:
        logger.warning('%r: a refresh token was refused', used.subject)
        raise tokens.InvalidTokenError
    return _answer(token, scopes)


@router.post('/logout', status_code=204)
async def auth_sign_out(body: RefreshRequest) -> None:
    """End the session of a refresh token.

    One that is no longer valid is fine, too (RFC 7009, 2.2).
    """
    with suppress(tokens.InvalidTokenError):
        token = tokens.verify_refresh(body.refresh_token)
        await tokens.get_sessions().end(token)


def _answer(token: RefreshToken, scopes: Collection[str]) -> TokenResponse:
    return TokenResponse(
        access_token=tokens.sign_access(token.subject, scopes),
        refresh_token=tokens.sign_refresh(token),
        token_type=BEARER,
        expires_in=tokens.auth_settings().jwt_access_ttl,
        scope=' '.join(sorted(scopes)),
    )
