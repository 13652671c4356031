"""Looking an address up: as a person has corrected it, else as the geocoder has it."""

import asyncio
from typing import Final, NamedTuple

from api.read_model import is_gone
from api.services import Services
from routing.addresses.geocoder import GeocoderUnavailable
from routing.addresses.matching import verdict_on
from routing.addresses.words import words_of
from schemas.found_place import FoundPlace, Geocoded
from schemas.remembered_place import RememberedPlace

WAIT_S: Final = 10.0
"""Nobody waits for longer, whatever the geocoder does."""


class LookedUp(NamedTuple):
    """What came of it; without a place ``lat``, ``lon`` and ``fence_id`` are None."""

    geocoded: Geocoded
    lat: float | None = None
    lon: float | None = None
    fence_id: str | None = None


async def look_up(address: str, branch: str | None, customer_id: str | None, services: Services) -> LookedUp:
    """The place of an address, or why there is none: what fails here is no reason to refuse anything."""
    found = await _looked_up(address, branch, customer_id, services)
    services.metrics.addresses.labels(found.geocoded.status).inc()
    return found


async def _looked_up(address: str, branch: str | None, customer_id: str | None, services: Services) -> LookedUp:
    now_ms = services.clock.now_ms()
    words = words_of(address)
    if not words:
        return LookedUp(Geocoded("not_found", now_ms))
    known = services.remembered.of_address(branch, customer_id, words)
    if known is not None:
        geocoded = Geocoded("found", now_ms, "remembered", "house", label=known.address)
        fence = None if known.fence_id is None else services.fences.records.get(known.fence_id)
        fence_id = None if fence is None or is_gone(fence, now_ms) else fence.fence_id
        return LookedUp(geocoded, known.lat, known.lon, fence_id)
    if not services.geocoder.is_there:
        return LookedUp(Geocoded("no_geocoder", now_ms))
    try:
        async with asyncio.timeout(WAIT_S):
            status, best = verdict_on(await services.geocoder.find(address))
    except (GeocoderUnavailable, TimeoutError):
        return LookedUp(Geocoded("unavailable", now_ms))
    if best is None:
        return LookedUp(Geocoded(status, now_ms))
    geocoded = Geocoded("found", now_ms, best.source, best.kind, best.precision_m, best.label)
    return LookedUp(geocoded, best.lat, best.lon)


def candidate_of(place: RememberedPlace) -> FoundPlace:
    """A remembered place as a candidate."""
    return FoundPlace(place.address, place.lat, place.lon, "house", 0.0, "remembered", is_exact=True)
