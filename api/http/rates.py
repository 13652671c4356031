"""How much one token may: requests and pings a second. Each process counts for itself."""

import math
import time
from collections.abc import Callable, Hashable
from typing import Final

from api.auth.principal import Principal
from schemas.settings import Settings

_SWEEP_AT: Final = 10_000


class Allowance:
    """So much a second for each of many, ``burst_s`` seconds' worth of it at once. Pure: it is told the time, in
    seconds of any clock that only goes forward.

    Who is not in debt may take any amount, and is in debt until it has been earned: a batch over the burst comes in,
    and the next one waits longer.
    """

    def __init__(self, per_s: float, burst_s: float) -> None:
        self._per_s = per_s
        self._burst_s = burst_s
        self._free_s: dict[Hashable, float] = {}
        self._sweep_at = _SWEEP_AT

    def debt_s(self, who: Hashable, now_s: float) -> float:
        """Seconds until they may take again."""
        return max(0.0, self._free_s.get(who, now_s) - now_s)

    def take(self, who: Hashable, amount: float, now_s: float) -> None:
        """Count what they took."""
        full_s = now_s - self._burst_s
        self._free_s[who] = max(self._free_s.get(who, full_s), full_s) + amount / self._per_s
        if len(self._free_s) > self._sweep_at:
            self._free_s = {each: free_s for each, free_s in self._free_s.items() if free_s > full_s}
            self._sweep_at = max(_SWEEP_AT, 2 * len(self._free_s))

    def __len__(self) -> int:
        return len(self._free_s)


class TooMany(Exception):  # noqa: N818 -- not an error
    """A token has had too many of a ``unit``: requests or pings."""

    def __init__(self, unit: str, retry_after_s: int) -> None:
        super().__init__(f"too many {unit} of this token; send it again in {retry_after_s} s")
        self.unit = unit
        self.retry_after_s = retry_after_s


class Rates:
    """The allowances of one process: those of tokens bound to a device, and those of all others."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._of_devices: dict[str, Allowance] = {}
        self._of_others: dict[str, Allowance] = {}

    @classmethod
    def stated_by(cls, settings: Settings, now_s: Callable[[], float] = time.monotonic) -> "Rates":
        """Those of the settings; without them there is no limit."""
        rates = cls(now_s)
        burst_s = settings.rate_burst_s
        rates._of_devices = _limits(settings.device_requests_per_s, settings.device_pings_per_s, burst_s)
        rates._of_others = _limits(settings.requests_per_s, settings.pings_per_s, burst_s)
        return rates

    def enter(self, principal: Principal) -> None:
        """Count a request; raises TooMany while its token has asked or posted too much."""
        limits = self._limits_of(principal)
        if not limits:
            return
        now_s, who = self._now_s(), (principal.way, principal.identity)
        for unit, allowance in limits.items():
            debt_s = allowance.debt_s(who, now_s)
            if debt_s:
                raise TooMany(unit, math.ceil(debt_s))
        if "requests" in limits:
            limits["requests"].take(who, 1, now_s)

    def took_pings(self, principal: Principal, count: int) -> None:
        """Count pings that came in."""
        allowance = self._limits_of(principal).get("pings")
        if allowance is not None:
            allowance.take((principal.way, principal.identity), count, self._now_s())

    def _limits_of(self, principal: Principal) -> dict[str, Allowance]:
        return self._of_others if principal.device_id is None else self._of_devices


def _limits(requests_per_s: float, pings_per_s: float, burst_s: float) -> dict[str, Allowance]:
    stated = {"requests": requests_per_s, "pings": pings_per_s}
    return {unit: Allowance(per_s, burst_s) for unit, per_s in stated.items() if per_s}
