"""Uvicorn's HTTP, with an end to what a request says before and after its body.

The parser keeps a line until it is complete, and all lines until they are handled, however long that takes: a line
without an end, or lines without end, would fill the memory, before anybody has shown who they are.
"""

import asyncio
from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_BYTES: Final = 32 * 1024
"""Of the address and all header lines of a request, and of what the parser holds of a line."""

_TOO_LARGE: Final = b"the address and the headers of a request have %d bytes at most" % MOST_BYTES
_ANSWER: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-type: text/plain; charset=utf-8\r\n"
    b"content-length: %d\r\n"
    b"connection: close\r\n"
    b"\r\n%s" % (len(_TOO_LARGE), _TOO_LARGE)
)


class BoundedHttp(HttpToolsProtocol):
    """Answers 431 and closes where there is more, and closes where the headers take longer than ``head_within_s``."""

    head_within_s = 30.0

    _said_bytes = 0
    _held_bytes = 0
    _in_head = False
    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Somebody is there."""
        super().connection_made(transport)
        self._patience = self.loop.call_later(self.head_within_s, transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        """They are gone."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feed the parser, and count what it has not told of."""
        self._held_bytes += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._held_bytes > MOST_BYTES:
            self._refuse()
        elif self._in_head and self._patience is None:
            self._patience = self.loop.call_later(self.head_within_s, self.transport.close)

    def on_message_begin(self) -> None:
        """A request begins."""
        self._in_head = True
        self._said_bytes = self._held_bytes = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """A part of the address."""
        self._said(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header line, or one of those that may follow the body."""
        self._said(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The body follows."""
        self._held_bytes = 0
        self._in_head = False
        self._stop_waiting()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of the body: the request's handler has a limit for it."""
        self._held_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._held_bytes = 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """What the parser could not read, or was not let read on."""
        if self._said_bytes > MOST_BYTES:
            self._refuse()
        else:
            super().send_400_response(msg)

    def _said(self, size: int) -> None:
        self._held_bytes = 0
        self._said_bytes += size
        if self._said_bytes > MOST_BYTES:
            raise ValueError("too much is said before the body")

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _refuse(self) -> None:
        self.transport.write(_ANSWER)
        self.transport.close()
