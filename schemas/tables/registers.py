"""The tables of the registers: the newest record of each technician, customer, site, branch and depot."""

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import msgspec
import pyarrow as pa

from schemas import wire
from schemas.people import Technician
from schemas.places import Branch, Customer, Depot, Site
from schemas.tables.table import MOMENT, Table, moments


class _Kind(NamedTuple):
    """A type, as Arrow and as the store have it."""

    arrow: pa.DataType
    store: str


_TEXT: Final = _Kind(pa.string(), "String")
_TEXT_OR_NULL: Final = _Kind(pa.string(), "Nullable(String)")
_TEXTS: Final = _Kind(pa.list_(pa.string()), "Array(String)")
_BOOL: Final = _Kind(pa.bool_(), "Bool")
_BOOL_OR_NULL: Final = _Kind(pa.bool_(), "Nullable(Bool)")
_DEGREES_OR_NULL: Final = _Kind(pa.float64(), "Nullable(Float64)")
_MOMENT: Final = _Kind(MOMENT, "DateTime64(3, 'UTC')")
_MOMENT_OR_NULL: Final = _Kind(MOMENT, "Nullable(DateTime64(3, 'UTC'))")


class _Column(NamedTuple):
    """A column: the field of its name, or what ``read`` takes from a record."""

    name: str
    kind: _Kind
    comment: str
    read: Callable[[Any], Any] | None = None

    def values(self, records: Sequence[Any]) -> pa.Array:
        """Of each record one."""
        read = self.read
        found = [getattr(each, self.name) if read is None else read(each) for each in records]
        return moments(found) if self.kind.arrow == MOMENT else pa.array(found, self.kind.arrow)


_BRANCH: Final = _Column("branch", _TEXT_OR_NULL, "the branch it belongs to")
_ZONE: Final = _Column("time_zone", _TEXT_OR_NULL, "IANA name")
_FENCE: Final = _Column("fence_id", _TEXT_OR_NULL, "the fence that it is")
_CONTACT: Final = (
    _Column("phone", _TEXT_OR_NULL, "where they are called", lambda record: record.contact and record.contact.phone),
    _Column(
        "email", _TEXT_OR_NULL, "where they are written to", lambda record: record.contact and record.contact.email
    ),
)
_POINT: Final = (
    _Column("lat", _DEGREES_OR_NULL, "latitude in degrees"),
    _Column("lon", _DEGREES_OR_NULL, "longitude in degrees"),
)
_LAST: Final = (
    _Column("updated_at", _MOMENT, "when the record was last written"),
    _Column("removed_at", _MOMENT_OR_NULL, "when it was removed; NULL = it stands"),
)

_REGISTERS: Final[dict[str, tuple[type[msgspec.Struct], str, tuple[_Column, ...]]]] = {
    "technicians": (
        Technician,
        "who works in the field",
        (
            _Column("technician_id", _TEXT, "the technician"),
            _Column("name", _TEXT, "for people"),
            _BRANCH,
            _Column("skills", _TEXTS, "what they can do"),
            _Column("device_ids", _TEXTS, "the devices they hold"),
            _Column(
                "shifts",
                _TEXT,
                "when they work, JSON; [] = nobody knows",
                lambda each: wire.encode(each.shifts).decode(),
            ),
            _Column("depot_fence_id", _TEXT_OR_NULL, "the fence they start from"),
            *_CONTACT,
            _Column("auto_logging", _BOOL_OR_NULL, "whether visits move their jobs on; NULL = as the branch has it"),
            *_LAST,
        ),
    ),
    "customers": (
        Customer,
        "who jobs are for",
        (
            _Column("customer_id", _TEXT, "the customer"),
            _Column("name", _TEXT, "for people"),
            _BRANCH,
            *_CONTACT,
            _ZONE,
            _Column("language", _TEXT_OR_NULL, "that notices are written in"),
            _Column("opt_out", _BOOL, "no notices, whatever happens"),
            *_LAST,
        ),
    ),
    "sites": (
        Site,
        "where customers are visited",
        (
            _Column("site_id", _TEXT, "the site"),
            _Column("customer_id", _TEXT_OR_NULL, "whose it is"),
            _Column("name", _TEXT, "for people"),
            _BRANCH,
            _FENCE,
            _Column("address", _TEXT_OR_NULL, "as people write it"),
            *_POINT,
            *_LAST,
        ),
    ),
    "branches": (
        Branch,
        "parts of the company",
        (
            _Column("branch", _TEXT, "the branch"),
            _Column("name", _TEXT, "for people"),
            _Column("region", _TEXT_OR_NULL, "the branch that it is a part of"),
            _ZONE,
            _Column("auto_logging", _BOOL_OR_NULL, "whether visits move jobs on; NULL = as the tenant has it"),
            *_LAST,
        ),
    ),
    "depots": (
        Depot,
        "where technicians start from",
        (
            _Column("depot_id", _TEXT, "the depot"),
            _Column("name", _TEXT, "for people"),
            _BRANCH,
            _FENCE,
            *_POINT,
            *_LAST,
        ),
    ),
}
"""Table -> its records, what they are, and its columns; the first is the key."""


def _table(name: str) -> Table:
    record, what, columns = _REGISTERS[name]
    schema = pa.schema([(column.name, column.kind.arrow) for column in columns])
    lines = ",\n".join(
        f"    {column.name} {column.kind.store} CODEC(ZSTD(1)) COMMENT '{column.comment}'" for column in columns
    )

    def ddl(database: str, retention_days: int) -> tuple[str, ...]:  # noqa: ARG001 -- people and places are kept
        return (
            f"""
CREATE TABLE IF NOT EXISTS {database}.{name}
(
{lines}
)
ENGINE = ReplacingMergeTree(updated_at)
ORDER BY {columns[0].name}
COMMENT '{what}, the newest record of each; read with FINAL'
""",
        )

    def batch(records: Sequence[Any]) -> pa.RecordBatch:
        return pa.record_batch({column.name: column.values(records) for column in columns}, schema=schema)

    return Table(name, ddl, record, schema, batch)


TECHNICIANS: Final = _table("technicians")
CUSTOMERS: Final = _table("customers")
SITES: Final = _table("sites")
BRANCHES: Final = _table("branches")
DEPOTS: Final = _table("depots")


def statements(database: str, retention_days: int) -> tuple[str, ...]:
    """All five; a record that is written again replaces the one before."""
    tables = (TECHNICIANS, CUSTOMERS, SITES, BRANCHES, DEPOTS)
    return tuple(line for table in tables for line in table.statements(database, retention_days))
