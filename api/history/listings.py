"""What can be listed from the store, a page at a time: which columns, by which filters, in which order."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Generic, TypeAlias, TypeVar

from api.ports import (
    AuditQuery,
    DeliveryQuery,
    EtaQuery,
    EventQuery,
    MovementQuery,
    NoticeQuery,
    RejectedQuery,
    VisitQuery,
)
from schemas.tables import (
    audit,
    etas,
    events,
    notifications,
    rejected,
    stock_movements,
    visits,
    webhook_deliveries,
)

Record = TypeVar("Record")

Query: TypeAlias = (
    AuditQuery | DeliveryQuery | EtaQuery | EventQuery | MovementQuery | NoticeQuery | RejectedQuery | VisitQuery
)


@dataclass(frozen=True)
class Listing(Generic[Record]):
    """How the newest of each record of a table are read.

    Pages go by ``moment`` and ``id``, two expressions. ``filters`` has what each field of a query asks for, every value
    a bound parameter of the field's name; ``unless_stated`` what holds where a field says nothing.
    """

    table: str
    selected: str
    of_rows: Callable[[Iterable[Sequence[Any]]], list[Record]]
    moment: str
    id: str
    filters: Mapping[str, str]
    newest_first: bool = True
    unless_stated: Mapping[str, str] = field(default_factory=dict)

    def statement(self, query: Query) -> tuple[str, dict[str, Any]]:
        """The SQL of the page that a query asks for, and its parameters."""
        stated = {name: value for name in self.filters if (value := getattr(query, name)) is not None}
        conditions = [self.filters[name] for name in stated]
        conditions += [condition for name, condition in self.unless_stated.items() if name not in stated]
        parameters = {name: list(value) if isinstance(value, tuple) else value for name, value in stated.items()}
        if not isinstance(query, EventQuery) and query.after is not None:
            parameters["after_ms"], parameters["after_id"] = query.after
            conditions.append(
                f"({self.moment}, {self.id}) {'<' if self.newest_first else '>'} "
                "(fromUnixTimestamp64Milli({after_ms:Int64}, 'UTC'), {after_id:String})"
            )
        way = " DESC" if self.newest_first else ""
        sql = (
            f"SELECT {self.selected} FROM {self.table} FINAL WHERE {' AND '.join(conditions) or 'true'} "
            f"ORDER BY {self.moment}{way}, {self.id}{way} LIMIT {{limit:UInt32}}"
        )
        return sql, {**parameters, "limit": query.limit}


def _within(moment: str) -> dict[str, str]:
    """That a moment lies in [``from_ms``, ``to_ms``)."""
    return {
        "from_ms": f"{moment} >= fromUnixTimestamp64Milli({{from_ms:Int64}}, 'UTC')",
        "to_ms": f"{moment} < fromUnixTimestamp64Milli({{to_ms:Int64}}, 'UTC')",
    }


_DEVICES_OF_BRANCHES: Final = """
device_id IN (
    SELECT arrayJoin(device_ids) FROM technicians FINAL
    WHERE removed_at IS NULL AND has({branches:Array(String)}, ifNull(branch, ''))
)"""
"""The devices that technicians of some branches hold."""

_FENCES_OF_BRANCHES: Final = """
fence_id IN (
    SELECT fence_id FROM fences FINAL
    GROUP BY fence_id HAVING has({branches:Array(String)}, ifNull(argMax(tuple(branch), version).1, ''))
)"""
"""The fences whose newest version is of one of the branches; a tuple, as argMax passes over NULL."""

_HOLDERS_OF_BRANCHES: Final = """(
    SELECT kind, id FROM (
        SELECT 'van' AS kind, technician_id AS id, branch FROM technicians FINAL
        UNION ALL SELECT 'depot' AS kind, depot_id AS id, branch FROM depots FINAL
    ) WHERE has({branches:Array(String)}, ifNull(branch, ''))
)"""
"""The vans and depots of some branches, removed ones too."""

VISITS: Final = Listing(
    "visits",
    visits.SELECTED,
    visits.of_rows,
    "arrived_at",
    "visit_id",
    {
        "device_id": "device_id = {device_id:String}",
        "fence_id": "fence_id = {fence_id:String}",
        "fence_ids": "has({fence_ids:Array(String)}, fence_id)",
        "visit_ids": "has({visit_ids:Array(String)}, visit_id)",
        "state": "state = {state:String}",
        "from_ms": "(departed_at IS NULL OR departed_at > fromUnixTimestamp64Milli({from_ms:Int64}, 'UTC'))",
        "to_ms": "arrived_at < fromUnixTimestamp64Milli({to_ms:Int64}, 'UTC')",
        "branches": f"({_DEVICES_OF_BRANCHES} OR {_FENCES_OF_BRANCHES})",
    },
    newest_first=False,
    unless_stated={"state": "state != 'retracted'"},
)

LATEST_VISITS: Final = replace(VISITS, newest_first=True)

REJECTED: Final = Listing(
    "rejected",
    rejected.SELECTED,
    rejected.of_rows,
    "received_at",
    "content_id",
    {
        "device_id": "device_id = {device_id:String}",
        "code": "code = {code:String}",
        **_within("received_at"),
        "branches": _DEVICES_OF_BRANCHES,
    },
)

ETAS: Final = Listing(
    "etas",
    etas.SELECTED,
    etas.of_rows,
    "computed_at",
    "job_id",
    {"device_id": "device_id = {device_id:String}"},
    newest_first=False,
)

AUDIT: Final = Listing(
    "audit",
    audit.SELECTED,
    audit.of_rows,
    "at",
    "audit_id",
    {
        "kind": "kind = {kind:String}",
        "thing_id": "id = {thing_id:String}",
        "actor": "actor_id = {actor:String}",
        **_within("at"),
        "branches": "has({branches:Array(String)}, ifNull(branch, ''))",
    },
)

EVENTS: Final = Listing(
    "events",
    events.SELECTED,
    events.of_rows,
    "recorded_at",
    "event_id",
    {
        "types": (
            "arrayExists(each -> if(endsWith(each, '*'), startsWith(type, trimRight(each, '*')), type = each), "
            "{types:Array(String)})"
        ),
        **_within("recorded_at"),
        "event_ids": "event_id IN {event_ids:Array(String)}",
        "branches": "hasAny({branches:Array(String)}, [ifNull(branch, ''), ifNull(branch_of_fence, '')])",
    },
    newest_first=False,
)

DELIVERIES: Final = Listing(
    "webhook_deliveries",
    webhook_deliveries.SELECTED,
    webhook_deliveries.of_rows,
    "at",
    "event_id",
    {"webhook_id": "webhook_id = {webhook_id:String}", "outcome": "outcome = {outcome:String}"},
)

NOTICES: Final = Listing(
    "notifications",
    notifications.SELECTED,
    notifications.of_rows,
    "created_at",
    "notice_id",
    {
        "job_id": "job_id = {job_id:String}",
        "status": "status = {status:String}",
        "audience": "audience = {audience:String}",
        "kind": "kind = {kind:String}",
        "recipient_id": "recipient_id = {recipient_id:String}",
        **_within("created_at"),
        "branches": "has({branches:Array(String)}, ifNull(branch, ''))",
    },
)

MOVEMENTS: Final = Listing(
    "stock_movements",
    stock_movements.SELECTED,
    stock_movements.of_rows,
    "stock_movements.at",
    "concat(movement_id, '\\n', sku)",
    {
        "holder": (
            "((from_kind = {holder:Array(String)}[1] AND from_id = {holder:Array(String)}[2]) "
            "OR (to_kind = {holder:Array(String)}[1] AND to_id = {holder:Array(String)}[2]))"
        ),
        "sku": "sku = {sku:String}",
        "job_id": (
            "((from_kind = 'job' AND from_id = {job_id:String}) OR (to_kind = 'job' AND to_id = {job_id:String}))"
        ),
        **_within("stock_movements.at"),
        "branches": (
            f"((toString(from_kind), from_id) IN {_HOLDERS_OF_BRANCHES} "
            f"OR (toString(to_kind), to_id) IN {_HOLDERS_OF_BRANCHES})"
        ),
    },
)
