# From laterctl: jwt.
"""Signing in, staying signed in, signing out.

Requested scopes are ignored: a token carries what its subject may do at the
time, and the answer says what that is (RFC 6749, 3.3).
"""

import time
import uuid
from collections.abc import Collection
from contextlib import suppress
from typing import Annotated

from fastapi import APIRouter, Depends, Response, status
from fastapi.security import OAuth2PasswordRequestForm
from pydantic import BaseModel

from order_service.api.current_user import BearerDep, RefreshStoreDep, TokenServiceDep
from order_service.core.auth.authenticator import UserAuthenticator
from order_service.core.auth.errors import TokenError, auth_responses, unauthorized
from order_service.core.auth.refresh import RefreshToken
from order_service.core.auth.tokens import LEEWAY_SECONDS, TokenService
from order_service.core.container import container

BEARER = 'bearer'

router = APIRouter(prefix='/auth', tags=['auth'])


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


async def user_authenticator() -> UserAuthenticator:
    """Return what checks the passwords of this application."""
    return container.user_authenticator()


UsersDep = Annotated[UserAuthenticator, Depends(user_authenticator)]


@router.post('/token')
async def auth_sign_in(
    form: Annotated[OAuth2PasswordRequestForm, Depends()],
    response: Response,
    tokens: TokenServiceDep,
    store: RefreshStoreDep,
    users: UsersDep,
) -> TokenResponse:
    """Give tokens for a username and a password."""
    with auth_responses():
        tokens.ensure_ready()
        subject = await users.authenticate(form.username, form.password)
        scopes = None if subject is None else await users.scopes(subject)
        if subject is None or scopes is None:
            raise unauthorized(detail='Incorrect username or password')
        token = _new_token(uuid.uuid4().hex)
        await store.start(token)
        return _answer(response, tokens, subject, scopes, token)


@router.post('/refresh')
async def auth_refresh(
    body: RefreshRequest,
    response: Response,
    tokens: TokenServiceDep,
    store: RefreshStoreDep,
    users: UsersDep,
) -> TokenResponse:
    """Give new tokens for a refresh token, which is then used up."""
    with auth_responses():
        tokens.ensure_ready()
        subject, old = tokens.verify_refresh(body.refresh_token)
        scopes = await users.scopes(subject)
        if scopes is None:
            await store.revoke(old.family)
            raise TokenError
        token = await store.rotate(old, _new_token(old.family))
        if token is None:
            raise TokenError
        return _answer(response, tokens, subject, scopes, token)


@router.post(
    '/logout',
    response_model=None,
    status_code=status.HTTP_204_NO_CONTENT,
)
async def auth_sign_out(
    body: RefreshRequest,
    access: BearerDep,
    tokens: TokenServiceDep,
    store: RefreshStoreDep,
) -> None:
    """End what the refresh token's sign-in started.

    A token that is no longer valid is fine, too (RFC 7009, 2.2). With a
    denylist, the access token of the Authorization header ends as well.
    """
    with auth_responses():
        tokens.ensure_ready()
        with suppress(TokenError):
            _, token = tokens.verify_refresh(body.refresh_token)
            await store.revoke(token.family)
        if access and tokens.config.denylist != 'off':
            with suppress(TokenError):
                claims = tokens.verify(access).claims
                left = claims['exp'] - time.time() + LEEWAY_SECONDS
                await store.deny(claims['jti'], int(left) + 1)


def _new_token(family: str) -> RefreshToken:
    return RefreshToken(family, uuid.uuid4().hex, int(time.time()))


def _answer(
    response: Response,
    tokens: TokenService,
    subject: str,
    scopes: Collection[str],
    token: RefreshToken,
) -> TokenResponse:
    response.headers['Cache-Control'] = 'no-store'
    return TokenResponse(
        access_token=tokens.mint(subject, scopes),
        refresh_token=tokens.mint_refresh(subject, token),
        token_type=BEARER,
        expires_in=tokens.config.access_ttl,
        scope=' '.join(sorted(scopes)),
    )
