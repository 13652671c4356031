"""A session that was used is prolonged: its answer carries the new cookie."""

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

RENEWED: Final = "onsite.renewed_cookie"
"""Of the scope: the value of ``Set-Cookie``."""


class SessionRenewal:
    """ASGI middleware that adds it, unless the answer sets a cookie of its own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve, with the new cookie on the answer."""
        if not any(name == b"cookie" for name, _ in scope.get("headers", ())):  # most: spares them the rest
            await self._app(scope, receive, send)
            return

        async def add(message: Message) -> None:
            if message["type"] == "http.response.start" and RENEWED in scope:
                headers = list(message["headers"])
                if not any(name.lower() == b"set-cookie" for name, _ in headers):
                    message["headers"] = [*headers, (b"set-cookie", scope[RENEWED].encode("latin-1"))]
            await send(message)

        await self._app(scope, receive, add)
