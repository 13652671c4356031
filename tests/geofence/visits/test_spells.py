"""The compiled way from fixes to spells, held against straight loops over dicts and sets."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from geofence.kernel import near
from geofence.rules import Rules
from geofence.visits.arrangement import arrangement_of
from geofence.visits.evidence import REACH_M, SCORE_SCALE, site_prior
from geofence.visits.path import distances_to, read_path
from geofence.visits.spells import _lead_nats, _margin_nats, spells_of
from tests import naive
from tests.geofence.visits.days import days

RULES = Rules()


def place_of(path, cell):
    begins = path.cells.place_begins
    return tuple(path.cells.place_fence[begins[cell] : begins[cell + 1]].tolist())


def places_of(path):
    return [place_of(path, cell) for cell in range(len(path.cells.place_begins) - 1)]


def entries_of(path, i):
    """(place, distance, width, prior) of each cell within reach of used fix ``i``."""
    cells = path.cells
    return [
        (place_of(path, cells.cell[k]), cells.distance_m[k], cells.width_m[k], cells.prior[k])
        for k in range(cells.begins[i], cells.begins[i + 1])
    ]


@settings(deadline=None, max_examples=100)
@given(days())
def test_cells_are_those_of_the_rows_that_overlap_and_of_those_that_do_not(day):
    fences, fixes, _ = day
    path = read_path("d", fixes, fences, RULES, int(fixes.ts_ms[-1]))
    arrangement = arrangement_of(fences)
    ids = fences.fence_ids
    assert [[ids[f] for f in place] for place in places_of(path)] == sorted(
        [ids[f] for f in p] for p in places_of(path)
    )
    for i in range(len(path.used)):
        found = near(fences.packed, path.lat[i : i + 1], path.lon[i : i + 1], REACH_M)
        distance_m = dict(zip(found.row.tolist(), found.distance_m.tolist(), strict=True))
        alone = [row for row in distance_m if not arrangement.shared[row]]
        shared = tuple(row for row in distance_m if arrangement.shared[row])
        expected = [((row,), (row,), ()) for row in alone]
        for _, at, cut_at in arrangement._cells_of(shared) if shared else []:
            members = tuple(shared[k] for k in at)
            expected.append((members, members, tuple(shared[k] for k in cut_at)))
        assert sorted(entries_of(path, i)) == sorted(
            (
                tuple(sorted((int(fences.fence_of_row[row]) for row in place), key=ids.__getitem__)),
                max([*(distance_m[row] for row in members), *(-distance_m[row] for row in cut)]),
                min(fences.width_m[row] for row in members),
                max(site_prior(fences.area_m2[row], RULES.prior_weight) for row in members),
            )
            for place, members, cut in expected
        )


@settings(deadline=None, max_examples=150)
@given(days(), st.booleans())
def test_spells_are_the_runs_of_the_path_with_short_absences_bridged(day, brief):
    fences, fixes, _ = day
    rules = RULES._replace(bridge_s=60.0) if brief else RULES
    path = read_path("d", fixes, fences, rules, int(fixes.ts_ms[-1]))
    places = [(), *places_of(path)]
    at = [places[label] for label in path.label.tolist()]
    ts_s = (path.ts_ms / 1000.0).tolist()
    expected = []
    for fence in range(len(fences.fence_ids)):
        away_m = distances_to(path, fences.fence_of_row, fence, 0, len(at)) - path.error_m
        expected += naive.spells(fence, at, ts_s, away_m.tolist(), path.speed_mps.tolist(), rules.bridge_s)
    spells = spells_of(path, arrangement_of(fences).ground, rules)
    assert sorted(spells[["fence", "first", "last"]].tolist()) == sorted(expected)


@settings(deadline=None, max_examples=100)
@given(days())
def test_leads_of_a_spell_are_those_of_its_fence_over_all_other_places(day):
    fences, fixes, _ = day
    path = read_path("d", fixes, fences, RULES, int(fixes.ts_ms[-1]))
    places = places_of(path)
    for spell in spells_of(path, arrangement_of(fences).ground, RULES).view(np.recarray):
        totals = dict.fromkeys(places, 0)
        outside = 0
        for i in range(spell.first, spell.last + 1):
            here = {
                place_of(path, path.cells.cell[k]): int(path.inside[k])
                for k in range(path.cells.begins[i], path.cells.begins[i + 1])
            }
            outside += int(path.outside[i])
            for place in places:
                totals[place] += here.get(place, int(path.elsewhere[i]))
        rival = max([outside, *(total for place, total in totals.items() if spell.fence not in place)])
        own = max(total for place, total in totals.items() if spell.fence in place)
        assert _lead_nats(path, spell) == (own - rival) / SCORE_SCALE
        margins, offset = [], 0
        for start, end in zip(path.span_first.tolist(), path.span_end.tolist(), strict=True):
            for i in range(max(start, spell.first), min(end, spell.last + 1)):
                outer, *inner = path.scores[offset + i - start].tolist()
                own = max(score for score, place in zip(inner, places, strict=True) if spell.fence in place)
                others = [score for score, place in zip(inner, places, strict=True) if spell.fence not in place]
                margins.append((own - max([outer, *others])) / SCORE_SCALE)
            offset += end - start
        assert _margin_nats(path, spell) == max(margins)
