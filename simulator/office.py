"""What an office makes of a simulated day: its people, customers and sites, and a job for each planned stop."""

from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

from schemas.times import format_instant
from simulator.company import MINUTE_MS, Company, CompanySpec, Order, Truth
from simulator.day import Day, Job
from simulator.truth import Span

_NAMES: Final = (
    "Amina", "Ben", "Carla", "Dmitri", "Elif", "Farid", "Greta", "Hugo", "Ines", "Jonas", "Kenza", "Liam", "Maja",
    "Nils", "Olga", "Pavel", "Quinn", "Rosa", "Samir", "Tomoko", "Uwe", "Vera", "Wim", "Xenia", "Yusuf", "Zofia",
)  # fmt: skip

_SITES_EACH: Final = 4
"""Of a customer."""

_DAY_ENDS_MS: Final = 10 * MINUTE_MS
"""In the last minutes a phone may be put away before it tells that the place was left."""


@dataclass(frozen=True, eq=False)
class Office:
    """``company`` has the jobs and the truth about them; the rest is as the API is told of it."""

    company: Company
    customers: list[dict[str, Any]]
    sites: list[dict[str, Any]]
    jobs: list[dict[str, Any]]

    @property
    def technicians(self) -> list[dict[str, Any]]:
        """Each holds the phone of the same name."""
        return self.company.technicians

    @property
    def names(self) -> dict[str, str]:
        """The technician's name by device."""
        return {each["device_ids"][0]: each["name"] for each in self.technicians}


def office_of(day: Day) -> Office:
    """The office of a day. Of two stops of somebody at the same place nobody could tell which was for which job: there
    is none for them."""
    technicians = [
        {"technician_id": device_id, "name": name_of(number), "device_ids": [device_id]}
        for number, device_id in enumerate(day.devices)
    ]
    zones = {site.fence_id for site in day.town.of_kind("zone")}
    company = Company(CompanySpec(), day.fences(), technicians, [], [], [], {}, [day])
    planned = Counter((job.technician_ids, job.fence_id) for job in day.jobs)
    jobs = [job for job in day.jobs if planned[job.technician_ids, job.fence_id] == 1]
    for job in jobs:
        spans = [span for span in day.spans if span.device_id == job.technician_ids[0] and span.fence_id not in zones]
        stays = [span for span in spans if span.kind == "visit" and span.fence_id == job.fence_id]
        if len(stays) <= 1:
            company.truths[job.job_id] = _truth(job, stays, spans, day)
    kept = [job for job in jobs if job.job_id in company.truths]
    names = {site.fence_id: site.name for site in day.town.sites}
    fences = sorted({job.fence_id for job in kept})
    owners = {fence_id: place // _SITES_EACH + 1 for place, fence_id in enumerate(fences)}
    customers = [
        {"customer_id": _customer(number), "name": f"Customer {number}"} for number in sorted({*owners.values()})
    ]
    sites = [
        {"site_id": each, "customer_id": _customer(owners[each]), "name": names[each], "fence_id": each}
        for each in fences
    ]
    company.orders.extend(
        Order(job.job_id, day.spec.start_ms, _fields(job, _customer(owners[job.fence_id]))) for job in kept
    )
    return Office(company, customers, sites, [_content(order) for order in company.orders])


def name_of(number: int) -> str:
    """A name for each technician, the first of them without a number."""
    turn, place = divmod(number, len(_NAMES))
    return _NAMES[place] if not turn else f"{_NAMES[place]} {turn + 1}"


def _truth(job: Job, stays: list[Span], spans: list[Span], day: Day) -> Truth:
    if not stays:
        return Truth(job.job_id, job.technician_ids, job.fence_id)
    stay = stays[0]
    ends_ms = day.spec.start_ms + round(day.spec.hours * 3_600_000) - _DAY_ENDS_MS
    departed_ms = None if stay.departed_ms is None or stay.departed_ms > ends_ms else stay.departed_ms
    left = [
        span.departed_ms
        for span in spans
        if span.kind == "visit" and span.departed_ms is not None and span.departed_ms <= stay.arrived_ms
    ]
    return Truth(
        job.job_id,
        job.technician_ids,
        job.fence_id,
        left_before_ms=max(left, default=None),
        arrived_ms=stay.arrived_ms,
        departed_ms=departed_ms,
    )


def _fields(job: Job, customer_id: str) -> dict[str, Any]:
    return {
        "title": job.title,
        "customer_id": customer_id,
        "site_id": job.fence_id,
        "fence_id": job.fence_id,
        "window_from": job.window_from_ms,
        "window_to": job.window_to_ms,
        "duration_s": float(job.duration_s),
        "priority": job.priority,
        "technician_ids": list(job.technician_ids),
    }


def _content(order: Order) -> dict[str, Any]:
    window = {name: format_instant(order.fields[name]) for name in ("window_from", "window_to")}
    return {"job_id": order.job_id, **order.fields, **window}


def _customer(number: int) -> str:
    return f"customer-{number:02d}"
