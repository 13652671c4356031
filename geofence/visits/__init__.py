"""From fixes to visits: a pure function of the fixes, the fences, the rules and the moment of looking."""

from geofence.visits.derivation import Derivation, derive_stays
from geofence.visits.explain import Evidence, explain
from geofence.visits.log import Stay, end_ms_of, revise, visit_of
from geofence.visits.recomputation import Recomputation, compare, recompute

__all__ = [
    "Derivation",
    "Evidence",
    "Recomputation",
    "Stay",
    "compare",
    "derive_stays",
    "end_ms_of",
    "explain",
    "recompute",
    "revise",
    "visit_of",
]
