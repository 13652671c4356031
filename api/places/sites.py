"""Where sites are that state an address alone: it is looked up when it is stated, and the point stands in the site."""

from typing import Any, TypeVar

import msgspec

from api.places.geocoding import LookedUp, look_up
from api.registers.entries import content_of, patched
from api.registers.registry import Entry, Register
from api.services import Services
from schemas.merge_patch import merged
from schemas.places import Site
from schemas.times import Instant

E = TypeVar("E", bound=Entry)


async def place_of(stated: object, before: Site | None, services: Services) -> LookedUp | None:
    """What comes of looking up the address of a new site (``before`` None), or of one that is patched.

    None where it needs no looking up: the place is stated, or what was found for the same address still holds.
    """
    content: Any = merged({} if before is None else content_of(before), stated)
    if not isinstance(content, dict) or content.get("fence_id") is not None or content.get("lat") is not None:
        return None
    address, branch, customer_id = (content.get(name) for name in ("address", "branch", "customer_id"))
    if not isinstance(address, str) or not all(each is None or isinstance(each, str) for each in (branch, customer_id)):
        return None
    known = before.geocoded if before is not None and before.address == address else None
    if before is not None and known is not None and known.status not in ("unavailable", "no_geocoder"):
        return LookedUp(known, before.lat, before.lon)
    return await look_up(address, branch, customer_id, services)


def at_place(entry: E, found: LookedUp | None) -> E:
    """The site with what was found for its address; other entries as they are."""
    if found is None or not isinstance(entry, Site):
        return entry
    return msgspec.structs.replace(entry, lat=found.lat, lon=found.lon, geocoded=found.geocoded)


def patched_at(register: Register, before: Entry, patch: object, found: LookedUp | None, now_ms: Instant) -> Entry:
    """The entry after a JSON merge patch, where it is; the very same one when nothing has changed."""
    after = patched(register, before, patch, now_ms)
    if found is None or not isinstance(before, Site):
        return after
    if after is before:
        at = before.lat, before.lon, None if before.geocoded is None else before.geocoded.status
        if at == (found.lat, found.lon, found.geocoded.status):
            return before
        after = msgspec.structs.replace(before, updated_at=Instant(max(now_ms, before.updated_at + 1)))
    return at_place(after, found)
