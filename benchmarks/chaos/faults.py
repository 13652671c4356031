"""Which processes are killed when: drawn from a seed, so that a run can be had again."""

import asyncio
import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from infra.errors import CommandError

VICTIMS: Final = ("broker", "store", "tracker", "recorder", "api")
FAULTS_A_ROUND: Final = len(VICTIMS) + 2
SHORTEST_GAP_S: Final = 0.3
LONGEST_GAP_S: Final = 4.0
BACK_WITHIN_S: Final = 60.0
_LOOK_S: Final = 0.05


@dataclass(frozen=True)
class Fault:
    """Processes killed in the same moment, ``after_s`` after all run again; ``recovered``: after all work again."""

    after_s: float
    roles: tuple[str, ...]
    recovered: bool


def rounds_of_faults(seed: int) -> Iterator[Fault]:
    """Without end: in each round every process alone, some of them together and all at once, in any order.

    One in two strikes a system that works again, the others one that is probably still recovering.
    """
    draw = random.Random(seed)
    recovered = True
    while True:
        some = tuple(draw.sample(VICTIMS, draw.randint(2, len(VICTIMS) - 1)))
        victims = [*((role,) for role in VICTIMS), some, VICTIMS]
        draw.shuffle(victims)
        for roles in victims:
            yield Fault(draw.uniform(SHORTEST_GAP_S, LONGEST_GAP_S), roles, recovered)
            recovered = not recovered


@dataclass
class Killer:
    """Kills processes of an ``onsite up``, whose supervisor starts them again.

    ``works`` tells whether the system does its work at present.
    """

    ready_file: Path
    works: Callable[[], Awaitable[bool]]
    kills: Counter[str] = field(default_factory=Counter)
    """By role."""

    longest_recovery_s: float = 0.0

    async def strike(self, fault: Fault) -> None:
        """``kill -9``. Raises CommandError when the system does not recover by itself beforehand."""
        if fault.recovered:
            await self._recovery()
        await self._running(fault.roles)
        await asyncio.sleep(fault.after_s)
        pids = await self._running(fault.roles)  # one may have ended meanwhile, of the fault before
        for role in fault.roles:
            os.kill(pids[role], signal.SIGKILL)
            self.kills[role] += 1
        await self._running(fault.roles, instead_of=pids)

    async def _recovery(self) -> None:
        began_s = time.monotonic()
        while not await self.works():
            if time.monotonic() > began_s + BACK_WITHIN_S:
                raise CommandError(f"the system did not recover by itself within {BACK_WITHIN_S:.0f} s")
            await asyncio.sleep(_LOOK_S)
        self.longest_recovery_s = max(self.longest_recovery_s, time.monotonic() - began_s)

    async def _running(self, roles: tuple[str, ...], instead_of: dict[str, int] | None = None) -> dict[str, int]:
        """The pids of all, once each of some roles runs, and not with the pid that it had."""
        before = instead_of or {}
        give_up_s = time.monotonic() + BACK_WITHIN_S
        while True:
            pids: dict[str, int] = json.loads(self.ready_file.read_text(encoding="utf-8"))["pids"]
            missing = [role for role in roles if role not in pids or pids[role] == before.get(role)]
            if not missing:
                return pids
            if time.monotonic() > give_up_s:
                raise CommandError(f"{', '.join(missing)} not started again within {BACK_WITHIN_S:.0f} s")
            await asyncio.sleep(_LOOK_S)
