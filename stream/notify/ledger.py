"""The notices of a partition's jobs: those that there are, and those that wait."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from schemas.notice import Notice
from schemas.wire import decode


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
    """``records`` are the notices as they are written: the value of each by its id."""

    def __init__(self, records: Mapping[str, bytes]) -> None:
        self._records: dict[str, dict[str, bytes]] = {}
        self.pending: dict[str, Notice] = {}
        """By id."""
        for value in records.values():
            self.keep(decode(Notice, value), value)

    def keep(self, notice: Notice, value: bytes) -> None:
        """Take note of what is written."""
        self._records.setdefault(notice.job_id, {})[notice.notice_id] = value
        if notice.status == "pending":
            self.pending[notice.notice_id] = notice
        else:
            self.pending.pop(notice.notice_id, None)

    def notices_of(self, job_id: str) -> Iterable[Notice]:
        """All of a job."""
        return [decode(Notice, value) for value in self._records.get(job_id, {}).values()]


def going(notice: Notice, partition: int) -> Going:
    """A pending notice on its way."""
    return Going(notice.channel or "", notice.notice_id, int(notice.due_at or 0), partition)
