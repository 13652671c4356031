"""Whatever dies, nothing that was accepted is lost, told twice or told wrong."""

import asyncio
import os

import pytest

from benchmarks.chaos.faults import VICTIMS
from benchmarks.chaos.run import Spec, run

pytestmark = [pytest.mark.integration, pytest.mark.timeout(420)]


def test_processes_killed_at_random_moments_lose_nothing_and_tell_nothing_wrong(tmp_path) -> None:
    seed = int(os.environ.get("ONSITE_CRASH_SEED") or int.from_bytes(os.urandom(4)))
    print(f"ONSITE_CRASH_SEED={seed}")
    outcome = asyncio.run(run(tmp_path, Spec(seed, seconds=40.0, rounds=1)))
    print(outcome)
    assert outcome.findings == (), f"ONSITE_CRASH_SEED={seed}"
    assert set(outcome.kills) == set(VICTIMS)
    assert outcome.repeated > 0, "no phone was disturbed: the kills did not reach the API"
    assert outcome.accepted > outcome.distinct > 1_000
    assert outcome.events > outcome.visits > 10
