"""A job as it is answered: as everybody sees it, and how it stands with what is promised of it."""

import asyncio
from collections.abc import Sequence

from api.http.answers import EtaAnswer
from api.read_model import eta_of
from api.services import Services
from dispatch.sla import SlaClock, sla_clocks
from schemas.job import Job, JobRecord, public_fields


class JobAnswer(Job, kw_only=True):
    """``sla`` are the clocks of what is promised for its priority, as they stand when it is answered.

    ``eta`` is when somebody will be there, as long as anybody is awaited. Nothing of an ``archived`` job changes.
    """

    sla: list[SlaClock]
    eta: EtaAnswer | None = None
    archived: bool = False


async def answers_of(records: Sequence[JobRecord], services: Services) -> list[JobAnswer]:
    """Many of them, off the event loop: a thousand jobs with clocks in business hours take half a second."""
    return await asyncio.to_thread(lambda: [answer_of(record, services) for record in records])


def answer_of(record: JobRecord, services: Services, *, archived: bool = False) -> JobAnswer:
    """The job now."""
    rules, now_ms = services.dispatch_rules, services.clock.now_ms()
    clocks = sla_clocks(record, rules.sla, rules.business, now_ms)
    eta = services.etas.records.get(record.job_id)
    return JobAnswer(
        **public_fields(record),
        sla=clocks,
        eta=None if eta is None else eta_of(eta, now_ms),
        archived=archived,
    )
