"""From fixes to visits: a pure function of the fixes, the fences, the rules and the moment of looking."""

from geofence.visits.derivation import Derivation, derive_stays
from geofence.visits.explain import explain
from geofence.visits.log import Stay, revise, visit_of

__all__ = ["Derivation", "Stay", "derive_stays", "explain", "revise", "visit_of"]
