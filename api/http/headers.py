"""What every answer tells a browser: guess no types, show it in no frame, keep nothing, load nothing from elsewhere."""

from typing import Final, TypeAlias

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_NOTHING: Final = b"default-src 'none'; frame-ancestors 'none'"
_OWN_PAGES: Final = (
    b"default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; script-src 'self' 'unsafe-inline'; "
    b"frame-ancestors 'none'"
)
"""The page of the API's document writes its settings into itself."""

_EVERYWHERE: Final = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
_DATA: Final = [*_EVERYWHERE, (b"content-security-policy", _NOTHING), (b"cache-control", b"no-store")]
_PAGES: Final = [*_EVERYWHERE, (b"content-security-policy", _OWN_PAGES)]
_DATA_BEGINS: Final = "/v1/"


Headers: TypeAlias = list[tuple[bytes, bytes]]


def secured(path: str, headers: Headers) -> Headers:
    """The headers of an answer with those that it has not stated itself."""
    added = _DATA if path.startswith(_DATA_BEGINS) else _PAGES
    stated = {name.lower() for name, _ in headers}
    return [*headers, *(each for each in added if each[0] not in stated)]


class SecurityHeaders:
    """ASGI middleware that adds them; a header that an answer has already is left as it is."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve, with the headers on the answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def add(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = secured(scope["path"], [*message["headers"]])
            await send(message)

        await self._app(scope, receive, add)
