"""From the bytes of a frame to the columns that the tracker folds. No object is made of a ping that reads plainly."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numba as nb
import numpy as np
import numpy.typing as npt

from geofence.fixes import Fixes
from schemas.ping import Ping
from stream.decode import decode_pings
from stream.scan import ACCURACY, LAT, LON, SPEED, TS, scan
from stream.values import Values

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class PingColumns:
    """The pings of a frame in its order.

    ``device`` int64[n] tells whose each one is among ``device_ids``, where a device may be named twice; ``record``
    int64[n], which record of the frame it was. ``bad`` is (record, reason) of every one left out.
    """

    device_ids: list[str]
    device: Ints
    fixes: Fixes
    record: Ints
    bad: list[tuple[int, str]]

    @classmethod
    def of_pings(cls, pings: Sequence[Ping]) -> Self:
        """Each of them a record."""
        names = [ping.device_id for ping in pings]
        number = {name: number for number, name in enumerate(dict.fromkeys(names))}
        device = np.fromiter(map(number.__getitem__, names), np.int64, len(names))
        return cls(list(number), device, Fixes.of_pings(pings), np.arange(len(pings)), [])

    def __len__(self) -> int:
        return len(self.record)

    def newest_records(self) -> list[int]:
        """In their order the records with the newest fix of each device, the first of several as new."""
        newest = _newest(self.device, self.fixes.ts_ms, len(self.device_ids))
        records: list[int] = np.sort(self.record[newest]).tolist()
        return records


def read_columns(values: Values, received_ms: Ints) -> PingColumns:
    """Read the raw values of a frame: the pings, and the reasons where there is none, are those of ``decode_pings``."""
    scanned = scan(values, received_ms)
    plain = np.flatnonzero(scanned.device >= 0)
    if len(plain) == len(values):
        return PingColumns(scanned.device_ids, scanned.device, _fixes(scanned.fields), plain, [])
    others = np.flatnonzero(scanned.device < 0)
    decoded = decode_pings(values.at(others), received_ms[others])
    bad = [(int(others[index]), reason) for index, reason in decoded.bad]
    more = PingColumns.of_pings(decoded.pings)
    record = np.concatenate((plain, np.delete(others, [index for index, _ in decoded.bad])))
    device = np.concatenate((scanned.device[plain], len(scanned.device_ids) + more.device))
    order = np.argsort(record)
    fixes = Fixes.concat((_fixes(scanned.fields[:, plain]), more.fixes)).take(order)
    return PingColumns(scanned.device_ids + more.device_ids, device[order], fixes, record[order], bad)


def _fixes(fields: npt.NDArray[np.float64]) -> Fixes:
    return Fixes.of_columns(fields[TS], fields[LAT], fields[LON], fields[ACCURACY], fields[SPEED])


@nb.njit(cache=True, nogil=True)
def _newest(device, ts_ms, devices):  # type: ignore[no-untyped-def]
    """Of each device the first row with its greatest ``ts_ms``; those of no row are left out."""
    newest = np.full(devices, -1)
    for row in range(len(device)):
        known = newest[device[row]]
        if known < 0 or ts_ms[row] > ts_ms[known]:
            newest[device[row]] = row
    return newest[newest >= 0]
