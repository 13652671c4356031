"""Signing in and out, for people with a local account."""

from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Depends, Request, Response

from api import examples
from api.audit import put_on_record
from api.auth import Principal, authorize
from api.auth.origin import is_own
from api.auth.passwords import LONGEST, TooManyWaiting
from api.auth.session import Session
from api.auth.sign_in import NotSignedIn, TooSoon
from api.http.answers import JSONAnswer, SessionAnswer
from api.http.body import read_body
from api.http.problems import Problem, unavailable
from api.services import Reach, Services
from schemas import wire
from schemas.account import SessionsEnded
from schemas.audit import Change
from schemas.times import Instant
from schemas.topics import SESSIONS_ENDED

router = APIRouter(tags=["sessions"])

_MAX_BODY_BYTES: Final = 4096
_TOLD_S: Final = 2.0


class Credentials(msgspec.Struct):
    """``code`` is that of the second factor."""

    name: Annotated[str, msgspec.Meta(max_length=200)]
    password: Annotated[str, msgspec.Meta(max_length=LONGEST)]
    code: Annotated[str, msgspec.Meta(max_length=12)] = ""


async def _session_of(request: Request) -> Session:
    principal: Principal = await authorize(request)
    if principal.session is None:
        raise Problem(403, "no_session", "only who came with a session's cookie can sign out")
    return principal.session


OwnSession = Annotated[Session, Depends(_session_of)]


@router.post(
    "/v1/sessions",
    status_code=201,
    summary="Sign in",
    openapi_extra=examples.sessions.SIGN_IN_BODY,
    responses=examples.answers(
        201, "The cookie is set", "SessionAnswer", examples.sessions.SESSION, 400, 401, 403, 413, 415, 429, 503
    ),
)
async def sign_in(request: Request, services: Reach) -> JSONAnswer:
    """With a name, a password and, where the account has a second factor, the code it shows.

    The answer sets the session's cookie. Whatever is wrong, the answer is the same. After a few wrong attempts, of an
    account or from an address, each has to wait longer: `429` with `Retry-After`.
    """
    if not is_own(request, services.settings.public_url):
        raise Problem(403, "foreign_origin", "signing in is for Onsite's own pages")
    credentials = _credentials(await read_body(request, _MAX_BODY_BYTES))
    address = request.client.host if request.client else ""
    outcomes = services.metrics.sign_ins
    try:
        account = await services.people.sign_in.account_of(
            credentials.name, credentials.password, credentials.code, address
        )
    except NotSignedIn as error:
        outcomes.labels("refused").inc()
        raise Problem(401, "not_signed_in", str(error)) from error
    except TooSoon as error:
        outcomes.labels("delayed").inc()
        raise Problem(429, "too_soon", str(error), {"Retry-After": str(error.retry_after_s)}) from error
    except TooManyWaiting as error:
        raise unavailable("too many people are signing in at once") from error
    outcomes.labels("in").inc()
    sessions = services.people.sessions
    session = sessions.begin(account)
    answer = SessionAnswer(account.name, account.role, Instant(session.until_s * 1000))
    return JSONAnswer(answer, 201, {"Set-Cookie": sessions.cookie_of(session)})


@router.get(
    "/v1/sessions/current",
    summary="Who is signed in",
    openapi_extra={"security": examples.BY_SESSION},
    responses=examples.answers(200, "Whose session it is", "SessionAnswer", examples.sessions.SESSION, 401, 403),
)
async def get_session(services: Reach, session: OwnSession) -> JSONAnswer:
    """The account of the session's cookie, its role, and until when the session is good."""
    role = services.people.sessions.principal_of(session).role
    return JSONAnswer(SessionAnswer(session.account, role, Instant(session.until_s * 1000)))


@router.delete(
    "/v1/sessions/current",
    status_code=204,
    summary="Sign out",
    openapi_extra={"security": examples.BY_SESSION},
    responses=examples.answers(204, "The session is over", None, None, 401, 403, 503),
)
async def sign_out(services: Reach, session: OwnSession) -> Response:
    """Ends this session, everywhere within a second."""
    return await _end(services, session, session.session_id)


@router.delete(
    "/v1/sessions",
    status_code=204,
    summary="Sign out everywhere",
    openapi_extra={"security": examples.BY_SESSION},
    responses=examples.answers(204, "All sessions are over", None, None, 401, 403, 503),
)
async def sign_out_everywhere(services: Reach, session: OwnSession) -> Response:
    """Ends every session of this account, this one too, within a second."""
    return await _end(services, session, None)


async def _end(services: Services, session: Session, session_id: str | None) -> Response:
    """Say that they are over, and wait until this process knows."""
    people = services.people
    action = "signed_out_everywhere" if session_id is None else "signed_out"
    change = Change(action, "session", session.account)
    await put_on_record(services.log, people.sessions.principal_of(session), services.clock.now_ms(), [change])
    ended = SessionsEnded(session.account, people.sessions.now_ms(), session_id)
    await services.log.append(SESSIONS_ENDED, [(ended.key, wire.encode(ended))])

    def is_known() -> bool:
        known = people.sessions_ended.records.get(ended.key)
        return known is not None and known.ended_at >= ended.ended_at

    if not await people.sessions_ended.until(is_known, _TOLD_S):
        raise unavailable("the session will be over in a moment")
    return Response(status_code=204, headers={"Set-Cookie": people.sessions.cookies.cleared()})


def _credentials(body: bytes) -> Credentials:
    try:
        return msgspec.json.decode(body, type=Credentials)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        # What was sent is not repeated: it may be a password.
        raise Problem(
            400, "malformed_body", "send a JSON object with name and password, and code if need be"
        ) from error
