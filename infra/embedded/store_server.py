"""ClickHouse's HTTP interface on the embedded engine: ``python -m infra.embedded.store_server --data DIR --port N``.

Spoken well enough for ``clickhouse-connect``, curl and whatever else talks plain HTTP to ClickHouse: statements in the
URL or the body, rows after ``INSERT … FORMAT x``, bound parameters, settings, compression by ``Content-Encoding`` and
``Accept-Encoding``, ClickHouse's errors and headers. GET only reads. Sessions and users are accepted and ignored: it
listens on loopback, for one machine's own use.
"""

import argparse
import os
import tempfile
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, Final
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
import pyarrow as pa
import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Send

from infra.embedded.engine import Answer, Call, Engine
from infra.embedded.statements import StoreError, read_insert
from infra.leave_out import leave_out_pandas
from infra.logs import configure_logging
from schemas.settings import load_settings

log = structlog.get_logger()

_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_TRANSPORT_PARAMETERS: Final = frozenset(
    {
        *("query", "database", "default_format", "user", "password", "quota_key", "role", "query_id", "buffer_size"),
        *("session_id", "session_timeout", "session_check", "compress", "decompress", "wait_end_of_query"),
        *("client_protocol_version", "stacktrace", "close_session"),
    }
)
"""URL parameters that are not settings of the engine."""

_CODECS: Final = {"lz4": "lz4", "zstd": "zstd", "gzip": "gzip"}
"""Content encodings to PyArrow's codecs, the one we would rather send first."""

_MEDIA_TYPES: Final = {
    "JSON": "application/json; charset=UTF-8",
    "JSONCompact": "application/json; charset=UTF-8",
    "JSONEachRow": "application/x-ndjson; charset=UTF-8",
    "JSONCompactEachRow": "application/x-ndjson; charset=UTF-8",
    "CSV": "text/csv; charset=UTF-8; header=absent",
    "CSVWithNames": "text/csv; charset=UTF-8; header=present",
    "TabSeparated": "text/tab-separated-values; charset=UTF-8",
    "TSV": "text/tab-separated-values; charset=UTF-8",
    "TabSeparatedWithNames": "text/tab-separated-values; charset=UTF-8",
}
IN_MEMORY_BYTES: Final = 32 * 1024 * 1024  # a larger body waits in a temporary file
_CHUNK_BYTES: Final = 1024 * 1024
_HEAD_BYTES: Final = 256 * 1024  # an INSERT's own words end before this
_AT_ONCE: Final = 8
_LOOK_FOR_LOST_WRITES_S: Final = 1.0
EXIT_LOST_WRITES: Final = 74  # EX_IOERR
_KEEP_ALIVE_S: Final = 3600  # on loopback an idle connection costs nothing; a closing one can race an insert


