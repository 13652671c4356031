"""A tenant's rules about jobs, read from ``ONSITE_DISPATCH`` (TOML)."""

import tomllib
from typing import Literal

import msgspec

from dispatch.lifecycle import Lifecycle, OwnState


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
    circle_min_on_site_s: float | None = None
    """The on-site time that confirms a visit there; None: as everywhere."""
    states: dict[str, OwnState] = {}
    """States that are added, by name."""

    def __post_init__(self) -> None:
        for name in ("return_within_s", "early_s", "late_s", "longest_leg_s"):
            if not 0 <= getattr(self, name) < 366 * 86_400:
                raise ValueError(f"{name}: {getattr(self, name)} is not between 0 and a year")
        if not 5 <= self.circle_m <= 5_000:
            raise ValueError(f"circle_m: {self.circle_m} is not between 5 and 5,000")
        self.lifecycle()

    def lifecycle(self) -> Lifecycle:
        """The states as this tenant has them."""
        return Lifecycle.extended_by(self.states)


def read_rules_of_dispatch(data: bytes) -> DispatchRules:
    """The rules of a TOML document. Raises ValueError that says what is wrong where."""
    return msgspec.convert(tomllib.loads(data.decode()), DispatchRules)
