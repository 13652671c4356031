"""From the bytes of a frame to rows of the table ``pings``. No object is made of a ping that reads plainly."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.ping import OLDEST_TS_MS, TEXTS, Ping
from schemas.tables.pings import PINGS, batch_of_columns
from schemas.wire import encode
from stream.decode import decode_pings
from stream.scan import Scanned, gathered, scan
from stream.values import Values


class Rows(NamedTuple):
    """What a frame holds for its table, and (index, reason) of every record that is no row."""

    batch: pa.RecordBatch
    bad: list[tuple[int, str]]


def warm_up() -> None:
    """Read an invented ping: so all is compiled, and Arrow has looked for pandas, a third of a second."""
    plain = encode(Ping("warm-up", OLDEST_TS_MS, 47.0, 9.0, received_ms=OLDEST_TS_MS))
    read_pings(Values.of([plain, b" " + plain]), np.full(2, OLDEST_TS_MS))


def read_pings(values: Values, received_ms: npt.NDArray[np.int64]) -> Rows:
    """Read the raw values of a frame: rows in any order, and reasons, as of the pings of ``decode_pings``."""
    scanned = scan(values, received_ms)
    others = np.flatnonzero(scanned.device < 0)
    if not len(others):
        return Rows(_plain_rows(scanned, slice(None)), [])
    decoded = decode_pings(values.at(others), received_ms[others])
    batches = [_plain_rows(scanned, np.flatnonzero(scanned.device >= 0)), PINGS.batch(decoded.pings)]
    rows = pa.Table.from_batches(batches).combine_chunks().to_batches()
    return Rows(rows[0] if rows else batches[0], [(int(others[index]), reason) for index, reason in decoded.bad])


def _plain_rows(scanned: Scanned, records: slice | npt.NDArray[np.intp]) -> pa.RecordBatch:
    texts = [_texts(scanned, number, records) for number in range(len(TEXTS))]
    return batch_of_columns(scanned.fields[:, records], texts)


def _texts(scanned: Scanned, number: int, records: slice | npt.NDArray[np.intp]) -> pa.StringArray:
    begins, texts = gathered(scanned.text, scanned.spans[number, records])
    return pa.StringArray.from_buffers(len(begins) - 1, pa.py_buffer(begins), pa.py_buffer(texts))
