"""Who subscribes, and which branch things belong to: compacted topics in memory."""

from collections.abc import Mapping
from decimal import Decimal

import msgspec
from prometheus_client import Gauge

from dispatch.holders import Holders
from schemas.people import Technician
from schemas.places import Branch, Depot
from schemas.settings import Settings
from schemas.stock import StockPlace, Threshold, stock_key
from schemas.topics import BRANCHES, DEPOTS, FENCES, STOCK_THRESHOLDS, TECHNICIANS, WEBHOOKS
from schemas.webhook import WebhookRecord
from schemas.wire import decode
from stream.kafka import Follower, follow_all, stop_all

webhooks_known = Gauge("onsite_notifier_webhooks", "Webhooks that were ever added")


class _FenceVersion(msgspec.Struct):
    branch: str | None = None


class _FenceBranches(msgspec.Struct):
    """What is read of a fence: its versions' branches, and not their shapes."""

    versions: list[_FenceVersion]


class Places:
    """Follows the topics."""

    def __init__(self, settings: Settings) -> None:
        self._holders = Holders()
        self._webhooks = Follower(
            settings.kafka,
            WEBHOOKS,
            lambda value: decode(WebhookRecord, value),
            lambda *_: webhooks_known.set(len(self._webhooks.records)),
        )
        self._branches = Follower(settings.kafka, BRANCHES, lambda value: decode(Branch, value))
        self._fences = Follower(settings.kafka, FENCES, lambda value: decode(_FenceBranches, value))
        self._depots = Follower(settings.kafka, DEPOTS, lambda value: decode(Depot, value))
        self._thresholds = Follower(settings.kafka, STOCK_THRESHOLDS, lambda value: decode(Threshold, value))
        self._technicians = Follower(
            settings.kafka, TECHNICIANS, lambda value: decode(Technician, value), self._holders.technician_changed
        )
        self._followers = (
            self._webhooks,
            self._branches,
            self._fences,
            self._technicians,
            self._depots,
            self._thresholds,
        )

    async def start(self) -> None:
        """Read all of it."""
        await follow_all(self._followers)

    async def stop(self) -> None:
        """Follow no longer."""
        await stop_all(self._followers)

    @property
    def webhooks(self) -> Mapping[str, WebhookRecord]:
        """By id, removed ones too."""
        return self._webhooks.records

    @property
    def branches(self) -> Mapping[str, Branch]:
        """By name."""
        return self._branches.records

    @property
    def technicians(self) -> Mapping[str, Technician]:
        """By id, removed ones too."""
        return self._technicians.records

    def branch_of_device(self, device_id: str) -> str | None:
        """That of the technician who holds it."""
        holder = self._holders.holder_of(device_id)
        return None if holder is None else holder.branch

    def branch_of_stock(self, place: StockPlace) -> str | None:
        """That of the technician whose van it is, or of the depot."""
        register: Mapping[str, Technician | Depot] = (
            self._technicians.records if place.kind == "van" else self._depots.records
        )
        entry = register.get(place.place_id or "")
        return None if entry is None else entry.branch

    def threshold_of(self, place: StockPlace, sku: str) -> Decimal | None:
        """Below what something is too little there."""
        threshold = self._thresholds.records.get(stock_key(place, sku))
        return None if threshold is None or threshold.removed_at is not None else threshold.level

    def branch_of_fence(self, fence_id: str) -> str | None:
        """That of its newest version."""
        fence = self._fences.records.get(fence_id)
        return fence.versions[-1].branch if fence is not None and fence.versions else None
