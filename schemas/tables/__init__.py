"""The ClickHouse tables: which topic goes where. A new table is a file here and a line in ``TABLES``."""

from typing import Final

from schemas import topics
from schemas.tables.audit import AUDIT
from schemas.tables.etas import ETAS
from schemas.tables.events import EVENTS
from schemas.tables.fences import FENCES
from schemas.tables.invoices import INVOICES
from schemas.tables.jobs import JOBS
from schemas.tables.notifications import NOTIFICATIONS
from schemas.tables.pings import PINGS
from schemas.tables.ratings import RATINGS
from schemas.tables.registers import BRANCHES, CUSTOMERS, DEPOTS, SITES, TECHNICIANS
from schemas.tables.rejected import REJECTED
from schemas.tables.requests import REQUESTS
from schemas.tables.stock_movements import STOCK_MOVEMENTS
from schemas.tables.table import Table
from schemas.tables.visits import VISITS
from schemas.tables.webhook_deliveries import WEBHOOK_DELIVERIES

TABLES: Final[dict[str, Table]] = {
    topics.PINGS.name: PINGS,
    topics.PINGS_REJECTED.name: REJECTED,
    topics.VISITS.name: VISITS,
    topics.FENCES.name: FENCES,
    topics.JOBS.name: JOBS,
    topics.ETAS.name: ETAS,
    topics.TECHNICIANS.name: TECHNICIANS,
    topics.CUSTOMERS.name: CUSTOMERS,
    topics.SITES.name: SITES,
    topics.BRANCHES.name: BRANCHES,
    topics.DEPOTS.name: DEPOTS,
    topics.REQUESTS.name: REQUESTS,
    topics.STOCK.name: STOCK_MOVEMENTS,
    topics.INVOICES.name: INVOICES,
    topics.TRACKING.name: RATINGS,
    topics.AUDIT.name: AUDIT,
    topics.EVENTS.name: EVENTS,
    topics.WEBHOOK_DELIVERIES.name: WEBHOOK_DELIVERIES,
    topics.NOTIFICATIONS.name: NOTIFICATIONS,
}
"""Topic -> the table its records are inserted into."""
