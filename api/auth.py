"""Who may do what: bearer keys, and one table of roles."""

import base64
import hashlib
import hmac
from collections.abc import Callable
from typing import Annotated, Final, Literal

from fastapi import Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from fastapi.security.utils import get_authorization_scheme_param
from starlette.requests import HTTPConnection

from api.ports import ReadModel
from api.problems import Problem, unavailable
from api.services import services_of
from schemas.key import ApiKey, Role

Permission = Literal["pings:write", "rejected:read", "devices:read", "fences:read", "fences:write", "visits:read"]

_READ: Final[frozenset[Permission]] = frozenset({"devices:read", "fences:read", "visits:read"})

PERMISSIONS: Final[dict[Role, frozenset[Permission]]] = {
    "admin": _READ | {"pings:write", "rejected:read", "fences:write"},
    "viewer": _READ,
    "device": frozenset({"pings:write"}),
}
"""The one table of roles and what they may do."""

_SUBPROTOCOL: Final = "bearer."

_bearer = HTTPBearer(auto_error=False, description="An API key: `onsite keys create`")
_Credentials = Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]


def allow(permission: Permission) -> Callable[..., ApiKey]:
    """A dependency that lets a request pass when its key's role has the permission; gives the key."""

    async def check(request: Request, _documented: _Credentials) -> ApiKey:
        return authorize(request, permission)

    return check  # type: ignore[return-value]


def authorize(connection: HTTPConnection, *permissions: Permission, in_query: bool = False) -> ApiKey:
    """The request's key, if its role has the permissions; raises Problem 401, 403, or 503 while keys are unknown.

    ``in_query`` lets it stand in the address too, for apps that know nothing else.
    """
    token = _token_of(connection) or (connection.query_params.get("token", "") if in_query else "")
    key = _authenticate(connection, token)
    for permission in permissions:
        if permission not in PERMISSIONS[key.role]:
            raise Problem(403, "forbidden", f"the role {key.role} does not have the permission {permission}")
    return key


def is_revoked(key: ApiKey, keys: ReadModel[ApiKey]) -> bool:
    """Whether a key that was good when a connection began is not any more."""
    newest = keys.records.get(key.key_id)
    return newest is None or newest.revoked_at is not None


def _authenticate(connection: HTTPConnection, token: str) -> ApiKey:
    if not token:
        raise _unauthorized("send the header Authorization: Bearer <key>")
    keys = services_of(connection).keys
    prefix, _, rest = token.partition("_")
    key_id, _, secret = rest.partition("_")
    key = keys.records.get(key_id) if prefix == "onsite" else None
    # Compared for an unknown key too: how long the answer takes says nothing of which keys exist.
    secret_hash = hashlib.sha256(secret.encode()).hexdigest()
    matches = hmac.compare_digest(secret_hash, key.secret_hash if key else "0" * 64)
    if key is None or not matches:
        if not keys.is_caught_up:
            raise unavailable("the keys are still being read")
        raise _unauthorized("the key is not known")
    if key.revoked_at is not None:
        raise _unauthorized("the key was revoked")
    return key


def _token_of(connection: HTTPConnection) -> str:
    """From the header or, as browsers let nobody set it for a WebSocket, from a subprotocol; empty without either.

    Of HTTP Basic, which is all that some apps have, it is the password; the name may be any.
    """
    scheme, token = get_authorization_scheme_param(connection.headers.get("authorization"))
    if scheme.lower() == "bearer":
        return token
    if scheme.lower() == "basic":
        return _password_of(token)
    offered = (each for each in connection.scope.get("subprotocols", ()) if each.startswith(_SUBPROTOCOL))
    return next(offered, "").removeprefix(_SUBPROTOCOL)


def _password_of(credentials: str) -> str:
    try:
        return base64.b64decode(credentials, validate=True).decode().partition(":")[2]
    except ValueError:  # not base64, or not UTF-8
        return ""


def _unauthorized(detail: str) -> Problem:
    return Problem(401, "unauthorized", detail, {"WWW-Authenticate": "Bearer"})
