"""Jobs with logs."""

from hypothesis import strategies as st

from schemas.job import Job, LogEntry
from schemas.times import Instant

MINUTE_MS = 60_000
STATES = (
    "created",
    "scheduled",
    "dispatched",
    "en_route",
    "on_site",
    "waiting_for_parts",
    "in_progress",
    "left_incomplete",
    "completed",
    "invoiced",
    "rejected",
    "cancelled",
)


def entry(state, at_ms, **stated):
    return LogEntry(state, Instant(at_ms), Instant(at_ms), "dispatcher", "d", **stated)


def job_of(*log, created_ms=0, **stated):
    """A job whose log is (state, at) pairs."""
    entries = [entry(state, at_ms) for state, at_ms in log]
    return Job(
        **{
            "job_id": "j",
            "revision": 1,
            "created_at": Instant(created_ms),
            "updated_at": Instant(created_ms),
            "state": entries[-1].state if entries else "created",
            "log": entries,
        }
        | stated
    )


def logs(most_minutes=600, states=STATES, most=8):
    """(state, at) pairs in the order of time, whole minutes."""
    pairs = st.tuples(st.sampled_from(states), st.integers(0, most_minutes).map(lambda m: m * MINUTE_MS))
    return st.lists(pairs, max_size=most).map(lambda found: sorted(found, key=lambda pair: pair[1]))
