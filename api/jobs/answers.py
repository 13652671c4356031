"""A job as it is answered: as everybody sees it, and how it stands with what is promised of it."""

import asyncio
from collections.abc import Sequence

from api.services import Services
from dispatch.sla import SlaClock, sla_clocks
from schemas.job import Job, JobRecord


class JobAnswer(Job, kw_only=True):
    """``sla`` are the clocks of what is promised for its priority, as they stand when it is answered."""

    sla: list[SlaClock]


async def answers_of(records: Sequence[JobRecord], services: Services) -> list[JobAnswer]:
    """Many of them, off the event loop: a thousand jobs with clocks in business hours take half a second."""
    return await asyncio.to_thread(lambda: [answer_of(record, services) for record in records])


def answer_of(record: JobRecord, services: Services) -> JobAnswer:
    """The job now."""
    rules = services.dispatch_rules
    clocks = sla_clocks(record, rules.sla, rules.business, services.clock.now_ms())
    return JobAnswer(**{name: getattr(record, name) for name in Job.__struct_fields__}, sla=clocks)
