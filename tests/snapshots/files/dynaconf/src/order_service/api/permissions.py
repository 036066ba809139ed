# From laterctl: permissions.
"""Which permissions routes ask for.

    router = APIRouter(dependencies=[require(Permission.READ)])

    @router.delete('/{item_id}', dependencies=[require(Permission.DELETE)])

Those of a router and of its route add up. Whoever has no permission is told
so before the body of the request is looked at.
"""

from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, HTTPException, params
from fastapi.security import SecurityScopes

from order_service.api.callers import get_caller
from order_service.core.auth.tokens import Principal
from order_service.core.permissions import Permission, with_implied

CallerDep = Annotated[Principal, Depends(get_caller)]


async def get_permitted(need: SecurityScopes, user: CallerDep) -> Principal:
    """Return a caller that has all that is asked for; else a 403."""
    if not with_implied(user.scopes).issuperset(need.scopes):
        error = f'Bearer error="insufficient_scope", scope="{need.scope_str}"'
        raise HTTPException(403, 'Not allowed', {'WWW-Authenticate': error})
    return user


def require(*permissions: Permission) -> params.Security:
    """Ask for a caller that has all of these; ValueError without any.

    ``user: Annotated[Principal, require(...)]`` is given the caller, too.
    """
    if not permissions:
        message = 'no permission is asked for'
        raise ValueError(message)
    scopes = [Permission(each).value for each in permissions]
    return params.Security(get_permitted, scopes=scopes)


def require_owner(load: Callable[..., object]) -> params.Depends:
    """Ask for the owner of what ``load`` returns, or an admin; else a 404.

    ``load`` is a dependency. What it returns has the subject as ``owner_id``.
    """
    loaded, caller = Depends(load), Depends(get_caller)

    async def owned(item: object = loaded, user: Principal = caller) -> object:
        is_owner = str(getattr(item, 'owner_id', None)) == user.subject
        is_admin = Permission.ADMIN.value in with_implied(user.scopes)
        if item is None or not (is_owner or is_admin):
            raise HTTPException(404)
        return item

    return params.Depends(owned)
