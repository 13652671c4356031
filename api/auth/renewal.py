"""A session that was used is prolonged: its answer carries the new cookie."""

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.headers import Headers

RENEWED: Final = "onsite.renewed_cookie"
"""Of the scope: the value of ``Set-Cookie``."""


def renewed(scope: Scope, headers: Headers) -> Headers:
    """The headers of an answer with the new cookie, where there is one."""
    cookie = scope.get(RENEWED)
    if cookie is None or any(name.lower() == b"set-cookie" for name, _ in headers):
        return headers
    return [*headers, (b"set-cookie", cookie.encode("latin-1"))]


class SessionRenewal:
    """ASGI middleware that adds it, unless the answer sets a cookie of its own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve, with the new cookie on the answer."""

        async def add(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = renewed(scope, [*message["headers"]])
            await send(message)

        await self._app(scope, receive, add)
