"""Who may come in: every way of showing who one is ends in a Principal, and its role is held against one table."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

from fastapi import Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.requests import HTTPConnection

from api.auth import keys
from api.auth.credentials import token_of
from api.auth.origin import is_own
from api.auth.permissions import PERMISSIONS, Permission
from api.auth.principal import Principal
from api.auth.renewal import RENEWED
from api.http.problems import Problem, unauthorized
from api.http.rates import TooMany

if TYPE_CHECKING:  # which holds what the ways in need, and imports it from here
    from api.services import Services

_bearer = HTTPBearer(auto_error=False, description="An API key (`onsite keys create`) or a provider's token")
_Credentials = Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]


def allow(permission: Permission) -> Callable[..., Principal]:
    """A dependency that lets a request pass when its role has the permission; gives who it comes from."""

    async def check(request: Request, _documented: _Credentials) -> Principal:
        return await authorize(request, permission)

    return check  # type: ignore[return-value]


async def authorize(connection: HTTPConnection, *permissions: Permission, in_query: bool = False) -> Principal:
    """Who a request comes from, if their role has the permissions.

    ``in_query`` lets the token stand in the address too, for apps that know nothing else; what they send with GET is
    more than a read, so a browser's session does not count there.

    Raises Problem 401, 403, 429, or 503 while it is unknown.
    """
    services: Services = connection.app.state.services
    token = token_of(connection, in_query=in_query)
    principal = await _of_token(token, services) if token or in_query else _of_session(connection, services)
    _count(principal, services)
    for permission in permissions:
        if permission not in PERMISSIONS[principal.role]:
            raise Problem(403, "forbidden", f"the role {principal.role} does not have the permission {permission}")
    return principal


def is_still_good(principal: Principal, services: "Services") -> bool:
    """Whether who was good when a connection began still is."""
    if principal.good_until_s is not None and principal.good_until_s < time.time():
        return False
    if principal.session is not None:
        return services.people.sessions.is_good(principal.session)
    return principal.way != "key" or keys.is_good(principal.identity, services.keys)


def _count(principal: Principal, services: "Services") -> None:
    """A request more of a token; raises Problem 429 for one too many."""
    if principal.way == "key":
        services.key_uses.note(principal.identity, services.clock.now_ms())
    try:
        services.rates.enter(principal)
    except TooMany as error:
        services.metrics.requests_limited.labels(error.unit).inc()
        raise Problem(429, "too_many", str(error), {"Retry-After": str(error.retry_after_s)}) from error


async def _of_token(token: str, services: "Services") -> Principal:
    if not token:
        raise _nobody()
    if token.startswith(keys.PREFIX):
        return keys.principal_of(token, services.keys)
    if services.issuer is not None:
        return await services.issuer.principal_of(token)
    raise unauthorized("the key is not known")


def _of_session(connection: HTTPConnection, services: "Services") -> Principal:
    """Who has signed in; their session is prolonged by it."""
    sessions = services.people.sessions
    token = connection.cookies.get(sessions.cookies.name)
    if not token:
        raise _nobody()
    session = sessions.read(token)
    if not is_own(connection, services.settings.public_url):
        raise Problem(403, "foreign_origin", "a session is for Onsite's own pages; this request comes from elsewhere")
    renewed = sessions.renewed(session)
    if renewed is not None:
        connection.scope[RENEWED] = sessions.cookie_of(renewed)
    return sessions.principal_of(session)


def _nobody() -> Problem:
    return unauthorized("send the header Authorization: Bearer <key>")
