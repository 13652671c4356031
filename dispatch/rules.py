"""A tenant's rules about jobs, read from ``ONSITE_DISPATCH`` (TOML)."""

import tomllib
from typing import Literal

import msgspec

from dispatch.business_hours import BusinessHours
from dispatch.costing import Rates
from dispatch.lifecycle import Lifecycle, OwnState
from dispatch.notices.rules import NoticeRules
from dispatch.sla import SlaRules
from schemas.people import zone_of


class DispatchRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What moves jobs on by itself, and how visits are told to be for a job.

    Raises:
        ValueError: a rule that cannot be.
    """

    auto_logging: bool = True
    """Visits move jobs on; branches and technicians may have it otherwise."""
    on_leaving: Literal["completed", "left_incomplete", "nothing"] = "completed"
    """What a job becomes when its technicians have left the place."""
    return_within_s: float = 900.0
    """Who comes back so soon has not left."""
    early_s: float = 14_400.0
    """A visit may be for a job whose window begins this much later, …"""
    late_s: float = 43_200.0
    """… or ended this long before it."""
    longest_leg_s: float = 10_800.0
    """Who arrives after more than this since the last place was not on the way all that time."""
    circle_m: float = 75.0
    """The fence around the point of a job that has none."""
    circle_max_m: float = 300.0
    """The same where its address is known to a street alone: as large as that, up to so much."""
    circle_min_on_site_s: float | None = None
    """The on-site time that confirms a visit there; None: as everywhere."""
    states: dict[str, OwnState] = {}
    """States that are added, by name."""
    clear_s: float = 120.0
    """A job is no longer at risk once its ETA is so much before the end of the promised window."""
    sla: SlaRules = SlaRules()
    """What is promised, by priority."""
    business: BusinessHours | None = None
    """The hours that promises are counted in."""
    time_zone: str = "UTC"
    """By whose clock jobs come again, where their branch has none of its own."""
    ahead_days: float = 28.0
    """Jobs that come again are made so long ahead."""
    store_off_shift: bool = False
    """Fixes are kept that were taken while who holds the device was off shift."""
    shift_margin_s: float = 1_800.0
    """A shift begins so much earlier for them, and ends so much later."""
    rates: Rates = Rates()
    """Prices, of which the invoice of a completed job is made."""
    notices: NoticeRules = NoticeRules()
    """Who is told what of jobs, by which channel."""

    def __post_init__(self) -> None:
        for name in ("return_within_s", "early_s", "late_s", "longest_leg_s"):
            if not 0 <= getattr(self, name) < 366 * 86_400:
                raise ValueError(f"{name}: {getattr(self, name)} is not between 0 and a year")
        for name in ("clear_s", "shift_margin_s"):
            if not 0 <= getattr(self, name) < 86_400:
                raise ValueError(f"{name}: {getattr(self, name)} is not between 0 and a day")
        if not 0 < self.ahead_days <= 400:
            raise ValueError(f"ahead_days: {self.ahead_days} is not between 0 and 400")
        if self.business is None and any(target.hours == "business" for target in self.sla.priorities.values()):
            raise ValueError("sla counts business hours, and there is no table business that says which these are")
        zone_of(self.time_zone)
        if not 5 <= self.circle_m <= 5_000:
            raise ValueError(f"circle_m: {self.circle_m} is not between 5 and 5,000")
        if not self.circle_m <= self.circle_max_m <= 5_000:
            raise ValueError(f"circle_max_m: {self.circle_max_m} is not between circle_m and 5,000")
        self.lifecycle()

    def lifecycle(self) -> Lifecycle:
        """The states as this tenant has them."""
        return Lifecycle.extended_by(self.states)


def read_rules_of_dispatch(data: bytes) -> DispatchRules:
    """The rules of a TOML document. Raises ValueError that says what is wrong where."""
    return msgspec.convert(tomllib.loads(data.decode()), DispatchRules)
