"""The Kafka topics: a literal table."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Topic:
    """A topic and what its records are keyed by.

    Compacted, it keeps the newest record of each key; otherwise every record for ``retention_days``, None: for ever.
    """

    name: str
    key: str
    compacted: bool = False
    retention_days: int | None = 7


PINGS: Final = Topic("onsite.pings", key="device_id")
PINGS_REJECTED: Final = Topic("onsite.pings.rejected", key="device_id")
FENCES: Final = Topic("onsite.fences", key="fence_id", compacted=True)
VISITS: Final = Topic("onsite.visits", key="device_id", retention_days=30)
LIVE: Final = Topic("onsite.live", key="device_id", compacted=True)
JOBS: Final = Topic("onsite.jobs", key="job_id", compacted=True)
JOB_COMMANDS: Final = Topic("onsite.jobs.commands", key="job_id")
JOB_ANSWERS: Final = Topic("onsite.jobs.answers", key="request_id", retention_days=1)
ETAS: Final = Topic("onsite.etas", key="job_id", compacted=True)
"""In the partition of its job; none of a job that nobody is awaited at any more."""
TRIPS: Final = Topic("onsite.trips", key="device_id", retention_days=30)
"""Ways that are over: every foreman learns from all of them."""
NOTIFICATIONS: Final = Topic("onsite.notifications", key="notice_id", compacted=True)
"""In the partition of its job: whoever has the job there has its notices."""
TRACKING: Final = Topic("onsite.tracking", key="job_id", compacted=True)
KEYS: Final = Topic("onsite.keys", key="key_id", compacted=True)
KEYS_USED: Final = Topic("onsite.keys.used", key="key_id", compacted=True)
ACCOUNTS: Final = Topic("onsite.accounts", key="name", compacted=True)
SESSIONS_ENDED: Final = Topic("onsite.sessions.ended", key="account/session_id", retention_days=90)
"""Kept for longer than a session lasts (``ONSITE_SIGN_IN_LONGEST_S``)."""
TECHNICIANS: Final = Topic("onsite.technicians", key="technician_id", compacted=True)
CUSTOMERS: Final = Topic("onsite.customers", key="customer_id", compacted=True)
SITES: Final = Topic("onsite.sites", key="site_id", compacted=True)
BRANCHES: Final = Topic("onsite.branches", key="branch", compacted=True)
DEPOTS: Final = Topic("onsite.depots", key="depot_id", compacted=True)
PLACES: Final = Topic("onsite.places", key="place_id", compacted=True)
REQUESTS: Final = Topic("onsite.requests", key="request_id", compacted=True)
STOCK: Final = Topic("onsite.stock", key="sku", retention_days=None)
"""All that moves of a sku is in one partition: in one order, and one notifier sees it."""
STOCK_THRESHOLDS: Final = Topic("onsite.stock.thresholds", key="kind:place_id, sku", compacted=True)
INVOICES: Final = Topic("onsite.invoices", key="job_id", compacted=True)
CALENDARS: Final = Topic("onsite.calendars", key="technician_id", compacted=True)
AUDIT: Final = Topic("onsite.audit", key="kind/id", retention_days=30)
EVENTS: Final = Topic("onsite.events", key="subject", retention_days=30)
WEBHOOKS: Final = Topic("onsite.webhooks", key="webhook_id", compacted=True)
WEBHOOK_REPLAYS: Final = Topic("onsite.webhooks.replays", key="subject")
WEBHOOK_DELIVERIES: Final = Topic("onsite.webhooks.deliveries", key="webhook_id", retention_days=30)
ERASURES: Final = Topic("onsite.erasures", key="erasure_id", compacted=True)
ERASURES_HONOURED: Final = Topic("onsite.erasures.honoured", key="erasure_id/part/partition", compacted=True)

TOPICS: Final = (
    PINGS,
    PINGS_REJECTED,
    FENCES,
    VISITS,
    LIVE,
    JOBS,
    JOB_COMMANDS,
    JOB_ANSWERS,
    ETAS,
    TRIPS,
    NOTIFICATIONS,
    TRACKING,
    KEYS,
    KEYS_USED,
    ACCOUNTS,
    SESSIONS_ENDED,
    TECHNICIANS,
    CUSTOMERS,
    SITES,
    BRANCHES,
    DEPOTS,
    PLACES,
    REQUESTS,
    STOCK,
    STOCK_THRESHOLDS,
    INVOICES,
    CALENDARS,
    AUDIT,
    EVENTS,
    WEBHOOKS,
    WEBHOOK_REPLAYS,
    WEBHOOK_DELIVERIES,
    ERASURES,
    ERASURES_HONOURED,
)

TRACKER_GROUP: Final = "onsite-tracker"
RECORDER_GROUP: Final = "onsite-recorder"
FOREMAN_GROUP: Final = "onsite-foreman"
NOTIFIER_GROUP: Final = "onsite-notifier"
"""Consumer groups. The tracker reads the recorder's offsets to know what the store has."""

ROUNDS: Final = Topic(f"{FOREMAN_GROUP}-rounds-changelog", key="device_id", compacted=True)
TOLD: Final = Topic(f"{NOTIFIER_GROUP}-told-changelog", key="job/job_id or visit/visit_id", compacted=True)
PENDING: Final = Topic(f"{NOTIFIER_GROUP}-pending-changelog", key="webhook_id/event_id", compacted=True)
"""What the tables of the foreman and the notifier are read back from; Faust makes them."""


MAX_RECORD_BYTES: Final = 1_000_000
"""Of one record's value; just under the broker's own default limit."""


class LogUnavailable(Exception):  # noqa: N818 -- a condition of the broker
    """The broker did not confirm in time: whether the records are in the log is unknown; append them again."""


class RecordTooLarge(ValueError):  # noqa: N818 -- a condition of the record
    """A record that the broker would refuse for its size, now and always."""
