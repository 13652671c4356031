"""Pings over HTTP at the least cost to the client, so that what is measured is the server."""

import asyncio
import random
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from schemas.ping import Ping
from schemas.times import format_instant

_LONGEST_WAIT_S: Final = 60.0
_FIRST_WAIT_S: Final = 0.2
_SPREAD_S: Final = 1.0
_encode: Final = msgspec.json.Encoder().encode


class NotAccepted(RuntimeError):  # noqa: N818 -- an answer, not a mistake
    """The answer to a post was not that all of its pings are accepted; ``status`` of HTTP."""

    def __init__(self, head: bytes, answer: bytes) -> None:
        self.status = int(head.split(maxsplit=2)[1])
        self.retry_after_s = float(_header(head, b"retry-after") or 0.0)
        super().__init__(f"{self.status}: {answer.decode()}")


def as_a_client_writes(ping: Ping, later_ms: int = 0) -> bytes:
    """A ping as a JSON object, its times in RFC 3339 and so much later."""
    fields: dict[str, Any] = msgspec.to_builtins(ping)
    fields.pop("received_at", None)
    fields |= {name: format_instant(fields[name] + later_ms) for name in ("ts", "sent_at")}
    return _encode(fields)


def array_of(items: Iterable[bytes]) -> bytes:
    """JSON values as a JSON array."""
    return b"[" + b",".join(items) + b"]"


def request_of(token: str, body: bytes) -> bytes:
    """The bytes of a ``POST /v1/pings``."""
    head = (
        f"POST /v1/pings HTTP/1.1\r\nHost: onsite\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Connection:
    """A connection that is kept, for one request at a time; opened anew where the server has closed it."""

    def __init__(self, url: str) -> None:
        self._server = urlsplit(url)
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, request: bytes) -> None:
        """Send a request and wait for its answer.

        Raises NotAccepted when it is not a 202 that rejects nothing, OSError or EOFError when there is none.
        """
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._server.hostname, self._server.port)
        reader, writer = self._streams
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        answer = await reader.readexactly(int(_header(head, b"content-length")))
        if not head.startswith(b"HTTP/1.1 202") or not answer.endswith(b'"rejected":[]}'):
            raise NotAccepted(head, answer)

    async def post_until_accepted(self, request: bytes) -> int:
        """Post again what is refused for now, as ``onsite replay`` does; how often it was.

        Raises NotAccepted for any other refusal.
        """
        refused = 0
        while True:
            at_least_s = 0.0
            try:
                await self.post(request)
            except NotAccepted as refusal:
                if refusal.status not in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
                    raise
                at_least_s = refusal.retry_after_s + random.uniform(0.0, _SPREAD_S)
            except (OSError, EOFError):
                self.close()
            else:
                return refused
            refused += 1
            longest_s = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2 ** min(refused, 10))
            await asyncio.sleep(max(at_least_s, random.uniform(0.0, longest_s)))

    def close(self) -> None:
        """Disconnect."""
        if self._streams is not None:
            self._streams[1].close()
        self._streams = None


def _header(head: bytes, name: bytes) -> bytes:
    """The value of a header, empty without it."""
    return head.lower().partition(b"\r\n" + name + b":")[2].partition(b"\r\n")[0]
