"""A request's body, within limits: of what travels and of what it unpacks to."""

import zlib
from typing import Any, Final

import msgspec
from fastapi import Request

from api.http.problems import Problem
from api.ingest.admission import Passage

_GZIP_BITS: Final = 16 + zlib.MAX_WBITS
_DRAIN_BYTES: Final = 16 * 1024 * 1024


async def read_body(request: Request, limit: int, passage: Passage | None = None) -> bytes:
    """The whole body, unpacked if it is gzip.

    Raises Problem: 413 over ``limit`` bytes, packed or unpacked; 415 for another encoding; 400 for broken gzip; and
    what ``passage`` raises, which is asked before the first byte is read and as the body grows.
    """
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip", "x-gzip"):
        raise Problem(
            415,
            "unsupported_encoding",
            f"content encoding {encoding!r}; gzip is understood",
            {"Accept-Encoding": "gzip"},
        )
    sink = _Plain(limit) if encoding == "identity" else _Unpacked(limit)
    if passage is not None:
        await passage.enter(min(_declared_bytes(request), limit))
    stream = request.stream()
    async for chunk in stream:
        if not sink.feed(chunk):
            # Let a client that only reads after writing finish, within bounds, so that it sees the answer.
            drained = 0
            async for rest in stream:
                drained += len(rest)
                if drained > _DRAIN_BYTES:
                    break
            raise Problem(413, "body_too_large", f"the body exceeds {limit} bytes", limit_bytes=limit)
        if passage is not None:
            await passage.grow(sink.size)
    return sink.finish()


def read_json(body: bytes) -> Any:
    """What a body of JSON says; raises Problem 400 for what is none."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(400, "malformed_body", f"malformed JSON: {error}") from error


def _declared_bytes(request: Request) -> int:
    declared = request.headers.get("content-length", "")
    return int(declared) if declared.isdecimal() else 0


class _Plain:
    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self.size = 0

    def feed(self, chunk: bytes) -> bool:
        """Take a chunk; False when that is too much."""
        self.size += len(chunk)
        self._parts.append(chunk)
        return self.size <= self._limit

    def finish(self) -> bytes:
        return b"".join(self._parts)


class _Unpacked(_Plain):
    """Gzip, member after member; never holds more than the limit unpacked."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self._packed_size = 0
        self._member = zlib.decompressobj(_GZIP_BITS)

    def feed(self, chunk: bytes) -> bool:
        self._packed_size += len(chunk)
        if self._packed_size > self._limit:
            return False
        while chunk:
            if self._member.eof:
                self._member = zlib.decompressobj(_GZIP_BITS)
            try:
                unpacked = self._member.decompress(chunk, self._limit - self.size + 1)
            except zlib.error as error:
                raise Problem(400, "broken_gzip", f"the body is not gzip: {error}") from error
            if not super().feed(unpacked):
                return False
            chunk = self._member.unconsumed_tail or self._member.unused_data
        return True

    def finish(self) -> bytes:
        if not self._member.eof:
            raise Problem(400, "broken_gzip", "the gzip body ends too early")
        return super().finish()
