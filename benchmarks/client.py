"""Pings over HTTP at the least cost to the client, so that what is measured is the server."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Self
from urllib.parse import urlsplit

import msgspec

from schemas.ping import Ping
from schemas.times import format_instant

_encode: Final = msgspec.json.Encoder().encode


class NotAccepted(RuntimeError):  # noqa: N818 -- an answer, not a mistake
    """The answer to a post was not that all of its pings are accepted; ``status`` of HTTP."""

    def __init__(self, status: int, answer: str) -> None:
        super().__init__(f"{status}: {answer}")
        self.status = status


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


@dataclass(frozen=True)
class Connection:
    """A connection that is kept, for one request at a time."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @classmethod
    async def open(cls, url: str) -> Self:
        """Connect to the host and port of a URL."""
        parts = urlsplit(url)
        return cls(*await asyncio.open_connection(parts.hostname, parts.port))

    async def post(self, request: bytes) -> None:
        """Send a request and wait for its answer. Raises NotAccepted when it is not a 202 that rejects nothing."""
        self.writer.write(request)
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        answer = await self.reader.readexactly(length)
        if not head.startswith(b"HTTP/1.1 202") or not answer.endswith(b'"rejected":[]}'):
            raise NotAccepted(int(head.split(maxsplit=2)[1]), answer.decode())

    def close(self) -> None:
        """Disconnect."""
        self.writer.close()
