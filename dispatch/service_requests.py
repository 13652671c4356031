"""What becomes of service requests: the job that one is made into, and how it stands. Pure."""

import hashlib
from typing import Any, Final

import msgspec

from schemas import wire
from schemas.job import Job
from schemas.service_request import RequestPlan, ServiceRequest

_ALIKE: Final = (
    "external_id",
    "title",
    "branch",
    "customer_id",
    "site_id",
    "address",
    "lat",
    "lon",
    "priority",
    "skills",
    "attachments",
)
"""Fields that a job has from its request under the same name."""


def request_id_of(plan: RequestPlan, identity: str, key: str) -> str:
    """The id of a request: the same for the same ``external_id`` in a branch, else for the same key of who posts."""
    stated = f"{identity}\n{key}" if plan.external_id is None else f"{plan.branch or ''}\n\n{plan.external_id}"
    return hashlib.sha256(stated.encode()).hexdigest()[:16]


def job_id_of(request_id: str) -> str:
    """The id of the job of a request: however often it is accepted, it is this one."""
    return f"request-{request_id}"


def customer_id_of(request_id: str) -> str:
    """The id of the customer that is made of whoever asks."""
    return f"customer-{request_id}"


def site_id_of(request_id: str) -> str:
    """The id of the site that is made of the place of a request."""
    return f"site-{request_id}"


def job_fields_of(request: ServiceRequest) -> dict[str, Any]:
    """What a job has from its request, as JSON; the first of the wished times is the promised one."""
    stated = wire.to_builtins(request)
    fields = {name: stated[name] for name in _ALIKE if stated.get(name) is not None}
    if request.description:
        fields["notes"] = request.description
    if request.wished:
        fields["window_from"], fields["window_to"] = (stated["wished"][0][name] for name in ("from", "to"))
    return fields


def as_it_stands(request: ServiceRequest, job: Job | None) -> ServiceRequest:
    """The request, accepted where its job is there: that was made, whatever else was not written down in time."""
    if job is None or request.state == "accepted":
        return request
    return msgspec.structs.replace(request, state="accepted", job_id=job.job_id, reason=None)


def plan_of(request: ServiceRequest) -> RequestPlan:
    """What was asked for."""
    return RequestPlan(**{name: getattr(request, name) for name in RequestPlan.__struct_fields__})
