"""Sign-ins that failed: after a few, each has to wait twice as long as the one before.

Each process counts for itself.
"""

from dataclasses import dataclass
from typing import Final

FORGOTTEN_S: Final = 3600.0
_SWEEP_AT: Final = 10_000


@dataclass
class _Failures:
    count: int
    newest_s: float


class Attempts:
    """By whatever names who tries. Pure: it is told the time, in seconds of any clock that only goes forward.

    An attempt counts as failed from its beginning, so that many at once are no way around it.
    """

    def __init__(self, free: int, longest_s: float) -> None:
        self._free = free
        self._longest_s = longest_s
        self._failures: dict[str, _Failures] = {}

    def wait_s(self, who: str, now_s: float) -> float:
        """Seconds until they may try again."""
        failures = self._failures.get(who)
        if failures is None or failures.count < self._free:
            return 0.0
        waits_s = min(self._longest_s, 2.0 ** min(failures.count - self._free, 32))
        return max(0.0, failures.newest_s + waits_s - now_s)

    def begin(self, who: str, now_s: float) -> None:
        """They try."""
        if len(self._failures) >= _SWEEP_AT:
            self._sweep(now_s)
        failures = self._failures.get(who)
        if failures is None or now_s - failures.newest_s > FORGOTTEN_S:
            self._failures[who] = _Failures(1, now_s)
        else:
            failures.count += 1
            failures.newest_s = now_s

    def forgive(self, who: str) -> None:
        """The attempt was good: it does not count, and those before go on counting."""
        failures = self._failures.get(who)
        if failures is not None:
            failures.count -= 1

    def forget(self, who: str) -> None:
        """They are who they say: nothing counts any more."""
        self._failures.pop(who, None)

    def __len__(self) -> int:
        return len(self._failures)

    def _sweep(self, now_s: float) -> None:
        """Forget what is old; where all is new, the oldest half: the memory is bounded, whoever tries what."""
        kept = {who: each for who, each in self._failures.items() if now_s - each.newest_s <= FORGOTTEN_S}
        if len(kept) >= _SWEEP_AT:
            newest = sorted(kept.items(), key=lambda item: item[1].newest_s)[len(kept) // 2 :]
            kept = dict(newest)
        self._failures = kept
