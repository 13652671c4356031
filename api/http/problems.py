"""Errors as RFC 9457 problem details, all of them."""

from http import HTTPStatus
from typing import Any, Final

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.websockets import WebSocket

from api.http.answers import JSONAnswer
from api.ports import StoreUnavailable
from schemas.fence import FenceError
from schemas.topics import LogUnavailable, RecordTooLarge

MEDIA_TYPE: Final = "application/problem+json"
RETRY_AFTER_S: Final = 2

log = structlog.get_logger()


class Problem(Exception):  # noqa: N818 -- the word of RFC 9457
    """An answer that is an error. ``code`` is stable, for programs; ``detail`` is for people."""

    def __init__(self, status: int, code: str, detail: str, headers: dict[str, str] | None = None, **more: Any) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = headers or {}
        self.more = more

    def answer(self) -> JSONAnswer:
        """The response."""
        body = {
            "type": f"urn:onsite:problem:{self.code}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
            **self.more,
        }
        return JSONAnswer(body, self.status, self.headers, MEDIA_TYPE)


def unavailable(detail: str) -> Problem:
    """Not now: try again in a moment."""
    return Problem(503, "unavailable", detail, {"Retry-After": str(RETRY_AFTER_S)})


def unauthorized(detail: str) -> Problem:
    """Say who you are."""
    return Problem(401, "unauthorized", detail, {"WWW-Authenticate": "Bearer"})


def install(app: FastAPI) -> None:
    """Answer every error of ``app`` as problem details."""

    @app.exception_handler(Problem)
    async def problem(connection: Request | WebSocket, error: Problem) -> JSONAnswer | None:
        if isinstance(connection, WebSocket):  # its handshake is answered instead of accepted
            await connection.send_denial_response(error.answer())
            return None
        return error.answer()

    @app.exception_handler(RequestValidationError)
    async def invalid(_request: Request, error: RequestValidationError) -> JSONAnswer:
        errors = [
            {"in": ".".join(str(part) for part in each["loc"]), "reason": each["msg"].removeprefix("Value error, ")}
            for each in error.errors()
        ]
        detail = "; ".join(f"{each['in']}: {each['reason']}" for each in errors)
        return Problem(400, "invalid_request", detail, errors=errors).answer()

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONAnswer:
        code = HTTPStatus(error.status_code).phrase.lower().replace(" ", "_")
        detail = f"{request.method} {request.url.path}: {error.detail}"
        return Problem(error.status_code, code, detail, dict(error.headers or {})).answer()

    @app.exception_handler(FenceError)
    async def fence(_request: Request, error: FenceError) -> JSONAnswer:
        return Problem(400, "invalid_fence", str(error)).answer()

    @app.exception_handler(RecordTooLarge)
    async def too_large(_request: Request, error: RecordTooLarge) -> JSONAnswer:
        return Problem(413, "record_too_large", str(error)).answer()

    @app.exception_handler(LogUnavailable)
    @app.exception_handler(StoreUnavailable)
    async def down(_request: Request, error: Exception) -> JSONAnswer:
        log.warning("request refused", reason=str(error))
        return unavailable(str(error)).answer()

    @app.exception_handler(ClientDisconnect)
    async def gone(_request: Request, _error: ClientDisconnect) -> JSONAnswer:
        return Problem(400, "incomplete_body", "the connection closed before the whole body had come").answer()

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> JSONAnswer:
        # The template, not the path: an enrolment's path is a secret.
        route = getattr(request.scope.get("route"), "path", "unmatched")
        log.error("request failed", method=request.method, route=route, exc_info=error)
        return Problem(500, "internal_error", "an error on our side; it has been logged").answer()
