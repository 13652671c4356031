"""The compiled way from fixes to spells, held against straight loops over dicts and sets."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from geofence.kernel import near
from geofence.rules import Rules
from geofence.visits.arrangement import arrangement_of
from geofence.visits.cells import cells_near, fences_at, room_for_cells
from geofence.visits.evidence import REACH_M, SCORE_SCALE, site_prior
from geofence.visits.path import distances_to, path_at, whole_path
from geofence.visits.spells import _lead_nats, _margin_nats, spells_of
from geofence.visits.tables import fixes_at, pairs_at
from tests import naive
from tests.geofence.visits.days import days

RULES = Rules()


class Read:
    """A day's path, with what its places mean."""

    def __init__(self, fences, fixes, rules=RULES):
        as_of_ms = int(fixes.ts_ms[-1])
        self.tables = whole_path("d", fixes, fences, rules, as_of_ms)
        self.path = path_at(self.tables, 0)
        self.arrangement = arrangement_of(fences)
        self.context = (self.arrangement.ground, self.arrangement.overlaps)

    def fences_of(self, place):
        """The fences of a place, in the order of their ids."""
        begin, end = fences_at(place, *self.context)
        return (int(place),) if begin < 0 else tuple(self.arrangement.overlaps.place_fence[begin:end].tolist())

    def cells_near(self, i):
        """(fences, distance, width, prior) of each cell within reach of step ``i``."""
        path = self.path
        group = fixes_at(self.tables, 0).group[path.used[i]]
        near = room_for_cells(100)
        span = path.pair_begin[i], path.pair_end[i]
        count = cells_near(near, pairs_at(self.tables, 0), *span, group, *self.context, RULES)
        return [
            (self.fences_of(near.place[k]), near.distance_m[k], near.width_m[k], near.prior[k]) for k in range(count)
        ]

    def row(self, i):
        return range(self.path.row_begin[i], self.path.row_end[i])


@settings(deadline=None, max_examples=100)
@given(days())
def test_cells_are_those_of_the_rows_that_overlap_and_of_those_that_do_not(day):
    fences, fixes, _ = day
    read = Read(fences, fixes)
    path, arrangement, ids = read.path, read.arrangement, fences.fence_ids
    for i in range(len(path.used)):
        found = near(fences.packed, path.lat[i : i + 1], path.lon[i : i + 1], REACH_M)
        distance_m = dict(zip(found.row.tolist(), found.distance_m.tolist(), strict=True))
        alone = [row for row in distance_m if not arrangement.shared[row]]
        shared = tuple(row for row in distance_m if arrangement.shared[row])
        expected = [((row,), (row,), ()) for row in alone]
        for _, at, cut_at in arrangement._cells_of(shared) if shared else []:
            members = tuple(shared[k] for k in at)
            expected.append((members, members, tuple(shared[k] for k in cut_at)))
        cells = read.cells_near(i)
        assert cells == sorted(cells, key=lambda cell: [ids[fence] for fence in cell[0]])
        assert path.cells[i] == len(cells)
        assert sorted(cells) == sorted(
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
    read = Read(fences, fixes, rules)
    path = read.path
    at = [read.fences_of(label - 1) if label else () for label in path.label.tolist()]
    ts_s = (path.ts_ms / 1000.0).tolist()
    expected = []
    for fence in range(len(fences.fence_ids)):
        away_m = distances_to(path, fences.fence_of_row, fence, 0, len(at)) - path.error_m
        expected += naive.spells(fence, at, ts_s, away_m.tolist(), path.speed_mps.tolist(), rules.bridge_s)
    spells = spells_of(path, *read.context, rules)
    assert sorted(spells[["fence", "first", "last"]].tolist()) == sorted(expected)


@settings(deadline=None, max_examples=100)
@given(days())
def test_leads_of_a_spell_are_those_of_its_fence_over_all_other_places(day):
    read = Read(day.fences, day.fixes)
    path = read.path
    for spell in spells_of(path, *read.context, RULES).view(np.recarray):
        steps = range(spell.first, spell.last + 1)
        near = [
            {read.fences_of(path.place[k]): int(path.inside[k]) for k in read.row(i) if path.near[k]} for i in steps
        ]
        totals = {
            place: sum(here.get(place, int(path.elsewhere[i])) for here, i in zip(near, steps, strict=True))
            for place in set().union(*near)
        }
        outside = sum(int(path.outside[i]) for i in steps)
        rival = max([outside, *(total for place, total in totals.items() if spell.fence not in place)])
        own = max(total for place, total in totals.items() if spell.fence in place)
        assert _lead_nats(path, *read.context, spell) == (own - rival) / SCORE_SCALE
        margins = []
        for i in steps:
            scores = {read.fences_of(path.place[k]): int(path.score[k]) for k in read.row(i)}
            inner = [score for place, score in scores.items() if spell.fence in place]
            outer = [score for place, score in scores.items() if spell.fence not in place]
            if inner:
                margins.append((max(inner) - max([path.out_score[i], path.far_score[i], *outer])) / SCORE_SCALE)
        assert _margin_nats(path, *read.context, spell) == max(margins)
