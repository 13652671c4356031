"""The registers: who and what there is besides devices and fences. One entry a register; all else follows from it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from api import examples
from api.auth.permissions import Permission
from schemas import topics
from schemas.people import Technician
from schemas.places import Branch, Customer, Depot, Site
from schemas.topics import Topic

Entry: TypeAlias = Technician | Customer | Site | Branch | Depot
Name = Literal["technicians", "customers", "sites", "branches", "depots"]
Kind = Literal["technician", "customer", "site", "branch", "depot"]


@dataclass(frozen=True)
class Register:
    """``key`` is the field with the id. ``filters`` are the fields that lists are filtered by, by query parameter.

    ``references`` are the fields that name something else: in which register it has to stand, or ``fences``.
    """

    name: Name
    kind: Kind
    topic: Topic
    record: type[Entry]
    key: str
    filters: Mapping[str, str]
    references: Mapping[str, str]
    read: Permission
    write: Permission
    example: Mapping[str, Any]


REGISTERS: Final[dict[Name, Register]] = {
    "technicians": Register(
        "technicians",
        "technician",
        topics.TECHNICIANS,
        Technician,
        "technician_id",
        {"branch": "branch", "skill": "skills", "device": "device_ids"},
        {"branch": "branches", "depot_fence_id": "fences"},
        "people:read",
        "people:write",
        examples.people.TECHNICIAN,
    ),
    "customers": Register(
        "customers",
        "customer",
        topics.CUSTOMERS,
        Customer,
        "customer_id",
        {"branch": "branch"},
        {"branch": "branches"},
        "customers:read",
        "customers:write",
        examples.people.CUSTOMER,
    ),
    "sites": Register(
        "sites",
        "site",
        topics.SITES,
        Site,
        "site_id",
        {"branch": "branch", "customer": "customer_id"},
        {"branch": "branches", "customer_id": "customers", "fence_id": "fences"},
        "customers:read",
        "customers:write",
        examples.people.SITE,
    ),
    "branches": Register(
        "branches",
        "branch",
        topics.BRANCHES,
        Branch,
        "branch",
        {"region": "region"},
        {"region": "branches"},
        "branches:read",
        "branches:write",
        examples.people.BRANCH,
    ),
    "depots": Register(
        "depots",
        "depot",
        topics.DEPOTS,
        Depot,
        "depot_id",
        {"branch": "branch"},
        {"branch": "branches", "fence_id": "fences"},
        "people:read",
        "people:write",
        examples.people.DEPOT,
    ),
}