def application(engine: Engine, database: str) -> Starlette:
    """The HTTP interface on ``engine``; ``database`` serves requests that name none."""
    workers = anyio.CapacityLimiter(_AT_ONCE)

    def answer_truly(request: Request, body: IO[bytes], call: Call) -> Answer:
        answer = _answer(engine, request, body, call)
        if answer.wrote:
            _die_of_lost_writes(engine)
        return answer

    async def watch_merges() -> None:
        while True:
            await anyio.sleep(_LOOK_FOR_LOST_WRITES_S)
            await anyio.to_thread.run_sync(_die_of_lost_writes, engine)

    async def ping(_: Request) -> Response:
        return PlainTextResponse("Ok.\n")

    async def handle(request: Request) -> Response:
        headers = {
            "X-ClickHouse-Server-Display-Name": "onsite",
            "X-ClickHouse-Query-Id": request.query_params.get("query_id") or str(uuid.uuid4()),
            "X-ClickHouse-Timezone": engine.timezone,
        }
        if _is_foreign(request):
            return PlainTextResponse("this store serves its own machine only\n", 403, headers)
        if request.method == "GET" and not request.query_params.get("query"):
            return PlainTextResponse("Ok.\n")
        with tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES) as body:
            try:
                async for chunk in request.stream():
                    body.write(chunk)
                body.seek(0)
                call = _read_call(request, database)
                answer = await anyio.to_thread.run_sync(answer_truly, request, body, call, limiter=workers)
            except ClientDisconnect:
                return Response(status_code=499)
            except StoreError as error:
                log.info("statement refused", code=error.code, query_id=headers["X-ClickHouse-Query-Id"])
                headers["X-ClickHouse-Exception-Code"] = str(error.code)
                return PlainTextResponse(error.text + "\n", error.status, headers)
        headers["X-ClickHouse-Format"] = answer.format
        headers["X-ClickHouse-Summary"] = answer.summary
        blocks = answer.blocks
        encoding = _accepted_encoding(request)
        if encoding:
            headers["Content-Encoding"] = encoding
            blocks = _compressed(blocks, _CODECS[encoding])
        media_type = _MEDIA_TYPES.get(answer.format, "application/octet-stream")
        if isinstance(answer.blocks, list):
            return Response(b"".join(blocks), 200, headers, media_type)
        return _Blocks(_in_threads(blocks, workers), 200, headers, media_type)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch_merges)
            yield
            tasks.cancel_scope.cancel()
        await anyio.to_thread.run_sync(engine.close)

    return Starlette(
        routes=[
            Route("/ping", ping),
            Route("/{database}", handle, methods=["GET", "POST"]),
            Route("/{database}/", handle, methods=["GET", "POST"]),
            Route("/", handle, methods=["GET", "POST"]),
        ],
        lifespan=lifespan,
    )


def _die_of_lost_writes(engine: Engine) -> None:
    """End at once, without an answer, when a write to a file has failed.

    What the engine believes to be stored is not. At the next start it leaves the broken parts out and takes those they
    were merged from; whoever inserted was told nothing, and inserts again.
    """
    lost = engine.lost_writes()
    if lost:
        log.critical("writes to files failed, ending; is the disk full?", writes=lost)
        os._exit(EXIT_LOST_WRITES)


def _is_foreign(request: Request) -> bool:
    """Does a web page of some other site speak through the user's browser? (cross-site posts, DNS rebinding)"""
    origin = request.headers.get("origin")
    asked = [urlsplit(f"//{request.headers.get('host', '')}").hostname]
    if origin:
        asked.append(urlsplit(origin).hostname)
    return any(name not in _LOOPBACK for name in asked)


def _read_call(request: Request, database: str) -> Call:
    query = request.query_params
    if query.get("compress") == "1" or query.get("decompress") == "1":
        raise StoreError(
            48,
            "Code: 48. DB::Exception: The embedded store has no native block compression: turn compression off in the "
            "client (compress=0), or use Content-Encoding. (NOT_IMPLEMENTED)",
        )
    return Call(
        database=query.get("database") or request.path_params.get("database") or database,
        settings={
            name: value
            for name, value in query.items()
            if name not in _TRANSPORT_PARAMETERS and not name.startswith("param_")
        },
        parameters={name[len("param_") :]: value for name, value in query.items() if name.startswith("param_")},
        default_format=query.get("default_format") or request.headers.get("x-clickhouse-format") or "TabSeparated",
        readonly=request.method == "GET",
        whole=query.get("wait_end_of_query") == "1",
    )


def _answer(engine: Engine, request: Request, body: IO[bytes], call: Call) -> Answer:
    """Find the statement in URL and body, as ClickHouse does: the one, a line break, the other."""
    source = _decompressed(body, request.headers.get("content-encoding", ""))
    in_url = request.query_params.get("query", "")
    head = _read(source, _HEAD_BYTES)
    if in_url:
        head = in_url.encode() + b"\n" + head
    insert = read_insert(head)
    if insert is not None:
        return engine.insert(insert, _chunks(head[insert.data_from :], source), call)
    try:
        statement = b"".join(_chunks(head, source)).decode()
    except UnicodeDecodeError as error:
        raise StoreError(62, f"Code: 62. DB::Exception: The statement is not UTF-8: {error}. (SYNTAX_ERROR)") from error
    if not statement.strip():
        raise StoreError(62, "Code: 62. DB::Exception: Syntax error: Empty query. (SYNTAX_ERROR)")
    return engine.run(statement, call)


