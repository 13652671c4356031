"""What becomes of a job as time passes: its risk, and what of its promises has to be escalated."""

from typing import Final

import msgspec

from dispatch.delay import has_arrived, risk_of
from dispatch.lifecycle import Lifecycle
from dispatch.rules import DispatchRules
from dispatch.sla import escalations_between
from schemas.job import JobRecord
from schemas.times import Instant

_YEAR_MS: Final = 366 * 86_400_000


def as_of(record: JobRecord, rules: DispatchRules, lifecycle: Lifecycle, now_ms: int) -> JobRecord:
    """The record with its risk, and all escalations up to a moment; those that were told stay told."""
    risk = risk_of(record, record.eta, now_ms, record.risk, clear_s=rules.clear_s, lifecycle=lifecycle)
    told = {each.escalation_id for each in record.escalations}
    due = escalations_between(record, rules.sla, rules.business, 0, now_ms)
    new = [each for each in due if each.escalation_id not in told]
    return msgspec.structs.replace(record, risk=risk, escalations=[*record.escalations, *new])


def next_moment_ms(record: JobRecord, rules: DispatchRules, lifecycle: Lifecycle, now_ms: int) -> int | None:
    """When time alone will change something of a job; None: never."""
    moments = [each.at_ms for each in escalations_between(record, rules.sla, rules.business, now_ms, now_ms + _YEAR_MS)]
    is_awaited = not lifecycle.is_over(record.state) and not has_arrived(record.state, lifecycle)
    if is_awaited and record.window_to_ms is not None and record.window_to_ms >= now_ms:
        moments.append(Instant(record.window_to_ms + 1))
    return min(moments, default=None)
