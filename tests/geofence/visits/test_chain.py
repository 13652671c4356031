import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geofence.fences import FenceSet
from geofence.rules import Rules
from geofence.visits.arrangement import arrangement_of
from geofence.visits.cells import room_for_cells
from geofence.visits.chain import UNKNOWN, take_step, trace_back
from geofence.visits.evidence import mass, weigh
from geofence.visits.tables import ENTRY, STEP
from tests import naive
from tests.geofence.visits.days import square


@given(st.floats(-300, 300), st.floats(1, 500), st.floats(4, 30))
def test_mass_equals_the_oracle(distance_m, width_m, error_m):
    assert mass(distance_m, width_m, error_m) == pytest.approx(naive.mass(distance_m, width_m, error_m), abs=1e-12)


paces = st.sampled_from([1.0, 0.5, 1 / 12])
cells = st.lists(st.tuples(st.floats(-60, 249), st.floats(5, 200), st.floats(1, 300), paces), max_size=4)


@settings(deadline=None)
@given(st.lists(st.tuples(cells, st.floats(6, 30), st.floats(0, 10), st.floats(0, 1)), min_size=1, max_size=5))
def test_emissions_equal_the_oracle(fixes):
    for near, *rest in fixes:
        room = room_for_cells(len(near))[:-1]
        for k, cell in enumerate(near):
            room[["distance_m", "width_m", "prior", "pace"]][k] = cell
        outside, elsewhere = weigh(room, *rest, Rules())
        out, each, other = naive.emissions(near, *rest)
        assert [outside, *room["inside"], elsewhere] == pytest.approx([out, *each, other(1.0)], abs=2)


@st.composite
def chains(draw):
    n, states = draw(st.integers(1, 5)), draw(st.integers(1, 3))
    gaps = draw(st.lists(st.sampled_from([0, 1000, 30_000, 400_000]), min_size=n, max_size=n))
    scores = draw(
        st.lists(
            st.lists(st.integers(-5 * naive.NAT, 0), min_size=states + 1, max_size=states + 1), min_size=n, max_size=n
        )
    )
    return np.cumsum(gaps), scores, draw(st.lists(paces, min_size=states, max_size=states)), draw(st.booleans())


PLACES = arrangement_of(
    FenceSet.of([(f"fence-{k}", square(300 * k, 0, 40)) for k in range(3)] + [("zone", square(0, 0, 300))])
)
"""Three places of one fence, and by ``met`` a fourth: fence 0 within the zone."""


def met_within_the_zone() -> int:
    PLACES.overlaps = PLACES.overlaps._replace(
        place_begins=np.array([0, 2], np.int32), place_fence=np.array([0, 3], np.int32)
    )
    return 4


@settings(deadline=None, max_examples=200)
@given(chains())
def test_the_path_is_the_best_of_all_paths(chain):
    """Every place is near every fix, so that each of them takes part from the beginning to the end."""
    ts_ms, scores, pace, nested = chain
    n, states = len(ts_ms), len(pace)
    places = [0, 1, 2]
    if nested and states > 1:
        places[1] = met_within_the_zone()
    order = sorted(range(states), key=lambda k: (0, 3) if places[k] == 4 else (places[k],))
    members = [(0, 3) if places[k] == 4 else (places[k],) for k in range(states)]
    allied = [[not set(a).isdisjoint(b) for b in members] for a in members]
    steps, entries = np.zeros(n, STEP), np.zeros(n * states, ENTRY)
    steps["ts_ms"] = ts_ms
    steps["weight"] = 1.0
    for i in range(n):
        steps[["outside", "elsewhere"]][i] = scores[i][0], -100 * naive.NAT
        near = room_for_cells(states)[:-1]
        for k, of in enumerate(order):
            near[["place", "pace", "inside"]][k] = places[of], pace[of], scores[i][of + 1]
        take_step(steps, entries, i, near, UNKNOWN, PLACES.ground, PLACES.overlaps, 900.0)
    trace_back(steps, entries, 0)
    row = slice(steps["row_begin"][-1], steps["row_end"][-1])
    path = tuple(places.index(label - 1) + 1 if label else 0 for label in steps["best"].tolist())
    best = naive.best_score(ts_ms.tolist(), scores, allied, pace)
    assert max(steps["out_score"][-1], entries["score"][row].max()) == best
    assert naive.path_score(path, ts_ms.tolist(), scores, allied, pace) == best
