"""What a request brings along to show who it comes from."""

import base64
from typing import Final

from fastapi.security.utils import get_authorization_scheme_param
from starlette.requests import HTTPConnection

_SUBPROTOCOL: Final = "bearer."


def token_of(connection: HTTPConnection, *, in_query: bool = False) -> str:
    """From the header or, as browsers let nobody set it for a WebSocket, from a subprotocol; empty without either.

    Of HTTP Basic, which is all that some apps have, it is the password; the name may be any. ``in_query`` lets it
    stand in the address too, for apps that know nothing else.
    """
    scheme, token = get_authorization_scheme_param(connection.headers.get("authorization"))
    if scheme.lower() == "bearer":
        found = token
    elif scheme.lower() == "basic":
        found = _password_of(token)
    else:
        offered = (each for each in connection.scope.get("subprotocols", ()) if each.startswith(_SUBPROTOCOL))
        found = next(offered, "").removeprefix(_SUBPROTOCOL)
    return found or (connection.query_params.get("token", "") if in_query else "")


def _password_of(credentials: str) -> str:
    try:
        return base64.b64decode(credentials, validate=True).decode().partition(":")[2]
    except ValueError:  # not base64, or not UTF-8
        return ""
