"""A body's way in: read by its protocol, sifted by shifts, kept by the broker, what is refused with its reason."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from api.auth import Principal
from api.erasure.book import CODE as ERASED
from api.http.problems import Problem
from api.ingest.shift_gate import CODE as OFF_SHIFT
from api.services import Services
from schemas import wire
from schemas.ping import Ping
from schemas.protocols import PROTOCOLS, BodyError, Rejected
from schemas.rejected import RejectedPing, text_of
from schemas.times import Instant
from schemas.topics import PINGS, PINGS_REJECTED

_SLICE_PINGS: Final = 500
_DROPPED: Final = f"{OFF_SHIFT}: taken outside the shift of who holds the device; nothing of it is kept"
_GONE: Final = f"{ERASED}: what this device did then was erased; nothing of it is kept"
_NOT_KEPT: Final = "what it says is not kept, it may have been said outside a shift"
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True)
class Taken:
    """What became of a body: so many pings that the broker has, and the items refused or dropped, in their order."""

    accepted: int
    rejected: list[Rejected]


async def take_in(
    services: Services,
    principal: Principal,
    protocol: str,
    body: bytes,
    parameters: Mapping[str, str],
    received_ms: int,
) -> Taken:
    """Read a body and return once the broker has its pings.

    Raises Problem 400 for a body that is not of the protocol, 403 for pings of another device than the
    token's, 413 for too many, 503 while the broker is away, or who works when has not been read.
    """
    services.shift_gate.ensure_known()
    services.erasures.ensure_known()
    pings, rejected = await _read(protocol, body, parameters, received_ms, services.settings.max_batch_pings)
    _require_own(principal, pings)
    services.rates.took_pings(principal, len(pings) + len(rejected))
    pings, dropped = await _sifted(services, pings, rejected)
    kept = [_without_content(each, principal, services) for each in rejected]
    await _append(services, protocol, pings, kept, received_ms)
    told = sorted([*kept, *dropped], key=lambda each: each.index) if dropped else kept
    _count(services, pings, told)
    return Taken(len(pings), told)


async def _read(
    protocol: str, body: bytes, parameters: Mapping[str, str], received_ms: int, limit: int
) -> tuple[list[Ping], list[Rejected]]:
    pings: list[Ping] = []
    rejected: list[Rejected] = []
    try:
        for item in PROTOCOLS[protocol].read(body, parameters, received_ms):
            if isinstance(item, Ping):
                pings.append(item)
            else:
                rejected.append(item)
            count = len(pings) + len(rejected)
            if count > limit:  # the rest is not even read: two megabytes hold 700,000 items
                raise Problem(413, "too_many_pings", f"more than {limit} pings", limit_pings=limit)
            if not count % _SLICE_PINGS:
                await asyncio.sleep(0)  # other requests are served between
    except BodyError as error:
        raise Problem(400, "malformed_body", str(error)) from error
    return pings, rejected


def _require_own(principal: Principal, pings: Sequence[Ping]) -> None:
    """Of a device token that speaks for another device nothing is believed."""
    own = principal.device_id
    if own is not None and any(ping.device_id != own for ping in pings):
        raise Problem(403, "foreign_device", f"the token is for the device {own!r} and posts for another")


async def _sifted(
    services: Services, pings: list[Ping], rejected: Sequence[Rejected]
) -> tuple[list[Ping], list[Rejected]]:
    """The pings to be kept, and for each that is dropped a word without its content."""
    out: dict[int, tuple[str, str]] = {}
    for first in range(0, len(pings), _SLICE_PINGS):
        some = pings[first : first + _SLICE_PINGS]
        out |= {first + place: (OFF_SHIFT, _DROPPED) for place in services.shift_gate.dropped(some)}
        out |= {first + place: (ERASED, _GONE) for place in services.erasures.dropped(some)}
        if first:
            await asyncio.sleep(0)  # other requests are served between
    if not out:
        return pings, []
    refused = {each.index for each in rejected}
    indices = [index for index in range(len(pings) + len(rejected)) if index not in refused]
    dropped = [Rejected(indices[place], *out[place], b"", pings[place].device_id) for place in sorted(out)]
    return [ping for place, ping in enumerate(pings) if place not in out], dropped


def _without_content(rejected: Rejected, principal: Principal, services: Services) -> Rejected:
    """What of a refused item may be kept: nothing of what it says, where it may have been taken off shift."""
    of = [each for each in (rejected.device_id, principal.device_id) if each]
    if services.shift_gate.may_keep(of):
        return rejected
    return replace(rejected, reason=f"{rejected.code}: {_NOT_KEPT}", raw=b"")


async def _append(
    services: Services, protocol: str, pings: list[Ping], rejected: list[Rejected], received_ms: int
) -> None:
    if rejected:
        await asyncio.gather(
            _append_pings(services, pings), _append_rejected(services, protocol, rejected, received_ms)
        )
    else:
        await _append_pings(services, pings)  # by far the most: spares two tasks


async def _append_pings(services: Services, pings: list[Ping]) -> None:
    """Slice after slice, so that no more of a backlog than one of them is in the way of live pings."""
    for first in range(0, len(pings), _SLICE_PINGS):
        records = [(ping.device_id, _encode(ping)) for ping in pings[first : first + _SLICE_PINGS]]
        await services.log.append(PINGS, records)


async def _append_rejected(services: Services, protocol: str, rejected: list[Rejected], received_ms: int) -> None:
    for first in range(0, len(rejected), _SLICE_PINGS):
        records = [
            (each.device_id, wire.encode(_record_of(each, protocol, received_ms)))
            for each in rejected[first : first + _SLICE_PINGS]
        ]
        await services.log.append(PINGS_REJECTED, records)


def _record_of(rejected: Rejected, protocol: str, received_ms: int) -> RejectedPing:
    return RejectedPing(
        device_id=rejected.device_id,
        code=rejected.code,
        reason=rejected.reason,
        received_at=Instant(received_ms),
        protocol=protocol,
        raw=text_of(rejected.raw),
    )


def _count(services: Services, pings: list[Ping], rejected: list[Rejected]) -> None:
    services.metrics.pings_accepted.inc(len(pings))
    if rejected:
        for code, count in Counter(each.code for each in rejected).items():
            services.metrics.pings_rejected.labels(code).inc(count)
