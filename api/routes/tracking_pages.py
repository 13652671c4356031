"""The page behind a tracking link, and its forms, which work without a script."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal
from urllib.parse import parse_qsl

import msgspec
from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse
from starlette.responses import RedirectResponse, Response

from api import examples
from api.http.body import read_body
from api.http.problems import Problem
from api.pages import customers_page
from api.routes.tracking import MAX_BODY_BYTES, Token, address_of
from api.services import Reach, Services
from api.tracking.answers import NewMessage, Rating
from api.tracking.desk import Opened, open_link, rate, view_of, write
from api.tracking.page import page_of
from api.tracking.words import WORDS, language_of
from schemas.topics import LogUnavailable
from schemas.tracking import MAX_TEXT_CHARS

router = APIRouter(tags=["tracking"])

Said = Literal["thanks", "sent"]

_WHY: Final = {404: "unknown", 410: "expired"}
_FORM: Final = "application/x-www-form-urlencoded"


def _pages(*statuses: int) -> dict[int | str, dict[str, Any]]:
    content = {"text/html": {"schema": {"type": "string"}, "example": "<!doctype html>… Amina is on the way to you …"}}
    about = {
        200: "The page",
        400: "What was said is not taken",
        404: "No link, or not any more",
        409: "It cannot be said now",
        410: "Its time is over",
        413: "Too much was said",
        415: "An unknown encoding",
        429: "Too often",
        503: "Not now",
    }
    return {
        status: {
            "description": about[status],
            "content": content | (examples.problem(status)["content"] if status == 400 else {}),
        }
        for status in statuses
    }


def _form(**fields: dict[str, Any]) -> dict[str, Any]:
    schema = {"type": "object", "properties": fields, "required": [next(iter(fields))]}
    example = {name: field["example"] for name, field in fields.items()}
    return {"requestBody": {"required": True, "content": {_FORM: {"schema": schema, "example": example}}}}


_SEE_PAGE: Final[dict[int | str, dict[str, Any]]] = {303: {"description": "See the page"}}
_FORM_ERRORS: Final = (400, 404, 409, 410, 413, 415, 429, 503)


@router.get(
    "/t/{token}",
    summary="A customer's page",
    response_class=HTMLResponse,
    responses=_pages(200, 400, 404, 410, 429, 503),
)
async def show_page(
    request: Request,
    services: Reach,
    token: Token,
    said: Annotated[Said | None, Query(description="what was just said")] = None,
) -> HTMLResponse:
    """Who comes, when, and where they are while they are on the way. It loads nothing from elsewhere."""
    try:
        opened = open_link(token, address_of(request), services)
    except Problem as problem:
        return _over(problem, request)
    return _page(opened, request, services, said=said)


@router.post(
    "/t/{token}/rating",
    summary="Rate on the page",
    status_code=303,
    response_class=RedirectResponse,
    openapi_extra=_form(
        rating={"type": "integer", "minimum": 1, "maximum": 5, "example": 5},
        comment={"type": "string", "maxLength": MAX_TEXT_CHARS, "example": "On time."},
    ),
    responses=_SEE_PAGE | _pages(*_FORM_ERRORS),
)
async def rate_on_page(request: Request, services: Reach, token: Token) -> Response:
    """As `POST /v1/track/{token}/rating`, from a form."""
    return await _take(request, services, token, "thanks")


@router.post(
    "/t/{token}/messages",
    summary="Write on the page",
    status_code=303,
    response_class=RedirectResponse,
    openapi_extra=_form(text={"type": "string", "minLength": 1, "maxLength": MAX_TEXT_CHARS, "example": "Ring twice"}),
    responses=_SEE_PAGE | _pages(*_FORM_ERRORS),
)
async def write_on_page(request: Request, services: Reach, token: Token) -> Response:
    """As `POST /v1/track/{token}/messages`, from a form."""
    return await _take(request, services, token, "sent")


async def _take(request: Request, services: Services, token: str, said: Said) -> Response:
    try:
        opened = open_link(token, address_of(request), services)
    except Problem as problem:
        return _over(problem, request)
    try:
        fields = _fields(await read_body(request, MAX_BODY_BYTES))
        if said == "thanks":
            await rate(opened.job, msgspec.convert(fields, Rating, strict=False), services)
        else:
            await write(opened.job, msgspec.convert(fields, NewMessage, strict=False), services)
    except LogUnavailable:
        return _page(opened, request, services, 503)
    except Problem as problem:
        return _page(opened, request, services, problem.status)
    except (msgspec.ValidationError, UnicodeError, ValueError):
        return _page(opened, request, services, 400)
    return RedirectResponse(f"/t/{token}?said={said}", 303, {"Cache-Control": "no-store"})


def _fields(body: bytes) -> Mapping[str, str]:
    """A form's fields, with line breaks as people type them: the browser sends two characters for each."""
    pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=8, errors="strict")
    return {name: value.replace("\r\n", "\n") for name, value in pairs}


def _page(
    opened: Opened, request: Request, services: Services, status: int = 200, said: Said | None = None
) -> HTMLResponse:
    answer = view_of(opened, services)
    language = language_of(answer.language, request.headers.get("accept-language", ""))
    words = WORDS[language]
    told = words[said] if said is not None else None if status == 200 else words["not_sent"]
    return customers_page(
        "tracking.html",
        status,
        language=language,
        words=words,
        answer=answer,
        page=page_of(answer, language, services.clock.now_ms()),
        path=f"/t/{request.path_params['token']}",
        said=told,
        longest=MAX_TEXT_CHARS,
    )


def _over(problem: Problem, request: Request) -> HTMLResponse:
    """That there is nothing to see, in the browser's language: whose link it is nobody knows, or may know."""
    language = language_of(None, request.headers.get("accept-language", ""))
    why = _WHY.get(problem.status, "later")
    return customers_page(
        "tracking_over.html", problem.status, problem.headers, language=language, words=WORDS[language], why=why
    )
