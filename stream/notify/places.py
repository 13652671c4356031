"""Who subscribes, and which branch things belong to: compacted topics in memory."""

from collections.abc import Mapping

import msgspec

from schemas.people import Technician
from schemas.places import Branch
from schemas.settings import Settings
from schemas.topics import BRANCHES, FENCES, TECHNICIANS, WEBHOOKS
from schemas.webhook import WebhookRecord
from schemas.wire import decode
from stream.kafka import BUSY_PATIENCE_MS, Follower


class _FenceVersion(msgspec.Struct):
    branch: str | None = None


class _FenceBranches(msgspec.Struct):
    """What is read of a fence: its versions' branches, and not their shapes."""

    versions: list[_FenceVersion]


class Places:
    """Follows the topics."""

    def __init__(self, settings: Settings) -> None:
        self._webhooks = Follower(
            settings.kafka, WEBHOOKS, lambda value: decode(WebhookRecord, value), patience_ms=BUSY_PATIENCE_MS
        )
        self._branches = Follower(settings.kafka, BRANCHES, lambda value: decode(Branch, value))
        self._fences = Follower(settings.kafka, FENCES, lambda value: decode(_FenceBranches, value))
        self._technicians = Follower(
            settings.kafka, TECHNICIANS, lambda value: decode(Technician, value), self._technician_changed
        )
        self._held: dict[str, list[str]] = {}
        self._holders: dict[str, str] = {}
        self._followers = (self._webhooks, self._branches, self._fences, self._technicians)

    async def start(self) -> None:
        """Read all of it."""
        for follower in self._followers:
            await follower.start()
        for follower in self._followers:
            await follower.caught_up()

    async def stop(self) -> None:
        """Follow no longer."""
        for follower in self._followers:
            await follower.stop()

    @property
    def webhooks(self) -> Mapping[str, WebhookRecord]:
        """By id, removed ones too."""
        return self._webhooks.records

    @property
    def branches(self) -> Mapping[str, Branch]:
        """By name."""
        return self._branches.records

    def branch_of_device(self, device_id: str) -> str | None:
        """That of the technician who holds it."""
        holder = self._technicians.records.get(self._holders.get(device_id, ""))
        return None if holder is None else holder.branch

    def branch_of_fence(self, fence_id: str) -> str | None:
        """That of its newest version."""
        fence = self._fences.records.get(fence_id)
        return fence.versions[-1].branch if fence is not None and fence.versions else None

    def _technician_changed(self, technician_id: str, technician: Technician | None) -> None:
        is_gone = technician is None or technician.removed_at is not None
        for device_id in self._held.pop(technician_id, []):
            if self._holders.get(device_id) == technician_id:
                del self._holders[device_id]
        if technician is not None and not is_gone:
            self._held[technician_id] = technician.device_ids
            self._holders |= dict.fromkeys(technician.device_ids, technician_id)
