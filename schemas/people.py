"""Technicians, and when they work: the compacted topic ``onsite.technicians``."""

from datetime import datetime, time
from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from schemas.times import Instant, parse_epoch_ms

MAX_ID_CHARS: Final = 200

Id = Annotated[
    str,
    msgspec.Meta(
        max_length=MAX_ID_CHARS,
        pattern=r"^[^./\s][^/\x00-\x1f]*$",
        description="of one's own choice: it stands in addresses, so it has no slash",
    ),
]
Label = Annotated[str, msgspec.Meta(min_length=1, max_length=300, description="for people")]

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class Shift(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True, rename={"from_": "from"}):
    """When somebody works: once, or each week.

    Once: ``from`` and ``to`` are moments, RFC 3339. Weekly: the days of ``weekly``, from ``from`` to ``to`` as the
    clock of ``time_zone`` shows it (``"08:00"``); a shift that ends before it begins ends on the day after.
    """

    from_: str
    to: str
    weekly: list[Weekday] | None = None
    time_zone: str | None = None

    def __post_init__(self) -> None:
        if self.weekly is None:
            if self.time_zone is not None:
                raise ValueError("a shift with a time_zone is weekly; say on which days")
            if parse_epoch_ms(self.from_) >= parse_epoch_ms(self.to):
                raise ValueError(f"a shift that would end at {self.to}, not after it begins at {self.from_}")
            return
        if not self.weekly or self.time_zone is None:
            raise ValueError("a weekly shift has days and a time_zone")
        if read_clock_time(self.from_) == read_clock_time(self.to):
            raise ValueError("a weekly shift that ends when it begins")
        zone_of(self.time_zone)


class Contact(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """How a person is reached."""

    phone: str | None = None
    email: str | None = None


class Technician(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """``auto_logging``: whether visits move this person's jobs on; None: as the branch has it.

    Without ``shifts`` nobody knows when the technician works: then it counts as always.
    """

    technician_id: Id
    name: Label
    branch: str | None = None
    skills: list[str] = []
    device_ids: list[str] = []
    shifts: list[Shift] = []
    depot_fence_id: str | None = None
    contact: Contact | None = None
    auto_logging: bool | None = None
    updated_at: Instant = msgspec.field(default_factory=Instant)
    removed_at: Instant | None = None


def read_clock_time(text: str) -> time:
    """``08:00``; raises ValueError for what is none."""
    try:
        return datetime.strptime(text, "%H:%M").time()
    except ValueError as error:
        raise ValueError(f"{text!r} is not a time of day like 08:00") from error


def zone_of(name: str) -> ZoneInfo:
    """A time zone by its IANA name; raises ValueError for an unknown one."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"{name!r} is no time zone like Europe/London") from error
