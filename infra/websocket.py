"""Uvicorn's WebSocket, which says that the server stops, with an end to waiting for a peer that takes nothing.

Uvicorn stops writing to such a peer, which bounds what is buffered, but keeps the connection for as long as TCP does,
and waits for it when the server stops.
"""

import asyncio
from typing import Any, Final

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.protocol import OPEN

GOING_AWAY: Final = 1001
TRY_AGAIN_LATER: Final = 1013


class BoundedWebSocket(WebSocketsSansIOProtocol):
    """Closed with 1013 when the peer has taken nothing for ``stalled_after_s``, cut off ``cut_after_s`` later."""

    stalled_after_s = 30.0
    cut_after_s = 5.0

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._look: asyncio.TimerHandle | None = None

    def pause_writing(self) -> None:
        """The peer takes less than it is sent."""
        super().pause_writing()
        self._look_again(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """It has caught up."""
        self._stop_looking()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self._stop_looking()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """The server stops, and says so with 1001; a peer that is behind is not waited for."""
        if self._look is not None:
            self.transport.abort()
            return
        if self.handshake_complete and self.conn.state is OPEN:
            self._say_close(GOING_AWAY, "the server is stopping")
            self.close_sent = True  # or uvicorn would say 1012
            self.queue.put_nowait({"type": "websocket.disconnect", "code": GOING_AWAY})
        super().shutdown()

    def _look_again(self, unsent_bytes: int) -> None:
        self._look = self.loop.call_later(self.stalled_after_s, self._close_if_stalled, unsent_bytes)

    def _close_if_stalled(self, unsent_bytes: int) -> None:
        still_unsent_bytes = self.transport.get_write_buffer_size()
        if still_unsent_bytes < unsent_bytes:
            self._look_again(still_unsent_bytes)
            return
        if self.conn.state is OPEN:
            self._say_close(TRY_AGAIN_LATER, "nothing was read for too long")
        self._look = self.loop.call_later(self.cut_after_s, self.transport.abort)

    def _say_close(self, code: int, reason: str) -> None:
        self.conn.send_close(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))

    def _stop_looking(self) -> None:
        if self._look is not None:
            self._look.cancel()
            self._look = None
