"""Devices: where they are, and where they were."""

import asyncio
from typing import Annotated, Final

import numpy as np
from fastapi import APIRouter, Depends, Path, Query

from api import examples
from api.auth.scope import Scope
from api.auth.scoped import scoped
from api.history import track
from api.http.answers import JSONAnswer, NearbyTechnician, NearestAnswer, Page, write_cursor
from api.http.parameters import Cursor, From, Limit, To, cursor_key
from api.http.problems import Problem, unavailable
from api.read_model import device_of, page_of
from api.services import Reach, Services
from dispatch.nearest import Nearby, candidates_for, soonest
from schemas.times import Instant

router = APIRouter(tags=["devices"])

MAX_TRACK_POINTS: Final = 100_000
_DAY_MS: Final = 86_400_000

Seen = Annotated[Scope, Depends(scoped("devices:read"))]
DeviceId = Annotated[str, Path(description="the device's id")]


@router.get(
    "/v1/devices",
    summary="List devices",
    responses=examples.answers(200, "Some devices, by id", "DevicePage", examples.devices.DEVICES, 400, 503),
)
async def list_devices(services: Reach, scope: Seen, limit: Limit = 100, cursor: Cursor = None) -> JSONAnswer:
    """Live states of all devices that ever had a fix, by id; of those in branches that the asker sees."""
    _require_live(services)
    seen = services.live.records
    if not scope.is_whole:
        seen = {device_id: live for device_id, live in seen.items() if scope.sees_device(device_id)}
    found, last = page_of(seen, cursor_key(cursor), limit)
    now_ms, unknown_after_s = services.clock.now_ms(), services.settings.unknown_after_s
    devices = [device_of(live, now_ms, unknown_after_s) for live in found]
    return JSONAnswer(Page(devices, None if last is None else write_cursor(last)))


@router.get(
    "/v1/devices/nearest",
    summary="The nearest technicians",
    responses=examples.answers(200, "The nearest first", "NearestAnswer", examples.devices.NEAREST, 400, 503),
)
async def nearest_technicians(
    services: Reach,
    scope: Seen,
    lat: Annotated[float, Query(ge=-90, le=90, description="degrees")],
    lon: Annotated[float, Query(ge=-180, le=180, description="degrees")],
    radius_m: Annotated[float, Query(gt=0, description="no farther than this, metres")] = 100_000.0,
    limit: Annotated[int, Query(ge=1, le=100, description="how many at most")] = 10,
    skills: Annotated[list[str] | None, Query(description="with all of these; named again or with commas")] = None,
    available: Annotated[bool, Query(description="only those on shift who are not at a job")] = False,
    max_age_s: Annotated[float, Query(gt=0, description="only those seen within the last seconds")] = 3_600.0,
) -> JSONAnswer:
    """Technicians by when they can be there from where their devices were last, by road where a map is loaded.

    `travel_s` and `eta` are by `provider`; without a map that is the straight line, lengthened as roads are.
    `distance_m`, like `radius_m`, is by the straight line always. `available` says who is on shift and at no job; of
    the others, `free_at` when their job is expected to end. A device that nobody holds stands for a technician of its
    own name.
    """
    _require_live(services)
    now_ms = services.clock.now_ms()
    by_road = services.roads.are_known()
    found = services.nearby.nearest(
        lat,
        lon,
        at_ms=now_ms,
        limit=candidates_for(limit) if by_road else limit,
        radius_m=radius_m,
        skills=frozenset(skill.strip() for each in skills or () for skill in each.split(",") if skill.strip()),
        available=available,
        max_age_s=max_age_s,
        branches=scope.branches_seen(),
    )
    if by_road and found:
        start_lat, start_lon = np.array([[each.lat, each.lon] for each in found]).T
        there_lat, there_lon = np.full(len(found), lat), np.full(len(found), lon)
        ways = await services.roads.ways(start_lat, start_lon, there_lat, there_lon)
        found = found[:limit] if ways is None else soonest(found, ways, limit)
    name_of = services.nearby.name_of
    return JSONAnswer(NearestAnswer([_nearby(each, name_of(each.technician_id), now_ms) for each in found]))


@router.get(
    "/v1/devices/{device_id}",
    summary="One device",
    responses=examples.answers(200, "Its live state", "Device", examples.devices.DEVICE, 404, 503),
)
async def get_device(services: Reach, scope: Seen, device_id: DeviceId) -> JSONAnswer:
    """The newest fix, its age, what the device is doing and the visits it is on."""
    _require_live(services)
    live = services.live.records.get(device_id)
    if live is None or not scope.sees_device(device_id):
        raise _unknown(device_id)
    return JSONAnswer(device_of(live, services.clock.now_ms(), services.settings.unknown_after_s))


@router.get(
    "/v1/devices/{device_id}/track",
    summary="The way of a device",
    responses=examples.answers(200, "A GeoJSON Feature", None, examples.devices.TRACK, 400, 404, 503),
)
async def get_track(
    services: Reach,
    scope: Seen,
    device_id: DeviceId,
    from_ms: From = None,
    to_ms: To = None,
    simplify_m: Annotated[float, Query(ge=0, description="leave out points that lie closer to the line, metres")] = 0.0,
) -> JSONAnswer:
    """Fixes of [from, to) as a LineString with a time for each position; by default the day up to now.

    Its geometry is null where there is no fix, a Point where there is one.
    """
    until_ms = services.clock.now_ms() if to_ms is None else to_ms
    since_ms = until_ms - _DAY_MS if from_ms is None else from_ms
    if since_ms >= until_ms:
        raise Problem(400, "invalid_request", "from is not before to")
    if not scope.sees_device(device_id):
        raise _unknown(device_id)
    pings = await services.history.track(device_id, since_ms, until_ms, MAX_TRACK_POINTS + 1)
    if not pings and services.live.is_caught_up and device_id not in services.live.records:
        raise _unknown(device_id)
    feature = await asyncio.to_thread(track.feature_of, device_id, pings[:MAX_TRACK_POINTS], simplify_m)
    feature["properties"]["truncated"] = len(pings) > MAX_TRACK_POINTS
    return JSONAnswer(feature, media_type="application/geo+json")


def _unknown(device_id: str) -> Problem:
    return Problem(404, "unknown_device", f"no fix of a device {device_id!r} was ever seen")


def _nearby(found: Nearby, name: str, now_ms: int) -> NearbyTechnician:
    return NearbyTechnician(
        found.technician_id,
        name,
        found.distance_m,
        found.travel_s,
        Instant(now_ms + round(1000 * found.travel_s)),
        found.provider,
        found.lat,
        found.lon,
        Instant(found.at_ms),
        found.on_shift and found.job_id is None,
        found.on_shift,
        found.job_id,
        None if found.free_at_ms is None else Instant(found.free_at_ms),
    )


def _require_live(services: Services) -> None:
    if not services.live.is_caught_up:
        raise unavailable("the live states are still being read")