def _decompressed(body: IO[bytes], encoding: str) -> Callable[[int], bytes]:
    if encoding in ("", "identity"):
        return body.read
    if encoding not in _CODECS:
        known = ", ".join(_CODECS)
        raise StoreError(48, f"Code: 48. DB::Exception: Content-Encoding {encoding!r}, use {known}. (NOT_IMPLEMENTED)")
    stream = pa.CompressedInputStream(pa.PythonFile(body, "r"), _CODECS[encoding])

    def read(size: int) -> bytes:
        try:
            chunk: bytes = stream.read(size)
        except (OSError, pa.ArrowException) as error:
            raise StoreError(
                354, f"Code: 354. DB::Exception: The body is not {encoding}: {error}. (ZLIB_INFLATE_FAILED)"
            ) from error
        return chunk

    return read


def _read(source: Callable[[int], bytes], size: int) -> bytes:
    """``size`` bytes, fewer only at the end: a decompressor returns what it has."""
    parts: list[bytes] = []
    while size > 0 and (chunk := source(size)):
        parts.append(chunk)
        size -= len(chunk)
    return b"".join(parts)


def _chunks(head: bytes, source: Callable[[int], bytes]) -> Iterator[bytes]:
    if head:
        yield head
    while chunk := source(_CHUNK_BYTES):
        yield chunk


def _accepted_encoding(request: Request) -> str | None:
    if request.query_params.get("enable_http_compression") != "1":
        return None
    accepted = {each.split(";")[0].strip() for each in request.headers.get("accept-encoding", "").split(",")}
    return next((encoding for encoding in _CODECS if encoding in accepted), None)


def _compressed(blocks: Iterable[bytes], codec: str) -> Iterator[bytes]:
    sink = _Sink()
    with pa.CompressedOutputStream(pa.PythonFile(sink, "w"), codec) as stream:
        for block in blocks:
            stream.write(block)
            yield sink.take()
    yield sink.take()


class _Sink:
    """A file to write to whose bytes are taken out as they come."""

    closed = False

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """What was written can still be taken."""

    def take(self) -> bytes:
        taken = b"".join(self._parts)
        self._parts.clear()
        return taken


class _Blocks(StreamingResponse):
    """Blocks one by one, each fetched off the event loop.

    An error in the middle goes out as text, then the connection breaks: so ClickHouse does it, and clients look for it.
    """

    async def stream_response(self, send: Send) -> None:
        try:
            await super().stream_response(send)
        except StoreError as error:
            log.warning("statement failed halfway", code=error.code)
            await send({"type": "http.response.body", "body": error.text.encode(), "more_body": True})


async def _in_threads(blocks: Iterable[bytes], workers: anyio.CapacityLimiter) -> AsyncIterator[bytes]:
    iterator = iter(blocks)
    while (block := await anyio.to_thread.run_sync(next, iterator, None, limiter=workers)) is not None:
        if block:
            yield block


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m infra.embedded.store_server", description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the engine's folder")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--database", default="onsite", help="used where a request names none; created if need be")
    given = parser.parse_args()
    leave_out_pandas()
    configure_logging(load_settings())
    engine = Engine(given.data, given.database)
    uvicorn.run(
        application(engine, given.database),
        host="127.0.0.1",
        port=given.port,
        access_log=False,
        log_config=None,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=10,
        h11_max_incomplete_event_size=1024 * 1024,
    )


if __name__ == "__main__":
    main()
