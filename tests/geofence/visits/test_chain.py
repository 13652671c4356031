import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geofence.visits.chain import best_path, segments
from geofence.visits.evidence import mass, weigh
from tests import naive


@given(st.floats(-300, 300), st.floats(1, 500), st.floats(4, 30))
def test_mass_equals_the_oracle(distance_m, width_m, error_m):
    assert mass(distance_m, width_m, error_m) == pytest.approx(naive.mass(distance_m, width_m, error_m), abs=1e-12)


paces = st.sampled_from([1.0, 0.5, 1 / 12])
cells = st.lists(st.tuples(st.floats(-60, 249), st.floats(5, 200), st.floats(1, 300), paces), max_size=4)


@settings(deadline=None)
@given(st.lists(st.tuples(cells, st.floats(6, 30), st.floats(0, 10), st.floats(0, 1)), min_size=1, max_size=5))
def test_emissions_equal_the_oracle(fixes):
    begins = np.cumsum([0, *(len(near) for near, *_ in fixes)])
    flat = np.array([cell for near, *_ in fixes for cell in near]).reshape(-1, 4)
    columns = [np.array([fix[i] for fix in fixes], float) for i in (1, 2, 3)]
    outside, inside, elsewhere = weigh(begins, *(flat[:, i].copy() for i in range(4)), *columns, 1.5, 4.0)
    for i, (near, *rest) in enumerate(fixes):
        out, each, other = naive.emissions(near, *rest)
        assert [outside[i], *inside[begins[i] : begins[i + 1]], elsewhere[i]] == pytest.approx(
            [out, *each, other(1.0)], abs=2
        )


@st.composite
def chains(draw):
    n, states = draw(st.integers(1, 5)), draw(st.integers(1, 3))
    gaps = draw(st.lists(st.sampled_from([0, 1000, 30_000, 400_000]), min_size=n, max_size=n))
    scores = draw(
        st.lists(
            st.lists(st.integers(-5 * naive.NAT, 0), min_size=states + 1, max_size=states + 1), min_size=n, max_size=n
        )
    )
    pairs = draw(st.lists(st.booleans(), min_size=9, max_size=9))
    allied = [[a == b or pairs[min(a, b) * 3 + max(a, b)] for b in range(states)] for a in range(states)]
    return np.cumsum(gaps), scores, allied, draw(st.lists(paces, min_size=states, max_size=states))


@settings(deadline=None, max_examples=200)
@given(chains())
def test_the_path_is_the_best_of_all_paths(chain):
    ts_ms, scores, allied, pace = chain
    n, states = len(ts_ms), len(allied)
    label = np.zeros(n, np.int32)
    totals = best_path(
        ts_ms.astype(np.int64),
        np.arange(n + 1) * states,
        np.tile(np.arange(states, dtype=np.int32), n),
        np.tile(pace, n),
        np.ones(n),
        np.array([row[0] for row in scores]),
        np.array([score for row in scores for score in row[1:]]),
        np.zeros(n, np.int64),
        0,
        n,
        np.array(allied),
        900.0,
        label,
    )
    best = naive.best_score(ts_ms.tolist(), scores, allied, pace)
    assert totals[-1].max() == best
    assert naive.path_score(tuple(label.tolist()), ts_ms.tolist(), scores, allied, pace) == best


def test_far_fixes_belong_to_no_chain():
    near = np.zeros(200, np.int64)
    near[[50, 52, 150]] = 1
    begins = np.concatenate([[0], np.cumsum(near)])
    first, end = segments(begins, np.full(200, 0.5))
    assert list(zip(first.tolist(), end.tolist(), strict=True)) == [(46, 57), (146, 155)]
