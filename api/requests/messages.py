"""What is said of service requests, read. Pure; raises Problem 400 that says what is wrong where."""

from typing import Annotated, Any

import msgspec

from api.http.problems import Problem
from api.jobs.answers import JobAnswer
from schemas import wire
from schemas.service_request import RequestPlan, ServiceRequest


class Acceptance(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """``job`` are fields of the job that are to be other than the request has them, a JSON merge patch.

    ``create_site``: the place becomes a site of the customer.
    """

    job: dict[str, Any] = {}
    create_site: bool = False


class Refusal(msgspec.Struct, forbid_unknown_fields=True):
    """Why it is declined."""

    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=2_000)]


class AcceptedRequest(msgspec.Struct):
    """The request and the job that was made of it."""

    request: ServiceRequest
    job: JobAnswer


def read_request(content: object) -> RequestPlan:
    """What is asked for."""
    return _read(RequestPlan, content)


def read_acceptance(content: object) -> Acceptance:
    """What a dispatcher adds."""
    return _read(Acceptance, content)


def read_refusal(content: object) -> Refusal:
    """Why not."""
    return _read(Refusal, content)


def _read(kind: type[wire.Record], content: object) -> wire.Record:
    if not isinstance(content, dict):
        raise Problem(400, "invalid_request", "$: send a JSON object")
    try:
        return wire.decode(kind, msgspec.json.encode(content))
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise Problem(400, "invalid_request", str(error)) from error
