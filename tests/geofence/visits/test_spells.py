"""The compiled way from fixes to spells, held against straight loops over dicts and sets."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from geofence.kernel import near
from geofence.rules import Rules
from geofence.visits.arrangement import arrangement_of
from geofence.visits.cells import cells_near, fences_at, room_for_cells
from geofence.visits.evidence import REACH_M, SCORE_SCALE, site_prior
from geofence.visits.path import distances_to, whole_path
from geofence.visits.spells import _lead_nats, _margin_nats, spells_of
from geofence.visits.tables import path_at
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
        begin, end = fences_at(place, self.arrangement.overlaps)
        return (int(place),) if begin < 0 else tuple(self.arrangement.overlaps.place_fence[begin:end].tolist())

    def cells_near(self, i):
        """(fences, distance, width, prior) of each cell within reach of step ``i``."""
        fixes, pairs, steps, _ = self.path
        near = room_for_cells(100)
        own = pairs[steps["pair_begin"][i] : steps["pair_end"][i]]
        count = cells_near(near, own, fixes["group"][steps["fix"][i]], *self.context, RULES)
        cells = near[:count][["place", "distance_m", "width_m", "prior"]]
        return [(self.fences_of(place), *figures) for place, *figures in cells.tolist()]

    def row(self, i):
        step = self.path.steps[i]
        return self.path.entries[step["row_begin"] : step["row_end"]].view(np.recarray)


@settings(deadline=None, max_examples=100)
@given(days())
def test_cells_are_those_of_the_rows_that_overlap_and_of_those_that_do_not(day):
    fences, fixes, _ = day
    read = Read(fences, fixes)
    steps, arrangement, ids = read.path.steps, read.arrangement, fences.fence_ids
    for i in range(len(steps)):
        found = near(fences.packed, steps["lat"][i : i + 1].copy(), steps["lon"][i : i + 1].copy(), REACH_M)
        distance_m = dict(zip(found.row.tolist(), found.distance_m.tolist(), strict=True))
        alone = [row for row in distance_m if not arrangement.shared[row]]
        shared = tuple(row for row in distance_m if arrangement.shared[row])
        expected = [((row,), (row,), ()) for row in alone]
        for _, at, cut_at in arrangement._cells_of(shared) if shared else []:
            members = tuple(shared[k] for k in at)
            expected.append((members, members, tuple(shared[k] for k in cut_at)))
        cells = read.cells_near(i)
        assert cells == sorted(cells, key=lambda cell: [ids[fence] for fence in cell[0]])
        assert steps["cells"][i] == len(cells)
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
    steps = path.steps.view(np.recarray)
    at = [read.fences_of(label - 1) if label else () for label in steps.label.tolist()]
    ts_s = (steps.ts_ms / 1000.0).tolist()
    expected = []
    for fence in range(len(fences.fence_ids)):
        away_m = distances_to(path, fences.fence_of_row, fence, 0, len(at)) - steps.error_m
        expected += naive.spells(fence, at, ts_s, away_m.tolist(), steps.speed_mps.tolist(), rules.bridge_s)
    spells = spells_of(path, *read.context, rules)
    assert sorted(spells[["fence", "first", "last"]].tolist()) == sorted(expected)


@settings(deadline=None, max_examples=100)
@given(days())
def test_leads_of_a_spell_are_those_of_its_fence_over_all_other_places(day):
    read = Read(day.fences, day.fixes)
    path = read.path
    for spell in spells_of(path, *read.context, RULES).view(np.recarray):
        steps = path.steps[spell.first : spell.last + 1].view(np.recarray)
        rows = [read.row(i) for i in range(spell.first, spell.last + 1)]
        near = [{read.fences_of(entry.place): int(entry.inside) for entry in row if entry.near} for row in rows]
        totals = {
            place: sum(here.get(place, int(step.elsewhere)) for here, step in zip(near, steps, strict=True))
            for place in set().union(*near)
        }
        outside = sum(int(step.outside) for step in steps)
        rival = max([outside, *(total for place, total in totals.items() if spell.fence not in place)])
        own = max(total for place, total in totals.items() if spell.fence in place)
        assert _lead_nats(path, read.arrangement.overlaps, spell) == (own - rival) / SCORE_SCALE
        margins = []
        for step, row in zip(steps, rows, strict=True):
            scores = {read.fences_of(entry.place): int(entry.score) for entry in row}
            inner = [score for place, score in scores.items() if spell.fence in place]
            outer = [score for place, score in scores.items() if spell.fence not in place]
            if inner:
                margins.append((max(inner) - max([step.out_score, step.far_score, *outer])) / SCORE_SCALE)
        assert _margin_nats(path, read.arrangement.overlaps, spell) == max(margins)
