"""Customers and their sites, branches and depots: compacted topics, each record whole."""

from collections.abc import Collection, Mapping

import msgspec

from schemas.found_place import Geocoded
from schemas.people import Contact, Id, Label, zone_of
from schemas.times import Instant


class Customer(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """Who a job is for. ``opt_out``: no notices, whatever happens."""

    customer_id: Id
    name: Label
    branch: str | None = None
    contact: Contact | None = None
    time_zone: str | None = None
    language: str | None = None
    opt_out: bool = False
    updated_at: Instant = msgspec.field(default_factory=Instant)
    removed_at: Instant | None = None

    def __post_init__(self) -> None:
        if self.time_zone is not None:
            zone_of(self.time_zone)


class Site(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """Where a customer is visited: a fence, an address, or a point that an address was found at or corrected to.

    ``geocoded`` is what came of looking the address up, None where the point is stated, or corrected by a person.
    """

    site_id: Id
    customer_id: str | None = None
    name: str = ""
    branch: str | None = None
    fence_id: str | None = None
    address: str | None = None
    lat: float | None = None
    lon: float | None = None
    geocoded: Geocoded | None = None
    updated_at: Instant = msgspec.field(default_factory=Instant)
    removed_at: Instant | None = None

    def __post_init__(self) -> None:
        require_point(self.lat, self.lon)


class Branch(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """A part of the company. ``region`` is a branch too: who may see a region sees all branches in it.

    ``auto_logging``: whether visits move jobs on; None: as the tenant has it.
    """

    branch: Id
    name: Label
    region: str | None = None
    time_zone: str | None = None
    auto_logging: bool | None = None
    updated_at: Instant = msgspec.field(default_factory=Instant)
    removed_at: Instant | None = None

    def __post_init__(self) -> None:
        if self.time_zone is not None:
            zone_of(self.time_zone)


class Depot(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """Where technicians start from and stock is kept."""

    depot_id: Id
    name: Label
    branch: str | None = None
    fence_id: str | None = None
    lat: float | None = None
    lon: float | None = None
    updated_at: Instant = msgspec.field(default_factory=Instant)
    removed_at: Instant | None = None

    def __post_init__(self) -> None:
        require_point(self.lat, self.lon)


def require_point(lat: float | None, lon: float | None) -> None:
    """Raise ValueError unless both are stated and on the globe, or neither is."""
    if (lat is None) != (lon is None):
        raise ValueError("lat and lon are stated together")
    if lat is not None and lon is not None and not (-90.0 <= lat <= 90.0 and -180.0 <= lon <= 180.0):
        raise ValueError(f"({lat}, {lon}) is no point on the globe")


def lies_within(branch: str | None, regions: Collection[str], branches: Mapping[str, Branch]) -> bool:
    """Whether a branch is one of the regions, or a part of one; regions that are parts of each other end nowhere."""
    passed: set[str] = set()
    while branch is not None and branch not in passed:
        if branch in regions:
            return True
        passed.add(branch)
        above = branches.get(branch)
        branch = None if above is None else above.region
    return False
