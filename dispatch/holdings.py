"""Who held which device when, from the revisions of technicians' records. Pure."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from dispatch.spans import Span

BEGINNING_MS = 0


@dataclass(frozen=True, order=True)
class Revision:
    """From ``at_ms`` on a technician held these devices, until the next revision of theirs."""

    at_ms: int
    technician_id: str
    device_ids: tuple[str, ...] = ()


def held(technician_id: str, revisions: Iterable[Revision], now_ms: int) -> dict[str, list[Span]]:
    """By device, when (epoch ms) this technician held it, up to now; ``revisions`` are those of everybody.

    Where several say that they hold a device it is the one whose id comes first, as for ``Holders``. What a device did
    before anybody held it belongs to who held it first.
    """
    in_order = sorted(set(revisions))
    devices = {each for revision in in_order if revision.technician_id == technician_id for each in revision.device_ids}
    found = {device_id: _held(technician_id, device_id, in_order, now_ms) for device_id in sorted(devices)}
    return {device_id: spans for device_id, spans in found.items() if spans}


def _held(technician_id: str, device_id: str, revisions: Collection[Revision], now_ms: int) -> list[Span]:
    claiming: set[str] = set()
    holder: str | None = None
    since_ms = BEGINNING_MS
    spans: list[Span] = []
    for revision in revisions:
        (claiming.add if device_id in revision.device_ids else claiming.discard)(revision.technician_id)
        now_holds = min(claiming, default=None)
        if now_holds == holder:
            continue
        if holder == technician_id and since_ms < revision.at_ms:
            spans.append(Span(since_ms, revision.at_ms))
        if holder is not None or since_ms != BEGINNING_MS:
            since_ms = revision.at_ms
        holder = now_holds
    if holder == technician_id and since_ms < now_ms:
        spans.append(Span(since_ms, now_ms))
    return spans
