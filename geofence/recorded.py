"""Recorded pings as fixes by device: files read a chunk at a time, each chunk decoded into columns at once.

What is rejected, and why, is what ``schemas.protocols`` says of the same file.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import compress, count, islice
from pathlib import PurePath
from typing import BinaryIO, Final

import numpy as np
import numpy.typing as npt

from geofence.fixes import Fixes
from schemas.ping import (
    FUTURE_TOLERANCE_MS,
    LATEST_MS,
    MAX_DEVICE_ID_CHARS,
    OLDEST_TS_MS,
    OPTIONAL_RANGES,
    Ping,
)
from schemas.protocols import PROTOCOLS, Rejected, ndjson, read_file
from schemas.protocols.json import WirePing, read_wire_ping
from schemas.time_columns import epoch_ms_column

CHUNK_BYTES: Final = 1 << 18
"""What is decoded at a time: little enough for its objects to stay in the processor's cache."""

_SOME_ITEMS: Final = 2_000


class Recording:
    """The fixes of recorded pings, gathered in the order in which they are read."""

    def __init__(self) -> None:
        self._numbers: defaultdict[str, int] = defaultdict(count().__next__)
        self._devices: list[npt.NDArray[np.int32]] = []
        self._fixes: list[Fixes] = []

    def add(self, device_ids: Sequence[str], fixes: Fixes) -> None:
        """One device id a fix."""
        self._devices.append(np.fromiter(map(self._numbers.__getitem__, device_ids), np.int32, len(fixes)))
        self._fixes.append(fixes)

    def by_device(self) -> dict[str, Fixes]:
        """The fixes of each device in the order read; devices in that of their first fix."""
        if not self._fixes:
            return {}
        devices = np.concatenate(self._devices)
        # Of narrow integers NumPy's stable sort is a radix sort.
        order = np.argsort(devices.astype(np.min_scalar_type(len(self._numbers))), kind="stable")
        fixes = Fixes.concat(self._fixes).take(order)
        ends = np.cumsum(np.bincount(devices)).tolist()
        return {
            device_id: fixes.take(slice(start, end))
            for device_id, start, end in zip(self._numbers, [0, *ends], ends, strict=False)
        }


def read_recorded(name: str, file: BinaryIO, recording: Recording) -> Iterator[Rejected]:
    """Add the fixes of a file to ``recording``; what is rejected is handed out in the order of the file.

    Raises BodyError, possibly at the end, for an unknown suffix or a file that is not what its suffix says.
    """
    if PurePath(name).suffix.lower() in PROTOCOLS["ndjson"].suffixes:
        yield from _add_lines(file, recording)
    else:
        items = iter(read_file(name, file.read()))
        while some := list(islice(items, _SOME_ITEMS)):
            yield from _add_items(some, recording)


def _add_lines(file: BinaryIO, recording: Recording) -> Iterator[Rejected]:
    index = 0
    first_torn: Rejected | None = None
    all_torn = True
    for chunk in _chunks_of_lines(file):
        pings = ndjson.plain_lines(chunk)
        if pings is not None:
            yield from _add_plain(pings, index, recording)
            index += len(pings)
            all_torn = False
            continue
        items = list(ndjson.read_lines(chunk, None, index))
        torn = [item for item in items if isinstance(item, Rejected) and item.code == ndjson.TORN]
        all_torn &= len(torn) == len(items)
        first_torn = first_torn or next(iter(torn), None)
        index += len(items)
        yield from _add_items(items, recording)
    if all_torn and first_torn is not None:
        raise ndjson.no_json(first_torn)


def _chunks_of_lines(file: BinaryIO) -> Iterator[bytes]:
    chunk = (file.read(CHUNK_BYTES) + file.readline()).removeprefix(ndjson.BYTE_ORDER_MARK)
    while chunk:
        yield chunk
        chunk = file.read(CHUNK_BYTES) + file.readline()


def _add_items(items: Iterable[Ping | Rejected], recording: Recording) -> list[Rejected]:
    pings: list[Ping] = []
    rejected: list[Rejected] = []
    for item in items:
        if isinstance(item, Ping):
            pings.append(item)
        else:
            rejected.append(item)
    recording.add([ping.device_id for ping in pings], Fixes.of_pings(pings))
    return rejected


def _add_plain(pings: list[WirePing], first_index: int, recording: Recording) -> list[Rejected]:
    """What ``_add_items`` would make of the same pings."""
    device_ids = [ping.device_id for ping in pings]
    ts_ms = epoch_ms_column([ping.ts_ms for ping in pings])
    lat = np.array([ping.lat for ping in pings], np.float64)
    lon = np.array([ping.lon for ping in pings], np.float64)
    accuracy_m = np.array([ping.accuracy_m for ping in pings], np.float64)  # None becomes NaN
    speed_mps = np.array([ping.speed_mps for ping in pings], np.float64)
    latest_ms = _latest_column([ping.sent_ms for ping in pings])

    good = (np.abs(lat) <= 90.0) & (np.abs(lon) <= 180.0) & ((lat != 0.0) | (lon != 0.0))
    good &= (ts_ms >= OLDEST_TS_MS) & (ts_ms <= latest_ms)
    unnameable = {each for each in set(device_ids) if not 0 < len(each) <= MAX_DEVICE_ID_CHARS}
    if unnameable:
        good &= np.fromiter((each not in unnameable for each in device_ids), np.bool_, len(pings))
    rejected: list[Rejected] = []
    for row in np.flatnonzero(~good).tolist():
        item = read_wire_ping(first_index + row, pings[row], None)
        if isinstance(item, Rejected):
            rejected.append(item)
        else:
            good[row] = True  # the doubt was about when it was sent

    columns = [ts_ms, lat, lon, _within_range("accuracy_m", accuracy_m), _within_range("speed_mps", speed_mps)]
    if rejected:
        columns = [column[good] for column in columns]
        device_ids = list(compress(device_ids, good.tolist()))
    recording.add(device_ids, Fixes.of_columns(*columns))
    return rejected


def _latest_column(sent: list[int | str | None]) -> npt.NDArray[np.int64]:
    """The latest that each fix may be; a moment of sending that means nothing puts its ping in doubt."""
    latest_ms = np.full(len(sent), LATEST_MS)
    stated = [row for row, moment in enumerate(sent) if moment is not None]
    if stated:
        sent_ms = epoch_ms_column([sent[row] for row in stated])
        latest_ms[stated] = np.minimum(sent_ms + FUTURE_TOLERANCE_MS, LATEST_MS)
    return latest_ms


def _within_range(name: str, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """NaN where ``leave_out_impossible`` leaves out."""
    low, high = OPTIONAL_RANGES[name]
    return np.where((values >= low) & (values <= high), values, np.nan)
