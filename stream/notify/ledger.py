"""The notices of a partition's jobs: those that there are, and those that wait."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from schemas.notice import Notice
from schemas.wire import decode

_BETWEEN: Final = b"\n"
"""What stands between folded notices; none of them has it in its JSON."""


@dataclass(frozen=True)
class Going:
    """A notice that waits to go out by a channel, at ``due_ms`` of Onsite's clock (epoch ms)."""

    lane: str
    notice_id: str
    due_ms: int
    partition: int

    @property
    def key(self) -> str:
        """It waits once."""
        return f"{self.lane}/{self.notice_id}"


class Ledger:
    """``records`` are the notices as they are written: the value of each by its id.

    Those of a job that is over are kept folded: what was told of it stays known, in a fifth of the room.
    """

    def __init__(self, records: Mapping[str, bytes]) -> None:
        self._open: dict[str, dict[str, bytes]] = {}
        self._folded: dict[str, bytes] = {}
        self.pending: dict[str, Notice] = {}
        """By id."""
        for value in records.values():
            self.keep(decode(Notice, value), value)

    @property
    def open_jobs(self) -> list[str]:
        """Those whose notices are not folded."""
        return list(self._open)

    def keep(self, notice: Notice, value: bytes) -> None:
        """Take note of what is written."""
        self._unfold(notice.job_id)
        self._open.setdefault(notice.job_id, {})[notice.notice_id] = value
        if notice.status == "pending":
            self.pending[notice.notice_id] = notice
        else:
            self.pending.pop(notice.notice_id, None)

    def notices_of(self, job_id: str) -> list[Notice]:
        """All of a job."""
        values = self._open[job_id].values() if job_id in self._open else self._folded_values(job_id)
        return [decode(Notice, value) for value in values]

    def waits_for(self, job_id: str) -> bool:
        """Whether a notice of a job is pending."""
        return any(notice_id in self.pending for notice_id in self._open.get(job_id, ()))

    def fold(self, job_id: str) -> None:
        """Keep the notices of a job, none of which is pending, in little room."""
        records = self._open.pop(job_id, None)
        if records is not None:
            self._folded[job_id] = zlib.compress(_BETWEEN.join(records.values()))

    def forget(self, job_id: str) -> list[str]:
        """Let go of the notices of a job; returns their ids."""
        self._unfold(job_id)
        gone = list(self._open.pop(job_id, ()))
        for notice_id in gone:
            self.pending.pop(notice_id, None)
        return gone

    def _unfold(self, job_id: str) -> None:
        values = self._folded_values(job_id)
        if values:
            del self._folded[job_id]
            self._open[job_id] = {decode(Notice, value).notice_id: value for value in values}

    def _folded_values(self, job_id: str) -> list[bytes]:
        folded = self._folded.get(job_id)
        return [] if folded is None else zlib.decompress(folded).split(_BETWEEN)


def going(notice: Notice, partition: int) -> Going:
    """A pending notice on its way."""
    return Going(notice.channel or "", notice.notice_id, int(notice.due_at or 0), partition)
