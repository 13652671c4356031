"""From a ping to the visit event that it brings about, at 5,000 pings a second through the whole running system.

``onsite up`` runs as it does for a user: broker, store, tracker, recorder, API. The load's 5,000 devices report at
their own rates on a clock that runs faster than life, which makes 5,000 pings a second of them; they are posted in
batches of several devices (``benchmarks.traffic``). After a warm-up the time is taken from the 202 of a ping's request
(``p50_ms``, ``p99_ms``) and from the request going out (``…_from_post_ms``) until a reader of ``WS /v1/live`` has the
event (``benchmarks.delays``); it reads everything, the live states of all devices too. ``…_cores`` are the CPU seconds
that each process took a second, this one (``generator``) and everything else on the machine too: where they come to
all of its cores, those are what limits.
"""

import asyncio
from typing import Final

from benchmarks.delays import delays_of, load_at, until_told
from benchmarks.stage import stage

PINGS_PER_S: Final = 5_000
WARM_UP_S: Final = 20.0
TOLD_WITHIN_S: Final = 120.0


def run(quick: bool) -> dict[str, dict[str, float]]:
    """Measure for a minute; with ``quick`` for ten seconds, after a shorter warm-up."""
    figures = asyncio.run(measure(PINGS_PER_S, *((6.0, 10.0) if quick else (WARM_UP_S, 60.0))))
    return {"figures": figures, "anchors": {}, "ratios": {}}


async def measure(pings_per_s: float, warm_up_s: float, for_s: float) -> dict[str, float]:
    """Start a system, load it, and answer with the figures."""
    load, clock_rate = load_at(pings_per_s, warm_up_s + for_s)
    async with stage(load, clock_rate) as running:
        before = running.cpu_times()
        posted = await running.post(load)
        cores = running.cpu_times().cores_since(before)
        await until_told(running.kafka, running.listener, TOLD_WITHIN_S)
    return {
        **delays_of(load, posted, running.listener, warm_up_s).figures(),
        "pings_per_s": len(load) / posted.lasted_s,
        "longest_behind_ms": posted.longest_behind_s * 1000,
        **cores,
    }
